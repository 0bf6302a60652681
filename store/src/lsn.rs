//! The log sequence number: the total order of journal values over all shards.

use std::fmt;

/// Log sequence number: the key of a journal value, assigned by the writer in commit order without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The first one of a new journal; 0 means "before the first".
    pub const FIRST: Self = Self(1);

    /// The next log sequence number.
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
