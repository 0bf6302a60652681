//! Metrics of the store: plain structs, filled by the writer and from RocksDB; `ingest` names and exposes them.

use hdrhistogram::Histogram;

/// Upper bound of the sync histogram; longer syncs are recorded as this.
const SYNC_NANOSECONDS_MAX: u64 = 60_000_000_000;

/// Counters of the writer since its creation. Owned and written by the writer thread; others get a clone.
#[derive(Clone, Debug)]
pub struct WriterMetrics {
    /// Writes to RocksDB that carried commits, one sync each.
    pub groups: u64,
    /// Commits made durable.
    pub commits: u64,
    /// Syncs. Equal to `groups`; compare with `commits` for the effect of group commit.
    pub syncs: u64,
    /// Bytes handed to RocksDB.
    pub bytes: u64,
    /// Journal values written.
    pub journal_values: u64,
    /// Pages written.
    pub pages: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Trims of the journal.
    pub trims: u64,
    /// Latency of write and sync of a group.
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

/// Sizes of RocksDB and of the data directory now, and counters of RocksDB since the store was opened.
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
    /// Time that writes were stalled by flush or compaction, in microseconds.
    pub stall_microseconds: u64,
    /// Whether writes are stalled now.
    pub stalled: bool,
    /// Bytes written by flushes.
    pub flush_bytes: u64,
    /// Bytes written by compactions.
    pub compaction_bytes: u64,
    /// Syncs of the write-ahead log.
    pub wal_syncs: u64,
}
