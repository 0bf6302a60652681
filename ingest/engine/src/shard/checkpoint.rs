//! Incremental (fuzzy) checkpoints: dirty pages are written as part of ordinary commits, without stopping ingest.
//!
//! A checkpoint takes the set of pages that are dirty when it begins and writes each of them once, stamped with the
//! sequence of its commit. Afterwards every event up to the begin is in a page, so the journal up to there can be
//! trimmed. A page that becomes dirty again after it was written waits for the next checkpoint.
//!
//! Owned by the shard. Memory: one bit per page in each of two sets. Decides neither when a checkpoint begins nor how
//! many pages a step writes: the caller does.

use super::dirty::PageSet;
use crate::effects::PageWrite;
use crate::ids::Sequence;
use crate::page;
use crate::slab::DeviceSlab;

#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    /// Pages that differ from their image on disk.
    pub(super) dirty: PageSet,
    /// Pages that the running checkpoint has yet to write.
    pending: PageSet,
    running: bool,
}

/// Progress of a checkpoint after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointProgress {
    /// Pages are pending.
    Running,
    /// The step wrote the last page.
    Complete,
}

impl Checkpoint {
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.pending.is_empty()
    }

    /// Begins a checkpoint of all dirty pages. Does nothing and returns `false` if one is running.
    pub(super) fn begin(&mut self) -> bool {
        if self.running {
            return false;
        }
        self.pending = std::mem::take(&mut self.dirty);
        self.running = true;
        true
    }

    /// Writes up to `pages_max` pending pages, with their contents as of this commit.
    pub(super) fn step(
        &mut self,
        pages_max: usize,
        devices: &DeviceSlab,
        sequence: Sequence,
        pages: &mut Vec<PageWrite>,
    ) -> CheckpointProgress {
        for _ in 0..pages_max {
            let Some(number) = self.pending.pop() else {
                break;
            };
            self.dirty.remove(number);
            let Some((records, cold)) = devices.page(number) else {
                continue;
            };
            let bytes = page::encode(sequence, records, cold);
            pages.push(PageWrite {
                page: number,
                bytes,
            });
        }
        if self.pending.is_empty() {
            self.running = false;
            return CheckpointProgress::Complete;
        }
        CheckpointProgress::Running
    }
}
