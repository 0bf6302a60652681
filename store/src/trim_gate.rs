//! Keeps trimmed journal files on disk while someone reads an earlier instant.
//!
//! RocksDB drops whole files without regard to snapshots. So a view holds the gate, and the writer drops
//! files only while nobody does; it comes back with its next write. The journal grows by what is written
//! during the longest view, a recount of some seconds, or a backup, which takes longer on another file system
//! (docs/reference/STORAGE.md).

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Number of views that read an earlier instant.
#[derive(Debug, Default)]
pub(crate) struct TrimGate(Mutex<usize>);

/// One view's hold.
#[derive(Debug)]
pub(crate) struct TrimHold<'a>(&'a TrimGate);

impl TrimGate {
    /// Waits for a drop in progress, then prevents the next ones.
    pub(crate) fn hold(&self) -> TrimHold<'_> {
        *self.count() += 1;
        TrimHold(self)
    }

    /// Runs `drop_files` unless the gate is held; nobody can take it meanwhile.
    pub(crate) fn pass<T>(&self, drop_files: impl FnOnce() -> T) -> Option<T> {
        let count = self.count();
        (*count == 0).then(drop_files)
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        // A number cannot be left half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TrimHold<'_> {
    fn drop(&mut self) {
        *self.0.count() -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_while_held() {
        let gate = TrimGate::default();
        assert_eq!(gate.pass(|| 1), Some(1));
        let (first, second) = (gate.hold(), gate.hold());
        assert_eq!(gate.pass(|| 1), None);
        drop(first);
        assert_eq!(gate.pass(|| 1), None);
        drop(second);
        assert_eq!(gate.pass(|| 1), Some(1));
    }
}
