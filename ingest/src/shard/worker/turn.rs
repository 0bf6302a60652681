//! Whose turn it is to write pages.
//!
//! One shard at a time writes those of a checkpoint, so that what lies together in a memtable lies together in the
//! order of keys too. Its file then covers a part of one shard, and compaction merges it with that part of the
//! older pages. With pages of all shards in each file, every merge rewrote the pages of all devices.
//!
//! Owned by all shards of a server, one atomic word, never waited for. It is about cost only: a shard that cannot wait
//! goes without, see `checkpoint_slice`.

use std::sync::atomic::{AtomicU32, Ordering};

use muster_engine::ShardId;

/// No shard has this number: they are 16 bits.
const NOBODY: u32 = u32::MAX;

/// The turn. Shards of one server share it.
#[derive(Debug)]
pub struct CheckpointTurn(AtomicU32);

impl Default for CheckpointTurn {
    fn default() -> Self {
        Self(AtomicU32::new(NOBODY))
    }
}

impl CheckpointTurn {
    /// Takes the turn if nobody has it; says whether this shard has it now.
    pub(super) fn take(&self, shard: ShardId) -> bool {
        let (nobody, shard) = (NOBODY, u32::from(shard.0));
        let taken = self
            .0
            .compare_exchange(nobody, shard, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok() || taken == Err(shard)
    }

    /// Gives the turn back, if this shard has it.
    pub(super) fn give_back(&self, shard: ShardId) {
        // Who went without it has nothing to give.
        let _ = self.0.compare_exchange(
            u32::from(shard.0),
            NOBODY,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shard_at_a_time() {
        let turn = CheckpointTurn::default();
        assert!(turn.take(ShardId(0)));
        assert!(turn.take(ShardId(0)), "it has it");
        assert!(!turn.take(ShardId(1)));
        turn.give_back(ShardId(1));
        assert!(!turn.take(ShardId(1)), "it was not its own to give");
        turn.give_back(ShardId(0));
        assert!(turn.take(ShardId(1)));
    }
}
