//! Checkpoints in slices: dirty pages ride along in ordinary commits while ingest goes on.
//!
//! A checkpoint takes the set of pages that are dirty when it begins and writes each once, with the
//! sequence of the commit it rides in. Every event up to the beginning is then in some page, so the
//! journal before it can go. A page that becomes dirty again waits for the next checkpoint, unless it
//! is still to be written in this one.

use super::Shard;
use super::dirty::PageSet;
use crate::effects::{Effects, PageWrite};
use crate::page;

#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    /// Pages that differ from disk.
    pub(super) dirty: PageSet,
    /// Pages the running checkpoint still owes.
    owed: PageSet,
    running: bool,
}

/// How far a checkpoint is after a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointProgress {
    /// More pages are owed.
    Running,
    /// The slice held the last page.
    Complete,
}

impl Shard {
    /// Whether a checkpoint runs.
    pub fn checkpoint_is_running(&self) -> bool {
        self.checkpoint.running
    }

    /// Whether every page on disk is as in memory.
    pub fn checkpoint_is_clean(&self) -> bool {
        self.checkpoint.dirty.is_empty() && self.checkpoint.owed.is_empty()
    }

    /// Begins a checkpoint; call it after [`Shard::seal`], and commit the batch as its beginning.
    /// Does nothing and returns `false` if one runs already.
    pub fn checkpoint_begin(&mut self) -> bool {
        if self.checkpoint.running {
            return false;
        }
        self.checkpoint.owed = std::mem::take(&mut self.checkpoint.dirty);
        self.checkpoint.running = true;
        true
    }

    /// Adds up to `pages_max` owed pages to the effects of the batch just sealed.
    pub fn checkpoint_step(
        &mut self,
        pages_max: usize,
        effects: &mut Effects,
    ) -> CheckpointProgress {
        let checkpoint = &mut self.checkpoint;
        for _ in 0..pages_max {
            let Some(number) = checkpoint.owed.pop() else {
                break;
            };
            checkpoint.dirty.remove(number);
            let Some(records) = self.devices.page(number) else {
                continue;
            };
            let bytes = page::encode(self.policy.revision(), self.sequence, records);
            effects.pages.push(PageWrite {
                page: number,
                bytes,
            });
        }
        if checkpoint.owed.is_empty() {
            checkpoint.running = false;
            return CheckpointProgress::Complete;
        }
        CheckpointProgress::Running
    }
}
