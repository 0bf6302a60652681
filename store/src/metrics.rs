//! Numbers for operators: plain structs, filled here, named and exposed by `ingest`.

use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use rocksdb::statistics::Ticker;

use crate::held_files;
use crate::keyspace::Keyspace;
use crate::rocks::Rocks;

/// Longest sync told apart from longer ones.
const SYNC_NANOSECONDS_MAX: u64 = 60_000_000_000;

/// What the writer has done since it was made. Owned and written by the writer thread; others get a clone.
#[derive(Clone, Debug)]
pub struct WriterMetrics {
    /// Writes to RocksDB that carried commits, one sync each.
    pub groups: u64,
    /// Commits made durable.
    pub commits: u64,
    /// Syncs waited for. Equal to `groups`: what it is compared with is `commits`.
    pub syncs: u64,
    /// Bytes handed to RocksDB.
    pub bytes: u64,
    /// Journal values among them.
    pub journal_values: u64,
    /// Pages among them.
    pub pages: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Times that the head of the journal was deleted.
    pub trims: u64,
    /// Time of write and sync of a group.
    pub sync_nanoseconds: Histogram<u64>,
}

impl Default for WriterMetrics {
    fn default() -> Self {
        let sync_nanoseconds = Histogram::new_with_bounds(1_000, SYNC_NANOSECONDS_MAX, 2)
            .expect("the bounds are constants in order");
        Self {
            groups: 0,
            commits: 0,
            syncs: 0,
            bytes: 0,
            journal_values: 0,
            pages: 0,
            checkpoints: 0,
            trims: 0,
            sync_nanoseconds,
        }
    }
}

/// What RocksDB and the directory hold now, and what RocksDB has done since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreMetrics {
    /// All files of the data directory.
    pub directory_bytes: u64,
    /// Write-ahead logs among them.
    pub wal_bytes: u64,
    /// Table files of the journal.
    pub journal_file_bytes: u64,
    /// Table files of all column families, in bytes.
    pub table_file_bytes: u64,
    /// Memtables of all column families.
    pub memtable_bytes: u64,
    /// Time that writes have waited for flush or compaction, in microseconds.
    pub stall_microseconds: u64,
    /// Whether writes wait at this moment.
    pub stalled: bool,
    /// Bytes written by flushes.
    pub flush_bytes: u64,
    /// Bytes written by compactions.
    pub compaction_bytes: u64,
    /// Syncs of the write-ahead log.
    pub wal_syncs: u64,
}

impl StoreMetrics {
    pub(crate) fn read(rocks: &Rocks) -> Self {
        let property = |keyspace: Keyspace, name: &str| {
            let value = rocks.db.property_int_value_cf(keyspace.of(&rocks.db), name);
            value.ok().flatten().unwrap_or(0)
        };
        let total = |name: &str| {
            Keyspace::ALL
                .map(|keyspace| property(keyspace, name))
                .iter()
                .sum()
        };
        let ticker = |ticker| rocks.options.get_ticker_count(ticker);
        let (directory_bytes, wal_bytes) = directory_bytes(&rocks.directory);
        Self {
            directory_bytes,
            wal_bytes,
            journal_file_bytes: property(Keyspace::Journal, "rocksdb.live-sst-files-size"),
            table_file_bytes: total("rocksdb.live-sst-files-size"),
            memtable_bytes: total("rocksdb.cur-size-all-mem-tables"),
            stall_microseconds: ticker(Ticker::StallMicros),
            stalled: total("rocksdb.is-write-stopped") > 0
                || property(Keyspace::Meta, "rocksdb.actual-delayed-write-rate") > 0,
            flush_bytes: ticker(Ticker::FlushWriteBytes),
            compaction_bytes: ticker(Ticker::CompactWriteBytes),
            wal_syncs: ticker(Ticker::WalFileSynced),
        }
    }
}

/// All files, each once, and the logs among them. A file that goes away meanwhile counts as nothing.
fn directory_bytes(directory: &Path) -> (u64, u64) {
    let (mut all, mut logs) = (0, 0);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let metadata = entry.metadata();
        let bytes = metadata.map_or(0, |metadata| {
            held_files::own_bytes(&entry.path(), &metadata)
        });
        all += bytes;
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "log")
        {
            logs += bytes;
        }
    }
    (all, logs)
}
