//! What a shard hands to the writer, and who gets it back.
//!
//! A commit is one atomic unit: all of it is durable or none. It travels to the writer and, finished, back to
//! its shard as the same object, so that its buffers are filled again without allocating. The bytes in it are
//! the engine's; the store does not read them.

use std::time::Instant;

use muster_engine::effects::{InventoryWrite, PageWrite};
use muster_engine::{CellId, CohortId, Sequence, ShardId};

use crate::health::PoisonReason;

/// Where a checkpoint of a shard begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointMark {
    /// Pages written from now until [`CheckpointMark::Complete`] cover everything of the shard up to and
    /// including this commit. A second `Begin` gives up the first.
    Begin,
    /// All those pages are written, the last ones with this commit: the journal up to the commit of `Begin`
    /// is needed no more.
    Complete,
}

/// One atomic unit of a shard. `P` is whatever the shard wants back with it (outcomes to publish, say).
#[derive(Clone, Debug, Default)]
pub struct Commit<P> {
    /// The shard.
    pub shard: ShardId,
    /// Number of this commit within its shard: one more than that of the shard's last commit with a journal
    /// value. Not looked at when `journal` is empty: such a commit uses up no number.
    pub sequence: Sequence,
    /// The journal value, empty for none.
    pub journal: Vec<u8>,
    /// New cells: index and the engine's table entry.
    pub cells: Vec<(CellId, Vec<u8>)>,
    /// New cohorts: index and the engine's table entry.
    pub cohorts: Vec<(CohortId, Vec<u8>)>,
    /// Pages of the checkpoint in progress.
    pub pages: Vec<PageWrite>,
    /// Inventories received.
    pub inventories: Vec<InventoryWrite>,
    /// Begin or end of a checkpoint.
    pub checkpoint: Option<CheckpointMark>,
    /// Comes back untouched.
    pub payload: P,
}

impl<P> Commit<P> {
    /// Empties everything but `shard`, `sequence` and `payload`, keeping the capacities.
    pub fn clear(&mut self) {
        self.journal.clear();
        self.cells.clear();
        self.cohorts.clear();
        self.pages.clear();
        self.inventories.clear();
        self.checkpoint = None;
    }

    /// Bytes of all values, about what the commit adds to a write.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let cells = self.cells.iter().map(|(_, bytes)| bytes.len());
        let cohorts = self.cohorts.iter().map(|(_, bytes)| bytes.len());
        let pages = self.pages.iter().map(|page| page.bytes.len());
        let inventories = self.inventories.iter().map(|write| write.bytes.len());
        let others = cells.chain(cohorts).chain(pages).chain(inventories);
        self.journal.len() + others.sum::<usize>()
    }

    /// Values of all kinds.
    pub(crate) fn values(&self) -> usize {
        usize::from(!self.journal.is_empty())
            + self.cells.len()
            + self.cohorts.len()
            + self.pages.len()
            + self.inventories.len()
    }
}

/// Takes finished commits back, in the order in which they were handed in.
pub trait Sink<P> {
    /// The commit is on disk since `durable_at`.
    fn committed(&mut self, commit: Commit<P>, durable_at: Instant);

    /// The commit was not acknowledged and the store is poisoned. Whether it is on disk is unknown.
    fn failed(&mut self, commit: Commit<P>, reason: &PoisonReason);
}
