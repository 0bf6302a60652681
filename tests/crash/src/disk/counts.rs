//! How often a program asked a disk for what: from this the next fault is drawn.

use super::fault::{FileKind, Operation};

/// How often each kind of operation was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([[u64; FileKind::ALL.len()]; Operation::ALL.len()]);

impl Counts {
    /// One more.
    pub(super) const fn note(&mut self, operation: Operation, file: FileKind) {
        self.0[operation as usize][file as usize] += 1;
    }

    /// Of one operation on one kind of file.
    pub const fn of(&self, operation: Operation, file: FileKind) -> u64 {
        self.0[operation as usize][file as usize]
    }

    /// What was asked for since an earlier count.
    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, |now, then| now - then)
    }

    /// The larger of each.
    pub fn max(&self, other: &Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(&self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        let row = |operation: usize| {
            std::array::from_fn(|file| of(self.0[operation][file], other.0[operation][file]))
        };
        Self(std::array::from_fn(row))
    }
}
