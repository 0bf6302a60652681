//! Counts of the operations on a disk, from which the next fault is sampled.

use super::fault::{FileKind, Operation};

/// Number of operations by kind of operation and kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([[u64; FileKind::ALL.len()]; Operation::ALL.len()]);

impl Counts {
    /// Counts an operation.
    pub(super) const fn add(&mut self, operation: Operation, file: FileKind) {
        self.0[operation as usize][file as usize] += 1;
    }

    /// The count of one operation on one kind of file.
    pub const fn get(&self, operation: Operation, file: FileKind) -> u64 {
        self.0[operation as usize][file as usize]
    }

    /// The differences from earlier counts.
    pub fn since(&self, earlier: &Self) -> Self {
        self.combine(earlier, |now, before| now - before)
    }

    /// The larger of each pair of counts.
    pub fn max(&self, other: &Self) -> Self {
        self.combine(other, u64::max)
    }

    fn combine(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|operation| {
            std::array::from_fn(|file| combine(self.0[operation][file], other.0[operation][file]))
        }))
    }
}
