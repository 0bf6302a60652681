//! What the store asks of the engine below it: atomic writes, point reads and ordered scans.
//!
//! RocksDB is the one that ships (`rocks.rs`); the simulation brings a disk that forgets on command. Everything
//! above, from keys and checksums to checkpoint and trim, is the same code for both. Calls cost a virtual call
//! for each value, never for each check-in. No bounds of its own.

use std::ops::ControlFlow;
use std::path::Path;

use crate::error::ReadError;
use crate::keyspace::Keyspace;
use crate::lsn::Lsn;
use crate::metrics::StoreMetrics;

/// Why a write, a flush or a trim failed: the text that the store is poisoned with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(pub String);

/// A key and what lies under it.
pub type Stored = (Vec<u8>, Vec<u8>);

/// Takes keys and values as they come: `ControlFlow::Break` ends a scan.
pub type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// An engine with atomic writes over the key spaces of [`Keyspace`].
pub trait Database: Send + Sync {
    /// An empty set of writes with room for so many bytes.
    fn writes(&self, bytes: usize) -> Box<dyn WriteSet + '_>;

    /// Reads whatever is there at each read.
    fn latest(&self) -> Box<dyn Reads + '_>;

    /// Reads what is there now, whatever is written later. What [`Database::trim`] deletes may be missing.
    fn snapshot(&self) -> Box<dyn Reads + '_>;

    /// Deletes the journal from `first` up to, not including, `end`. Nobody needs those values any more, so some may
    /// stay, and all may be back after a crash.
    fn trim(&self, first: Lsn, end: Lsn) -> Result<(), DatabaseError>;

    /// Moves what is in memory into files.
    fn flush(&self) -> Result<(), DatabaseError>;

    /// Told that the recovery has read what it needs: work of the engine's own that would have taken cores and
    /// disk from it may begin.
    fn recovered(&self) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Told that a shard has written all pages of a checkpoint: what comes next lies elsewhere in the order of keys.
    /// An engine that sorts what it keeps may put an end to a file here.
    fn pages_written(&self) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Copies everything that is durable into the directory `to`, which does not exist, without waiting for
    /// writers. Returns a sequence number that the copy reaches, and that everything acknowledged before the
    /// call is within. An engine without files has nothing to copy.
    fn checkpoint(&self, to: &Path) -> Result<u64, DatabaseError> {
        Err(DatabaseError(format!(
            "this database cannot be copied into {}",
            to.display()
        )))
    }

    /// Numbers for operators.
    fn metrics(&self) -> StoreMetrics;
}

/// Writes that become visible and durable together, or not at all.
pub trait WriteSet {
    /// Adds one value.
    fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]);

    /// Whether nothing was added.
    fn is_empty(&self) -> bool;

    /// Bytes added so far, with what the engine adds to them.
    fn bytes(&self) -> usize;

    /// Writes all of it and waits until it would survive the loss of power.
    fn commit(self: Box<Self>) -> Result<(), DatabaseError>;
}

/// Reads at one instant, or of whatever is there. May be used from several threads at once.
pub trait Reads: Send + Sync {
    /// The value under a key.
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Every key from `first` up to, not including, `end`, in order, with its value.
    fn scan(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
        each: Each<'_>,
    ) -> Result<(), ReadError>;

    /// The last key from `first` up to, not including, `end`, with its value.
    fn last(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
    ) -> Result<Option<Stored>, ReadError>;
}
