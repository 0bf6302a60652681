//! The flag bits of a check-in.
//!
//! Bounds: 16 bits, 12 of them defined; a record with a reserved bit set is rejected. What it does not do: rules; the
//! engine decides what a combination means.

use std::{fmt, ops::BitOr};

use rkyv::{Archive, Place, Serialize, primitive::ArchivedU16, rancor::Fallible};

/// The flag bits of a check-in. A bit that is not set means no.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

macro_rules! flag_table {
    ( $( $(#[$attribute:meta])* $flag:ident = $bit:literal, $name:literal; )+ ) => {
        impl Flags {
            $( $(#[$attribute])* pub const $flag: Self = Self(1 << $bit); )+

            /// Every flag with its name, in ascending order of bit.
            pub const ALL: &[(Self, &'static str)] = &[ $( (Self::$flag, $name), )+ ];

            /// The defined bits; all others must be zero.
            pub const KNOWN: Self = Self(0 $( | 1 << $bit )+);
        }
    };
}

flag_table! {
    /// The threat sensor's process is running.
    SENSOR_RUNNING = 0, "sensorRunning";
    /// The sensor's command and control channel works.
    COMMAND_AND_CONTROL_OK = 1, "commandAndControlOk";
    /// The sensor's telemetry channel works.
    TELEMETRY_OK = 2, "telemetryOk";
    /// This check-in is the sensor's full report, normally one a day.
    FULL_REPORT = 3, "fullReport";
    /// A user is signed in.
    USER_SIGNED_IN = 4, "userSignedIn";
    /// At least one setting of a policy could not be applied.
    SETTING_ERROR = 5, "settingError";
    /// The mobile threat defence app is activated.
    MTD_APP_ACTIVATED = 6, "mtdAppActivated";
    /// The device is registered in the directory.
    REGISTERED = 7, "registered";
    /// The device is jailbroken or rooted.
    JAILBROKEN = 8, "jailbroken";
    /// The device's storage is encrypted.
    ENCRYPTED = 9, "encrypted";
    /// The device is supervised.
    SUPERVISED = 10, "supervised";
    /// The sensor is onboarded to an organization other than the tenant's.
    FOREIGN_ORG = 11, "foreignOrg";
}

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// The flags with these bits, or `None` if a reserved bit is set.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & !Self::KNOWN.0 == 0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The flags with these bits; reserved bits are cleared.
    #[inline]
    #[must_use]
    pub const fn from_bits_truncate(bits: u16) -> Self {
        Self(bits & Self::KNOWN.0)
    }

    /// The 16 bits on the wire and in storage.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether every flag of `other` is set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags that are set in either.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These flags, with the flags of `other` set or cleared.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self, set: bool) -> Self {
        if set {
            Self(self.0 | other.0)
        } else {
            Self(self.0 & !other.0)
        }
    }

    /// The names of the flags that are set, in ascending order of bit.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL
            .iter()
            .filter(move |(flag, _)| self.contains(*flag))
            .map(|(_, name)| *name)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.names()).finish()
    }
}

// Archived as its bits.
impl Archive for Flags {
    type Archived = ArchivedU16;
    type Resolver = ();

    fn resolve(&self, (): (), out: Place<ArchivedU16>) {
        out.write(ArchivedU16::from_native(self.0));
    }
}

impl<S: Fallible + ?Sized> Serialize<S> for Flags {
    fn serialize(&self, _: &mut S) -> Result<(), S::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_bits_are_known_and_four_reserved() {
        assert_eq!(Flags::KNOWN.bits(), 0x0fff);
        assert_eq!(Flags::ALL.len(), 12);
        assert_eq!(Flags::from_bits(0x1000), None);
        assert_eq!(Flags::from_bits_truncate(0xf001), Flags::SENSOR_RUNNING);
    }

    #[test]
    fn flags_are_named_set_and_cleared() {
        let flags = Flags::ENCRYPTED | Flags::SENSOR_RUNNING;
        assert_eq!(
            flags.names().collect::<Vec<_>>(),
            ["sensorRunning", "encrypted"]
        );
        assert!(flags.contains(Flags::ENCRYPTED));
        assert!(!flags.contains(Flags::ENCRYPTED | Flags::SUPERVISED));
        assert_eq!(flags.with(Flags::ENCRYPTED, false), Flags::SENSOR_RUNNING);
    }
}
