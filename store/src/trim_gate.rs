//! Keeps trimmed journal files on disk while a snapshot or a backup reads them.
//!
//! RocksDB drops whole files even if a snapshot needs them. So a view blocks the gate, and the writer drops files only
//! while no view does; it tries again after its next write. Meanwhile the journal grows: for some seconds during a
//! recount, for longer during a backup to another file system (docs/reference/STORAGE.md). One counter, no queue; views
//! do not exclude each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of views that block the trim.
#[derive(Debug, Default)]
pub(crate) struct TrimGate(Mutex<usize>);

/// Blocks the trim until it is dropped.
#[derive(Debug)]
pub(crate) struct TrimGuard<'a>(&'a TrimGate);

impl TrimGate {
    /// Waits for a running trim, then blocks the next ones.
    pub(crate) fn block(&self) -> TrimGuard<'_> {
        *self.count() += 1;
        TrimGuard(self)
    }

    /// Runs `drop_files` if the gate is open. It cannot be blocked meanwhile.
    pub(crate) fn if_open<T>(&self, drop_files: impl FnOnce() -> T) -> Option<T> {
        let count = self.count();
        (*count == 0).then(drop_files)
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        // A panic cannot leave the number half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TrimGuard<'_> {
    fn drop(&mut self) {
        *self.0.count() -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_gate_runs_nothing() {
        let gate = TrimGate::default();
        assert_eq!(gate.if_open(|| 1), Some(1));
        let (first, second) = (gate.block(), gate.block());
        assert_eq!(gate.if_open(|| 1), None);
        drop(first);
        assert_eq!(gate.if_open(|| 1), None);
        drop(second);
        assert_eq!(gate.if_open(|| 1), Some(1));
    }
}
