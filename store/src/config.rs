//! What a store is opened with: where it lies and the bounds on what it holds.
//!
//! Plain values, checked where they are used. The keys of the configuration file belong to `ingest`.

use std::path::PathBuf;

use crate::error::OpenError;
use crate::paths;

const MIB: usize = 1024 * 1024;

/// Memtables of the journal: one filling, the others flushing. A disk that is slow for a moment shows as waiting
/// writes only after all of them are full: at 2 M check-ins/s that is two seconds.
pub(crate) const JOURNAL_MEMTABLES: usize = 6;

/// The same of the pages, of which a checkpoint writes no more than its share of a commit.
pub(crate) const PAGES_MEMTABLES: usize = 3;

/// Memtables of the column families that have no key of their own: two of inventory, control and meta each.
const OTHER_MEMTABLES_BYTES: usize = 48 * MIB;

/// Tables that RocksDB keeps open.
const OPEN_TABLES_MAX: u16 = 512;

/// Files open beside those: logs, manifest, diary, locks, directories, what flush, compaction and backup write, and the
/// tables in use beyond the bound, as RocksDB closes none that somebody reads.
const OPEN_BESIDE_TABLES_MAX: u64 = 128;

/// Where a store lies and how much memory and disk it may hold.
///
/// Memory, worst case: six memtables of `journal`, three of `pages`, those of the other column families
/// (48 MiB), the block cache, and twice `group_bytes_max` for the commits and RocksDB's copy of them. With
/// the defaults that is 384 MiB; a store that takes little holds little.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The data directory. It is created when missing; it must be empty or a data directory of Muster.
    pub directory: PathBuf,
    /// Number of shards, 1 or more. A new directory needs it and keeps it for ever; for an existing one
    /// `None` takes what the directory says.
    pub shards: Option<u16>,
    /// One write stops taking further commits once it holds this many bytes. Bounds its memory and
    /// the time of one sync. A single larger commit is written alone.
    pub group_bytes_max: usize,
    /// Size at which the memtable of the journal is flushed to a file; also about the size of one
    /// journal file, which is what trim drops at once.
    pub journal_memtable_bytes: usize,
    /// Size at which the memtable of the pages is flushed.
    pub pages_memtable_bytes: usize,
    /// Size of all write-ahead logs together at which the oldest is released by flushing what it holds.
    /// Bounds the disk they take and the bytes read again after a crash.
    pub wal_bytes_max: u64,
    /// Memory for blocks read by point (inventory, control); scans do not use it.
    pub block_cache_bytes: usize,
    /// Tables that RocksDB keeps open.
    pub open_tables_max: u16,
}

impl StoreConfig {
    /// Files that a store with the defaults has open at most.
    pub const OPEN_FILES_MAX: u64 = OPEN_TABLES_MAX as u64 + OPEN_BESIDE_TABLES_MAX;

    /// The defaults, for the data directory given.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            shards: None,
            group_bytes_max: 8 * MIB,
            journal_memtable_bytes: 32 * MIB,
            pages_memtable_bytes: 32 * MIB,
            wal_bytes_max: 128 * MIB as u64,
            block_cache_bytes: 32 * MIB,
            open_tables_max: OPEN_TABLES_MAX,
        }
    }

    /// Memory of the defaults for a directory, at most, without the commits that are being written.
    #[must_use]
    pub fn memory_beside_groups(directory: impl Into<PathBuf>) -> u64 {
        let config = Self::new(directory);
        let memtables = JOURNAL_MEMTABLES * config.journal_memtable_bytes
            + PAGES_MEMTABLES * config.pages_memtable_bytes;
        (memtables + OTHER_MEMTABLES_BYTES + config.block_cache_bytes) as u64
    }

    /// The same with its directory resolved: an open store stays where it is, whatever its path leads to later.
    pub(crate) fn resolved(&self) -> Result<Self, OpenError> {
        let directory = paths::resolve(&self.directory)
            .map_err(|error| OpenError::io(&self.directory, "find", error))?;
        Ok(Self {
            directory,
            ..self.clone()
        })
    }

    /// The same with a number of shards.
    #[must_use]
    pub fn with_shards(self, shards: u16) -> Self {
        Self {
            shards: Some(shards),
            ..self
        }
    }
}
