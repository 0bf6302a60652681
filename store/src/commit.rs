//! The commit: the atomic unit that a shard hands to the writer.
//!
//! All of a commit becomes durable, or none of it. The writer returns the same object to its shard, so that the shard
//! reuses its buffers without allocating. Bounded by the shard that fills it. The store does not interpret the engine's
//! bytes.

use std::time::Instant;

use muster_engine::effects::{InventoryWrite, PageWrite};
use muster_engine::{Sequence, ShardId};

use crate::health::PoisonReason;

/// Begin and end of a checkpoint of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointMark {
    /// Pages written from now until [`CheckpointMark::Complete`] include every event of the shard up to and including
    /// this commit. A second `Begin` abandons the first checkpoint.
    Begin,
    /// All these pages are written, the last ones in this commit: the journal up to the commit of `Begin` is obsolete.
    Complete,
}

/// One atomic unit of a shard. `P` is the shard's payload, returned with the commit, such as outcomes to publish.
#[derive(Clone, Debug, Default)]
pub struct Commit<P> {
    /// The shard that made the commit.
    pub shard: ShardId,
    /// Sequence of this commit in its shard: the successor of that of the shard's last commit with a journal value.
    /// Ignored if `journal` is empty: such a commit consumes no sequence.
    pub sequence: Sequence,
    /// The journal value; empty if there is none.
    pub journal: Vec<u8>,
    /// Pages of the checkpoint in progress.
    pub pages: Vec<PageWrite>,
    /// Inventories received.
    pub inventories: Vec<InventoryWrite>,
    /// Begin or end of a checkpoint, if any.
    pub checkpoint: Option<CheckpointMark>,
    /// Returned unchanged.
    pub payload: P,
}

impl<P> Commit<P> {
    /// Clears everything except `shard`, `sequence` and `payload`; keeps capacities.
    pub fn clear(&mut self) {
        self.journal.clear();
        self.pages.clear();
        self.inventories.clear();
        self.checkpoint = None;
    }

    /// Bytes of all values: approximately what the commit adds to a write.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let pages = self.pages.iter().map(|page| page.bytes.len());
        let inventories = self.inventories.iter().map(|write| write.bytes.len());
        self.journal.len() + pages.chain(inventories).sum::<usize>()
    }

    /// Number of values of all kinds.
    pub(crate) fn values(&self) -> usize {
        usize::from(!self.journal.is_empty()) + self.pages.len() + self.inventories.len()
    }
}

/// Receives finished commits, in submission order.
pub trait Sink<P> {
    /// The commit has been durable since `durable_at`.
    fn committed(&mut self, commit: Commit<P>, durable_at: Instant);

    /// The commit failed and the store is poisoned. Whether the commit is durable is unknown.
    fn failed(&mut self, commit: Commit<P>, reason: &PoisonReason);
}
