//! Configuration of a store: its directory, and the limits on its memory and disk.
//!
//! Plain values, validated where they are used. The keys of the configuration file belong to `ingest`.

use std::path::PathBuf;

use muster_engine::SHARDS;

use crate::error::OpenError;
use crate::paths;

const MIB: usize = 1024 * 1024;

/// Memtables of the journal: one active, the others flushing. A slow disk stalls writes only once all of them are full,
/// which takes two seconds at 2 M check-ins/s.
pub(crate) const JOURNAL_MEMTABLES: usize = 6;

/// Memtables of the pages. Fewer, because a checkpoint adds a bounded number of pages to each commit.
pub(crate) const PAGES_MEMTABLES: usize = 3;

/// Memtables of the other column families, which are not configurable: two each of inventory, control and meta.
const OTHER_MEMTABLES_BYTES: usize = 48 * MIB;

/// Tables that RocksDB keeps open.
const OPEN_TABLES_MAX: u16 = 512;

/// Other open files: logs, manifest, info log, locks, directories, the output of flushes, compactions and backups, and
/// tables beyond the bound that are in use, because RocksDB closes no table that is being read.
const OPEN_BESIDE_TABLES_MAX: u64 = 128;

/// The directory of a store, and its limits on memory and disk.
///
/// Memory, worst case: six memtables of `journal`, three of `pages`, those of the other column families (48 MiB), the
/// block cache, and twice `group_bytes_max` for the commits and RocksDB's copy of them. With the defaults that is 384
/// MiB; it is allocated as data arrives.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The data directory. Created if missing; otherwise it must be empty or a data directory of Muster.
    pub directory: PathBuf,
    /// Number of shards. A directory with another number is refused.
    pub shards: u16,
    /// Size of one group of commits at most. Bounds its memory and the time of its sync. A larger commit is written
    /// alone.
    pub group_bytes_max: usize,
    /// Size at which a journal memtable is flushed; also about the size of a journal file, the unit that trim drops.
    pub journal_memtable_bytes: usize,
    /// Size at which a pages memtable is flushed.
    pub pages_memtable_bytes: usize,
    /// Total size of write-ahead logs at which RocksDB flushes the column families that hold the oldest one. Bounds
    /// their disk space and the bytes replayed after a crash.
    pub wal_bytes_max: u64,
    /// Block cache for point reads (inventory, control); scans bypass it.
    pub block_cache_bytes: usize,
    /// Tables that RocksDB keeps open.
    pub open_tables_max: u16,
}

impl StoreConfig {
    /// Files that a store with the defaults has open at most.
    pub const OPEN_FILES_MAX: u64 = OPEN_TABLES_MAX as u64 + OPEN_BESIDE_TABLES_MAX;

    /// The defaults for a data directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            shards: SHARDS,
            group_bytes_max: 8 * MIB,
            journal_memtable_bytes: 32 * MIB,
            pages_memtable_bytes: 32 * MIB,
            wal_bytes_max: 128 * MIB as u64,
            block_cache_bytes: 32 * MIB,
            open_tables_max: OPEN_TABLES_MAX,
        }
    }

    /// Maximum memory with the defaults, without the commits that are being written.
    #[must_use]
    pub fn memory_beside_groups(directory: impl Into<PathBuf>) -> u64 {
        let config = Self::new(directory);
        let memtables = JOURNAL_MEMTABLES * config.journal_memtable_bytes
            + PAGES_MEMTABLES * config.pages_memtable_bytes;
        (memtables + OTHER_MEMTABLES_BYTES + config.block_cache_bytes) as u64
    }

    /// Resolves the directory: an open store keeps its directory, wherever its path leads later.
    pub(crate) fn resolved(&self) -> Result<Self, OpenError> {
        let directory = paths::resolve(&self.directory)
            .map_err(|error| OpenError::io(&self.directory, "resolve its path", error))?;
        Ok(Self {
            directory,
            ..self.clone()
        })
    }

    /// Sets the number of shards, for tests: a server always has [`SHARDS`].
    #[must_use]
    pub fn with_shards(self, shards: u16) -> Self {
        Self { shards, ..self }
    }
}
