//! Checkpoint pacing: when a thread begins a checkpoint of its shards, and how many of their pages each commit carries.
//!
//! All shards of a thread begin and complete their checkpoints together: many small ones would write as many records,
//! flushes and files, and trim no earlier. Owner: the shard thread. Bounded by [`pages_beside`] and [`PAGES_DRAINING`] per commit. Writing the pages and
//! trimming the journal are the store's tasks.

use std::time::Duration;

use muster_engine::CheckpointProgress;
use muster_engine::device::DEVICE_BYTES;
use muster_engine::page::PAGE_BYTES;
use muster_store::CheckpointMark;

use super::Worker;
use super::task::{Drain, Task};

/// Minimum number of pages in a commit, however small its journal value.
const PAGES_MIN: usize = 8;

/// Bytes of pages per check-in of any thread: six times the journal bytes of a check-in that repeats the last one.
const PAGE_BYTES_BESIDE_CHECK_IN: usize = 96;

/// Thirds of a check-in per device after which a checkpoint begins: 27 million check-ins of ten million devices, which
/// are 440 MB of journal if most of them repeat the last one.
const CHECK_IN_THIRDS: u64 = 8;

/// Pages in a commit without check-ins, so that an idle thread completes its checkpoint too.
const PAGES_IDLE: usize = 256;

/// Age of a thread's oldest journal bytes at which a checkpoint is due.
pub(super) const CHECKPOINT_AGE_MAX: Duration = Duration::from_secs(300);

/// Pages in a commit of a draining thread.
pub const PAGES_DRAINING: usize = 1024;

/// Pages in a commit with `journal_bytes` of journal, paced so that all threads complete their checkpoints while the
/// journal grows by half of what makes a checkpoint due. A faster pace would only delay commits.
fn paced(journal_bytes: usize, state: u64, due_at: u64, threads: u16) -> usize {
    let pages = journal_bytes as u128 * u128::from(state) * 2 * u128::from(threads)
        / (u128::from(due_at.max(1)) * PAGE_BYTES as u128);
    PAGES_MIN.saturating_add(usize::try_from(pages).unwrap_or(usize::MAX))
}

/// Maximum number of pages in a commit with `check_ins` check-ins of one of `threads` threads.
pub fn pages_beside(check_ins: usize, threads: u16) -> usize {
    PAGES_MIN + PAGE_BYTES_BESIDE_CHECK_IN * usize::from(threads) * check_ins / PAGE_BYTES
}

impl Worker {
    /// Adds the next slice of a checkpoint to the sealed batch, and begins a checkpoint if one is due.
    ///
    /// A checkpoint writes every dirty page once, so it is due when the journal has grown by the configured bytes and
    /// by [`CHECK_IN_THIRDS`]: pages then cost 28.5 bytes per check-in, whatever the number of devices. Rarer checkpoints
    /// would cost less and leave more to replay. One thread at a time writes pages, at the pace of all threads together
    /// and at most [`PAGE_BYTES_BESIDE_CHECK_IN`]: the journal grows by half of what makes a checkpoint due until all
    /// threads are done, and the disk holds less than three times the state (docs/reference/STORAGE.md).
    pub(super) fn checkpoint_slice(
        &mut self,
        journal_bytes: usize,
        check_ins: usize,
    ) -> Option<CheckpointMark> {
        let state = u64::from(self.shards.devices()) * DEVICE_BYTES as u64;
        let due_at = self.due_at(state);
        // By age too: the journal is trimmed up to the oldest value that any shard needs, so a thread with little
        // traffic must not retain the journal of the busy ones.
        let since = self.clock.stamp().since(self.checkpointed_at);
        let has_reached = |journal_bytes, age| {
            self.journal_bytes >= journal_bytes || (self.journal_bytes > 0 && since >= age)
        };
        let due = has_reached(due_at, CHECKPOINT_AGE_MAX);
        // An overdue thread does not wait for its turn: the one that has it may be idle and take minutes.
        let overdue = has_reached(due_at + due_at / 2, CHECKPOINT_AGE_MAX * 3 / 2);
        let begun = due
            && self.checkpointing.is_none()
            && (self.turn.take(self.config.thread) || overdue)
            && self.begin_checkpoint();
        if begun {
            return Some(CheckpointMark::Begin);
        }
        let threads = self.routes.map.threads();
        let pages = match journal_bytes {
            0 => PAGES_IDLE,
            bytes => {
                let paced = paced(bytes, state, due_at, threads);
                paced.min(pages_beside(check_ins, threads))
            }
        };
        self.checkpoint_pages(pages)
    }

