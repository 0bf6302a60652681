//! Reads the metrics of RocksDB and of the data directory.
//!
//! On request only: lists the directory and reads properties and tickers of RocksDB. Stateless.

use std::fs;
use std::path::Path;

use rocksdb::statistics::Ticker;

use super::Rocks;
use crate::deferred_deletion;
use crate::keyspace::Keyspace;
use crate::metrics::StoreMetrics;

pub(super) fn read(rocks: &Rocks) -> StoreMetrics {
    let property = |keyspace: Keyspace, name: &str| {
        let value = rocks
            .db
            .property_int_value_cf(keyspace.column_family(&rocks.db), name);
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
    StoreMetrics {
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

/// Bytes of all files, each counted once, and of the logs among them. A file deleted meanwhile counts as 0.
fn directory_bytes(directory: &Path) -> (u64, u64) {
    let (mut all, mut logs) = (0, 0);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let metadata = entry.metadata();
        let bytes = metadata.map_or(0, |metadata| {
            deferred_deletion::disk_bytes(&entry.path(), &metadata)
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
