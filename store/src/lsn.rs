//! The log sequence number: which journal value comes before which, over all shards.

use std::fmt;

/// The key of a journal value (log sequence number), given by the writer in the order of commits, without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// That of the first value of a new journal; 0 stays free to mean "before everything".
    pub const FIRST: Self = Self(1);

    /// That of the next value.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
