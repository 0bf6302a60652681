//! What an event asks for: bytes to make durable, and what changed.
//!
//! One `Effects` belongs to one batch; its buffers are reused from batch to batch, so the hot path
//! allocates nothing once they have grown. Bounded by the batch: at most one rejection per record, 48 journal
//! bytes per accepted check-in, 16 if it says what its device said before. Transitions are counted, not listed:
//! a new policy may move every device of the shard in one batch.

use muster_wire::{DeviceId, Rejection};

use crate::cell::CellId;
use crate::cohort::CohortId;
use crate::ids::{PageNumber, TenantIndex};
use crate::journal::JournalBuffer;

/// How the records of one part fared; the numbers an ack carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Changed the state and will be durable.
    pub accepted: u32,
    /// Seq equal to the stored one: seen before, nothing changed.
    pub duplicate: u32,
    /// Seq lower than the stored one: overtaken, nothing changed.
    pub stale: u32,
    /// Refused with a reason, nothing changed.
    pub rejected: u32,
}

impl Outcome {
    /// Records answered, of any kind.
    pub fn total(&self) -> u32 {
        self.accepted + self.duplicate + self.stale + self.rejected
    }
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.stale += other.stale;
        self.rejected += other.rejected;
    }
}

/// An inventory to keep, as the device sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryWrite {
    /// Whose device.
    pub tenant: TenantIndex,
    /// The device.
    pub device_id: DeviceId,
    /// The archive of the wire.
    pub bytes: Vec<u8>,
}

/// A page image to write in the same commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageWrite {
    /// The page.
    pub page: PageNumber,
    /// [`crate::page::encode`].
    pub bytes: Vec<u8>,
}

/// Everything one batch asks for.
#[derive(Debug, Default)]
pub struct Effects {
    /// Seconds since the epoch, as in records.
    pub(crate) now: u32,
    pub(crate) journal: JournalBuffer,
    /// Cells first used in this batch, with [`crate::cell::CellKey::encode`].
    pub cells: Vec<(CellId, Vec<u8>)>,
    /// Cohorts first used in this batch, with [`crate::cohort::Cohort::encode`].
    pub cohorts: Vec<(CohortId, Vec<u8>)>,
    /// Inventories accepted in this batch.
    pub inventories: Vec<InventoryWrite>,
    /// Page images of a running checkpoint.
    pub pages: Vec<PageWrite>,
    /// How often a device changed cell; a new device counts once.
    pub transitions: u64,
    /// Records refused by the shard. The caller takes them after each part.
    pub rejections: Vec<Rejection>,
}

impl Effects {
    /// Empties all buffers, keeping their memory.
    pub(crate) fn clear(&mut self) {
        self.journal.clear();
        self.cells.clear();
        self.cohorts.clear();
        self.inventories.clear();
        self.pages.clear();
        self.transitions = 0;
        self.rejections.clear();
    }

    /// The journal value of the sealed batch; empty if the batch changed nothing.
    pub fn journal_value(&self) -> &[u8] {
        self.journal.as_bytes()
    }

    /// Bytes in the journal value so far; lets the caller bound a batch.
    pub fn journal_bytes(&self) -> usize {
        self.journal.as_bytes().len()
    }

    /// Swaps the journal value with another buffer, so that a commit takes it without a copy.
    pub fn swap_journal(&mut self, buffer: &mut Vec<u8>) {
        self.journal.swap(buffer);
    }
}
