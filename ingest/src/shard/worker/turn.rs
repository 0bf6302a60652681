//! The turn to write checkpoint pages.
//!
//! One thread at a time writes the pages of a checkpoint, shard after shard, so that a memtable holds a contiguous key
//! range. Its SST file then covers a range of one thread, and compaction merges it with the same range of older pages.
//! With pages of all shards in each file, every compaction rewrote the pages of all devices.
//!
//! Shared by all shard threads; one atomic word, no thread blocks on it. It only saves cost: an overdue thread
//! checkpoints without the turn, see `checkpoint_slice`.

use std::sync::atomic::{AtomicU32, Ordering};

/// The turn is free. No thread has this number: theirs have 16 bits.
const FREE: u32 = u32::MAX;

/// The turn, shared by the shard threads of a server.
#[derive(Debug)]
pub struct CheckpointTurn(AtomicU32);

impl Default for CheckpointTurn {
    fn default() -> Self {
        Self(AtomicU32::new(FREE))
    }
}

impl CheckpointTurn {
    /// Takes the turn if it is free; returns whether this thread has it.
    pub(super) fn take(&self, thread: u16) -> bool {
        let (free, thread) = (FREE, u32::from(thread));
        let taken = self
            .0
            .compare_exchange(free, thread, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok() || taken == Err(thread)
    }

    /// Gives the turn back, if this thread has it.
    pub(super) fn give_back(&self, thread: u16) {
        // Fails for an overdue thread that never took the turn.
        let _ = self.0.compare_exchange(
            u32::from(thread),
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
    fn one_thread_at_a_time() {
        let turn = CheckpointTurn::default();
        assert!(turn.take(0));
        assert!(turn.take(0), "it already has the turn");
        assert!(!turn.take(1));
        turn.give_back(1);
        assert!(!turn.take(1), "only its holder gives it back");
        turn.give_back(0);
        assert!(turn.take(1));
    }
}
