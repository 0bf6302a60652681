//! The commit: the atomic unit that a thread with shards hands to the writer, in one part for each shard.
//!
//! All of a commit becomes durable, or none of it. The writer returns the same object, so that its thread reuses the
//! buffers without allocating. Bounded by the thread that fills it. The store does not interpret the engine's bytes.

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

/// The part of a commit that one shard has.
#[derive(Clone, Debug, Default)]
pub struct CommitPart {
    /// The shard.
    pub shard: ShardId,
    /// Sequence of this part in its shard: the successor of that of the shard's last part with a journal value.
    /// Ignored if `journal` is empty: such a part consumes no sequence.
    pub sequence: Sequence,
    /// The journal value; empty if there is none.
    pub journal: Vec<u8>,
    /// Pages of the checkpoint in progress.
    pub pages: Vec<PageWrite>,
    /// Inventories received.
    pub inventories: Vec<InventoryWrite>,
    /// Begin or end of a checkpoint, if any.
    pub checkpoint: Option<CheckpointMark>,
    /// With [`CheckpointMark::Begin`]: what the checkpoint record has of the shard besides its pages.
    pub context: Vec<u8>,
}

impl CommitPart {
    /// Bytes of all values: approximately what the part adds to a write.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let pages = self.pages.iter().map(|page| page.bytes.len());
        let inventories = self.inventories.iter().map(|write| write.bytes.len());
        self.journal.len() + pages.chain(inventories).sum::<usize>()
    }

    /// Number of values of all kinds.
    fn values(&self) -> usize {
        usize::from(!self.journal.is_empty()) + self.pages.len() + self.inventories.len()
    }
}

/// One atomic unit of one or several shards. `P` is the payload of the thread that made it, returned with the commit,
/// such as outcomes to publish.
#[derive(Clone, Debug, Default)]
pub struct Commit<P> {
    /// The parts, at most one for each shard. A part without values and mark is skipped.
    pub parts: Vec<CommitPart>,
    /// Returned unchanged.
    pub payload: P,
}

impl<P> Commit<P> {
    /// Clears everything except `payload` and the shard and sequence of each part. Keeps capacities, of each journal up
    /// to `journal_bytes_kept`.
    pub fn clear(&mut self, journal_bytes_kept: usize) {
        for part in &mut self.parts {
            part.journal.clear();
            if part.journal.capacity() > journal_bytes_kept {
                part.journal = Vec::new();
            }
            part.pages.clear();
            part.inventories.clear();
            part.checkpoint = None;
            part.context.clear();
        }
    }

    /// Bytes of all values: approximately what the commit adds to a write.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(CommitPart::bytes).sum()
    }

    /// Number of values of all kinds.
    pub(crate) fn values(&self) -> usize {
        self.parts.iter().map(CommitPart::values).sum()
    }
}

/// A commit of one shard.
impl<P: Default> From<CommitPart> for Commit<P> {
    fn from(part: CommitPart) -> Self {
        Self {
            parts: vec![part],
            payload: P::default(),
        }
    }
}

/// Receives finished commits, in submission order.
pub trait Sink<P> {
    /// The commit has been durable since `durable_at`.
    fn committed(&mut self, commit: Commit<P>, durable_at: Instant);

    /// The commit failed and the store is poisoned. Whether the commit is durable is unknown.
    fn failed(&mut self, commit: Commit<P>, reason: &PoisonReason);
}
