//! The rules of docs/reference/DOMAIN.md, one module per rule: pure functions without state.

pub mod compliance;
pub mod managed_by;
pub mod onboarding;
pub mod sensor;
pub mod settings;
pub mod threat;

/// The version of what the rules result in. Raise it with every change of that: a start whose policy set is of another
/// version evaluates every device again, and a test compares it with a sample of results.
pub const RULES_VERSION: u16 = 7;

/// What a rule decides about a device. An evaluation uses the state alone: rules are inlined, so that row and cause, which
/// explain it, cost nothing there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<State, Cause> {
    /// The state of the device.
    pub state: State,
    /// The row that matched, as docs/reference/DOMAIN.md cites it.
    pub row: &'static str,
    /// The facts that decided.
    pub cause: Cause,
}

/// Declares a closed set of states: each has a dense index (its bits in a facet word) and the name in the reference.
macro_rules! states {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $index:literal $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant = $index),+ }

        impl $name {
            /// Every member, in the order of its index.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Dense index from 0, the member's bits in a facet word.
            pub const fn index(self) -> u32 {
                self as u32
            }

            /// The member with this index.
            pub fn from_index(index: u32) -> Option<Self> {
                match index { $($index => Some(Self::$variant),)+ _ => None }
            }

            /// The name in the API, metrics and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
pub(crate) use states;
