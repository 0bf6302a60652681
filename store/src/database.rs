//! The interface to the storage engine: atomic writes, point reads and ordered scans.
//!
//! The product uses RocksDB (`rocks.rs`); the simulation uses a disk that loses data on command. Both run the same
//! store code above this trait: keys, checksums, checkpoint, trim. One virtual call per value, none per check-in.
//! Bounds are those of the implementation.

use std::ops::ControlFlow;
use std::path::Path;

use crate::error::ReadError;
use crate::keyspace::Keyspace;
use crate::lsn::Lsn;
use crate::metrics::StoreMetrics;

/// Why a write, a flush or a trim failed; the store is poisoned with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DatabaseError(pub String);

/// A key and its value.
pub type Stored = (Vec<u8>, Vec<u8>);

/// Receives the keys and values of a scan; `ControlFlow::Break` ends it.
pub type Visitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A storage engine with atomic writes over all column families ([`Keyspace`]).
pub trait Database: Send + Sync {
    /// An empty write set with capacity for `bytes`.
    fn writes(&self, bytes: usize) -> Box<dyn WriteSet + '_>;

    /// Reads the latest state at each call.
    fn latest(&self) -> Box<dyn Reads + '_>;

    /// Reads the state at this point in time. Values deleted by a later [`Database::trim`] may be missing.
    fn snapshot(&self) -> Box<dyn Reads + '_>;

    /// Deletes the journal from `first` up to but not including `end`. Best effort: these values are obsolete, so some
    /// may stay, and all may reappear after a crash.
    fn trim(&self, first: Lsn, end: Lsn) -> Result<(), DatabaseError>;

    /// Flushes memtables to files.
    fn flush(&self) -> Result<(), DatabaseError>;

    /// Signals that recovery has read all it needs: background work that would compete with it may start.
    fn recovered(&self) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Signals that a shard has written all pages of a checkpoint. The next pages are in another key range, so an
    /// engine with sorted files can end a file here.
    fn pages_written(&self) -> Result<(), DatabaseError> {
        Ok(())
    }

    /// Copies all durable data to the directory `to`, which must not exist, without blocking writers. Returns a
    /// sequence number that the copy includes and that covers everything acknowledged before the call. The default, for
    /// engines without files, is an error.
    fn checkpoint(&self, to: &Path) -> Result<u64, DatabaseError> {
        Err(DatabaseError(format!(
            "this database cannot be copied to {}",
            to.display()
        )))
    }

    /// Metrics for operators.
    fn metrics(&self) -> StoreMetrics;
}

/// Writes that become visible and durable atomically.
pub trait WriteSet {
    /// Adds one value.
    fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]);

    /// Adds the deletion of one value.
    fn delete(&mut self, keyspace: Keyspace, key: &[u8]);

    /// Whether the set is empty.
    fn is_empty(&self) -> bool;

    /// Size of the set, with the engine's overhead.
    fn bytes(&self) -> usize;

    /// Writes the set and waits until it would survive a power loss.
    fn commit(self: Box<Self>) -> Result<(), DatabaseError>;
}

/// Reads of a snapshot or of the latest state. Usable from several threads concurrently.
pub trait Reads: Send + Sync {
    /// The value of a key.
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Every key from `first` up to but not including `end`, in order, with its value.
    fn scan(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
        visit: Visitor<'_>,
    ) -> Result<(), ReadError>;

    /// The last key from `first` up to but not including `end`, with its value.
    fn last(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
    ) -> Result<Option<Stored>, ReadError>;
}