    /// Journal bytes at which a checkpoint is due. For a large fleet the number of check-ins decides, because each
    /// costs recovery about the same, but the journal never exceeds three quarters of the state, to bound the disk
    /// usage.
    pub(super) fn due_at(&self, state: u64) -> u64 {
        let devices = u128::from(self.shards.devices()) * u128::from(CHECK_IN_THIRDS) / 3;
        let bytes = u128::from(self.journal_bytes) * devices;
        let counted = bytes / u128::from(self.journal_check_ins.max(1));
        let beside_state = u128::from(state) * 3 / 4;
        let due_at = u64::try_from(counted.min(beside_state)).unwrap_or(u64::MAX);
        due_at.max(self.config.checkpoint_journal_bytes)
    }

    fn begin_checkpoint(&mut self) -> bool {
        let begun = self.checkpointing.is_none();
        if begun {
            for place in self.shards.places() {
                self.shards.checkpoint_begin(place);
            }
            self.checkpointing = Some(0);
            self.journal_bytes = 0;
            self.journal_check_ins = 0;
            self.checkpointed_at = self.clock.stamp();
        }
        begun
    }

    fn checkpoint_pages(&mut self, pages_max: usize) -> Option<CheckpointMark> {
        let (first, shards) = (self.checkpointing?, self.shards.shards().len());
        let mut left = pages_max;
        for place in first..shards {
            let (progress, pages) = self.shards.checkpoint_step(place, left);
            if progress == CheckpointProgress::Running {
                self.checkpointing = Some(place);
                return None;
            }
            left -= pages;
        }
        self.checkpointing = None;
        self.checkpoints += 1;
        self.turn.give_back(self.config.thread);
        Some(CheckpointMark::Complete)
    }

    /// One commit of a drain: takes the rest of the inbox, then completes the checkpoint in progress, then writes one
    /// more, so that the next start has no journal to replay.
    pub(super) fn drain(&mut self, drain: Drain) {
        self.task = match drain {
            Drain::Inbox => match self.inbox.try_take() {
                Some(batch) => {
                    self.batch(Some(batch));
                    Task::Drain(Drain::Inbox)
                }
                None => self.drain_checkpoint(false),
            },
            Drain::Checkpoint { begins, last } => {
                if !self.drain_pages(begins) {
                    let begins = false;
                    Task::Drain(Drain::Checkpoint { begins, last })
                } else if !last && (self.journal_bytes > 0 || self.begin_is_owed()) {
                    self.drain_checkpoint(true)
                } else {
                    tracing::info!(devices = self.shards.devices(), "shards drained");
                    Task::Ended
                }
            }
        };
    }

    fn drain_checkpoint(&mut self, last: bool) -> Task {
        let begins = self.begin_checkpoint();
        Task::Drain(Drain::Checkpoint { begins, last })
    }

    /// Whether another checkpoint is needed: one that was in progress when the drain began does not cover later
    /// changes.
    fn begin_is_owed(&self) -> bool {
        let mut shards = self.shards.shards();
        shards.any(|shard| !shard.checkpoint_is_clean())
    }

    /// Commits the next pages; returns whether the checkpoint is complete.
    fn drain_pages(&mut self, begins: bool) -> bool {
        let commit = self.begin();
        self.shards.seal();
        let mark = if begins {
            Some(CheckpointMark::Begin)
        } else {
            self.checkpoint_pages(PAGES_DRAINING)
        };
        self.hand_over(commit, mark);
        self.checkpointing.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// During its turn, the journal of a thread grows by its share of that half.
    #[test]
    fn all_threads_complete_while_the_journal_grows_by_half_of_what_makes_a_checkpoint_due() {
        const DUE_AT: u64 = 128 << 20;
        const JOURNAL_BYTES: u64 = 128 << 10;
        for (state, threads) in [(32 << 20, 2), (320 << 20, 2), (320 << 20, 8)] {
            let pages = paced(JOURNAL_BYTES as usize, state, DUE_AT, threads) - PAGES_MIN;
            let commits = DUE_AT / 2 / u64::from(threads) / JOURNAL_BYTES;
            let written = commits * pages as u64 * PAGE_BYTES as u64;
            let off = written.abs_diff(state) as f64 / state as f64;
            assert!(off < 0.1, "{written} of {state} bytes by {threads} threads");
        }
    }
}
