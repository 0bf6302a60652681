//! Checkpoints in slices: dirty pages ride along in ordinary commits while ingest goes on.
//!
//! A checkpoint takes the set of pages that are dirty when it begins and writes each once, with the
//! sequence of the commit it rides in. Every event up to the beginning is then in some page, so the
//! journal before it can go. A page that becomes dirty again waits for the next checkpoint, unless it
//! is still to be written in this one.

use super::dirty::PageSet;
use crate::effects::PageWrite;
use crate::ids::{Revision, Sequence};
use crate::page;
use crate::slab::DeviceSlab;

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

impl Checkpoint {
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.owed.is_empty()
    }

    /// Owes every dirty page from now on. Does nothing and returns `false` if a checkpoint runs already.
    pub(super) fn begin(&mut self) -> bool {
        if self.running {
            return false;
        }
        self.owed = std::mem::take(&mut self.dirty);
        self.running = true;
        true
    }

    /// Writes up to `pages_max` owed pages, as of this commit.
    pub(super) fn step(
        &mut self,
        pages_max: usize,
        devices: &DeviceSlab,
        (revision, sequence): (Revision, Sequence),
        pages: &mut Vec<PageWrite>,
    ) -> CheckpointProgress {
        for _ in 0..pages_max {
            let Some(number) = self.owed.pop() else {
                break;
            };
            self.dirty.remove(number);
            let Some(records) = devices.page(number) else {
                continue;
            };
            let bytes = page::encode(revision, sequence, records);
            pages.push(PageWrite {
                page: number,
                bytes,
            });
        }
        if self.owed.is_empty() {
            self.running = false;
            return CheckpointProgress::Complete;
        }
        CheckpointProgress::Running
    }
}
