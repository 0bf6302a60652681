//! The turn to write checkpoint pages.
//!
//! One shard at a time writes the pages of a checkpoint, so that a memtable holds a contiguous key range. Its SST file
//! then covers a range of one shard, and compaction merges it with the same range of older pages. With pages of all
//! shards in each file, every compaction rewrote the pages of all devices.
//!
//! Shared by all shards of a server; one atomic word, no shard blocks on it. It only saves cost: an overdue shard
//! checkpoints without the turn, see `checkpoint_slice`.

use std::sync::atomic::{AtomicU32, Ordering};

use muster_engine::ShardId;

/// The turn is free. No shard has this number: shard ids have 16 bits.
const FREE: u32 = u32::MAX;

/// The turn, shared by the shards of a server.
#[derive(Debug)]
pub struct CheckpointTurn(AtomicU32);

impl Default for CheckpointTurn {
    fn default() -> Self {
        Self(AtomicU32::new(FREE))
    }
}

impl CheckpointTurn {
    /// Takes the turn if it is free; returns whether this shard has it.
    pub(super) fn take(&self, shard: ShardId) -> bool {
        let (free, shard) = (FREE, u32::from(shard.0));
        let taken = self
            .0
            .compare_exchange(free, shard, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok() || taken == Err(shard)
    }

    /// Gives the turn back, if this shard has it.
    pub(super) fn give_back(&self, shard: ShardId) {
        // Fails for an overdue shard that never took the turn.
        let _ = self.0.compare_exchange(
            u32::from(shard.0),
            FREE,
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
        assert!(turn.take(ShardId(0)), "it already has the turn");
        assert!(!turn.take(ShardId(1)));
        turn.give_back(ShardId(1));
        assert!(!turn.take(ShardId(1)), "only its holder gives it back");
        turn.give_back(ShardId(0));
        assert!(turn.take(ShardId(1)));
    }
}
