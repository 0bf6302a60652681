//! RocksDB as the [`Database`] of a store: the only file, with `keyspace.rs` and its options, that calls it.
//!
//! Iterators never leave a method: the binding would let them outlive their snapshot. Scans hold one value at a
//! time and pass by the block cache. Bounds are those of `keyspace.rs`.

use std::path::{Path, PathBuf};

use rocksdb::{DB, DBRawIterator, Options, ReadOptions, Snapshot, WriteBatch, WriteOptions};

use crate::config::StoreConfig;
use crate::database::{Database, DatabaseError, Each, Reads, Stored, WriteSet};
use crate::error::ReadError;
use crate::keys;
use crate::keyspace::{self, Keyspace, Mode};
use crate::kill_point::kill_point;
use crate::metrics::StoreMetrics;

/// Read ahead of a scan: a recovery reads hundreds of megabytes in order.
const SCAN_READAHEAD_BYTES: usize = 2 * 1024 * 1024;

/// RocksDB's name for the number of memtables that are being flushed.
const IMMUTABLE_MEMTABLES: &str = "rocksdb.num-immutable-mem-table";

/// An open RocksDB.
pub(crate) struct Rocks {
    pub(crate) db: DB,
    /// They hold the statistics.
    pub(crate) options: Options,
    pub(crate) directory: PathBuf,
}

impl Rocks {
    pub(crate) fn open(
        directory: &Path,
        config: &StoreConfig,
        mode: Mode,
    ) -> Result<Self, rocksdb::Error> {
        let (db, options) = keyspace::open(directory, config, mode)?;
        Ok(Self {
            db,
            options,
            directory: directory.to_path_buf(),
        })
    }
}

impl From<rocksdb::Error> for DatabaseError {
    fn from(error: rocksdb::Error) -> Self {
        Self(error.into_string())
    }
}

impl Database for Rocks {
    fn writes(&self, bytes: usize) -> Box<dyn WriteSet + '_> {
        Box::new(RocksWrites {
            db: &self.db,
            batch: WriteBatch::with_capacity_bytes(bytes),
        })
    }

    fn latest(&self) -> Box<dyn Reads + '_> {
        Box::new(RocksReads {
            db: &self.db,
            snapshot: None,
        })
    }

    fn snapshot(&self) -> Box<dyn Reads + '_> {
        Box::new(RocksReads {
            db: &self.db,
            snapshot: Some(self.db.snapshot()),
        })
    }

    /// Whole files first, by dropping them. The rest is the head of one file, which goes with that file at the
    /// next trim, and the head of the memtable, which one range tombstone keeps from being flushed.
    fn trim(&self, first: u64, end: u64) -> Result<(), DatabaseError> {
        let family = Keyspace::Journal.of(&self.db);
        kill_point("store.trim.before_files");
        self.db
            .delete_file_in_range_cf(family, keys::journal(0), keys::journal(end - 1))?;
        kill_point("store.trim.after_files");
        // The tombstone must not reach back into a file, nor into a memtable that is just becoming one: files
        // that overlap are merged by compaction, the others only moved. What is left out goes with its file.
        if self.db.property_int_value_cf(family, IMMUTABLE_MEMTABLES)? != Some(0) {
            return Ok(());
        }
        let files = self.db.live_files()?;
        let in_files = files
            .iter()
            .filter(|file| file.column_family_name == Keyspace::Journal.name())
            .filter_map(|file| keys::journal_position(file.end_key.as_deref()?))
            .max();
        let first = in_files.map_or(first, |last| first.max(last.saturating_add(1)));
        if first >= end {
            return Ok(());
        }
        let mut writes = WriteBatch::new();
        writes.delete_range_cf(family, keys::journal(first), keys::journal(end));
        // Not synced: were it lost, the values would be flushed and go with their file.
        kill_point("store.trim.before_range");
        self.db.write(writes)?;
        kill_point("store.trim.after_range");
        Ok(())
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        for keyspace in Keyspace::ALL {
            self.db.flush_cf(keyspace.of(&self.db)).map_err(|error| {
                DatabaseError(format!("flush of {} failed: {error}", keyspace.name()))
            })?;
            kill_point("store.close.between_flushes");
        }
        Ok(())
    }

    fn metrics(&self) -> StoreMetrics {
        StoreMetrics::read(self)
    }
}

struct RocksWrites<'a> {
    db: &'a DB,
    batch: WriteBatch,
}

impl WriteSet for RocksWrites<'_> {
    fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) {
        self.batch.put_cf(keyspace.of(self.db), key, value);
    }

    fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    fn bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }

    fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        Ok(self.db.write_opt(self.batch, &synced)?)
    }
}

struct RocksReads<'a> {
    db: &'a DB,
    snapshot: Option<Snapshot<'a>>,
}

impl RocksReads<'_> {
    fn cursor(&self, keyspace: Keyspace, first: &[u8], end: &[u8]) -> DBRawIterator<'_> {
        let mut options = self.read_options();
        options.fill_cache(false);
        options.set_readahead_size(SCAN_READAHEAD_BYTES);
        options.set_iterate_range(first.to_vec()..end.to_vec());
        self.db.raw_iterator_cf_opt(keyspace.of(self.db), options)
    }

    fn read_options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(snapshot);
        }
        options
    }
}

impl Reads for RocksReads<'_> {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let family = keyspace.of(self.db);
        let stored = self
            .db
            .get_pinned_cf_opt(family, key, &self.read_options())
            .map_err(|error| ReadError::database(keyspace, &error))?;
        Ok(stored.map(|stored| stored.to_vec()))
    }

    fn scan(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
        each: Each<'_>,
    ) -> Result<(), ReadError> {
        let mut cursor = self.cursor(keyspace, first, end);
        cursor.seek_to_first();
        while let Some((key, stored)) = cursor.item() {
            if each(key, stored).is_break() {
                return Ok(());
            }
            cursor.next();
        }
        // An iterator that met damage looks like one at its end: only the status tells them apart.
        cursor
            .status()
            .map_err(|error| ReadError::database(keyspace, &error))
    }

    fn last(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
    ) -> Result<Option<Stored>, ReadError> {
        let mut cursor = self.cursor(keyspace, first, end);
        cursor.seek_to_last();
        let last = cursor
            .item()
            .map(|(key, stored)| (key.to_vec(), stored.to_vec()));
        cursor
            .status()
            .map_err(|error| ReadError::database(keyspace, &error))?;
        Ok(last)
    }
}
