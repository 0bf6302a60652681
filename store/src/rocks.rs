//! RocksDB as the [`Database`] of a store. Only this module and its submodules call RocksDB.
//!
//! Iterators do not leave a method, because the binding would let them outlive their snapshot. A scan has one value in
//! memory at a time and bypasses the block cache. Owned by the store; bounds are set in `options.rs`. Does not
//! interpret values.

mod metrics;
mod options;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamily, DB, DBRawIterator, FlushOptions, Options, ReadOptions, Snapshot, WriteBatch,
    WriteOptions,
};

use crate::acknowledged_mark::{self, AcknowledgedMark, Found};
use crate::config::StoreConfig;
use crate::database::{Database, DatabaseError, Reads, Stored, Visitor, WriteSet};
use crate::error::{OpenError, ReadError};
use crate::keys;
use crate::keyspace::Keyspace;
use crate::kill_point::kill_point;
use crate::lsn::Lsn;
use crate::metrics::StoreMetrics;

use options::LogEnd;
pub(crate) use options::Mode;

/// Readahead of a scan: recovery reads hundreds of megabytes sequentially.
const SCAN_READAHEAD_BYTES: usize = 2 * 1024 * 1024;

/// RocksDB property: number of immutable memtables, which wait for a flush or are being flushed.
const IMMUTABLE_MEMTABLES: &str = "rocksdb.num-immutable-mem-table";

/// RocksDB property: bytes in the active memtable.
const ACTIVE_MEMTABLE_BYTES: &str = "rocksdb.cur-size-active-mem-table";

/// An open RocksDB.
pub(crate) struct Rocks {
    pub(crate) db: DB,
    /// Kept because they own the statistics.
    pub(crate) options: Options,
    pub(crate) directory: PathBuf,
    /// Bytes of pages in the memtable from which on they get their own file; fewer are cheap to compact with other
    /// keys.
    pages_file_bytes_min: u64,
    /// `None` if opened read-only.
    mark: Option<Mutex<AcknowledgedMark>>,
    /// Faults found while opening, for operators.
    pub(crate) notices: Vec<String>,
}

impl Rocks {
    /// Opens RocksDB. First verifies that no acknowledged write is missing; changes nothing before that.
    pub(crate) fn open(
        directory: &Path,
        config: &StoreConfig,
        mode: Mode,
    ) -> Result<Self, OpenError> {
        let mark_error = |error| OpenError::io(directory, "read or write ACKNOWLEDGED", error);
        let found = match mode {
            // Nothing is acknowledged before a creation is complete.
            Mode::Create => Found::Missing,
            Mode::Existing | Mode::ReadOnly => {
                acknowledged_mark::read(directory).map_err(mark_error)?
            }
        };
        let mut notices = Vec::from_iter(notice_of_mark(found, mode));
        if mode == Mode::Existing && matches!(found, Found::Sequence(_)) {
            let read_only = Mode::ReadOnly;
            drop(open_database(
                directory,
                config,
                read_only,
                found,
                &mut notices,
            )?);
        }
        let (db, options) = open_database(directory, config, mode, found, &mut notices)?;
        let mark = match mode {
            Mode::ReadOnly => None,
            Mode::Create | Mode::Existing => {
                // Opening has flushed the contents of the logs to synced files.
                let mark = AcknowledgedMark::begin(directory, found, db.latest_sequence_number());
                Some(Mutex::new(mark.map_err(mark_error)?))
            }
        };
        Ok(Self {
            db,
            options,
            directory: directory.to_path_buf(),
            pages_file_bytes_min: config.pages_memtable_bytes as u64 / 8,
            mark,
            notices,
        })
    }

    /// Advances the acknowledged mark to RocksDB's latest sequence number. Every write here is synced, so everything up
    /// to that number is durable.
    fn acknowledge(&self) -> io::Result<()> {
        let Some(mark) = &self.mark else {
            return Ok(());
        };
        // A panic may leave one copy torn; the next advance writes the other.
        let mut mark = mark.lock().unwrap_or_else(PoisonError::into_inner);
        mark.advance(self.db.latest_sequence_number())
    }
}

/// Opens RocksDB and compares its sequence number with the acknowledged mark.
fn open_database(
    directory: &Path,
    config: &StoreConfig,
    mode: Mode,
    found: Found,
    notices: &mut Vec<String>,
) -> Result<(DB, Options), OpenError> {
    let log_end = match found {
        // The mark distinguishes a torn tail, which is dropped, from lost acknowledged writes.
        Found::Sequence(_) => LogEnd::MayBeTorn,
        Found::Missing | Found::Damaged => LogEnd::Strict,
    };
    let (db, options, dropped) = options::open(directory, config, mode, log_end)
        .map_err(|error| OpenError::database(directory, &error))?;
    notices.extend(dropped);
    let reached = db.latest_sequence_number();
    match found {
        Found::Sequence(acknowledged) if reached < acknowledged => {
            Err(OpenError::AcknowledgedMissing {
                directory: directory.to_path_buf(),
                reached,
                damage: in_parentheses(notices),
                acknowledged,
            })
        }
        _ => Ok((db, options)),
    }
}

/// The notice about a missing or damaged mark.
fn notice_of_mark(found: Found, mode: Mode) -> Option<String> {
    let state = match found {
        Found::Missing if mode != Mode::Create => "missing",
        Found::Damaged => "damaged",
        Found::Missing | Found::Sequence(_) => return None,
    };
    let recreated = if mode == Mode::ReadOnly {
        ""
    } else {
        " and was recreated"
    };
    Some(format!(
        "file ACKNOWLEDGED is {state}{recreated}; the log was read without it"
    ))
}

impl Keyspace {
    fn column_family(self, db: &DB) -> &ColumnFamily {
        db.cf_handle(self.name())
            .expect("open() opens every column family")
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
            rocks: self,
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

    /// First drops whole files. The rest is the head of one file, which a later trim drops, and the head of the
    /// memtable, which one range tombstone keeps from being flushed.
    fn trim(&self, first: Lsn, end: Lsn) -> Result<(), DatabaseError> {
        let family = Keyspace::Journal.column_family(&self.db);
        let last = Lsn(end.0 - 1);
        kill_point("store.trim.before_files");
        self.db
            .delete_file_in_range_cf(family, keys::journal(Lsn(0)), keys::journal(last))?;
        kill_point("store.trim.after_files");
        // The tombstone must not cover keys of a file, nor of a memtable that is being flushed: compaction would merge
        // overlapping files, and only moves the others. Keys that are left out are dropped with their file.
        if self.db.property_int_value_cf(family, IMMUTABLE_MEMTABLES)? != Some(0) {
            return Ok(());
        }
        let files = self.db.live_files()?;
        let in_files = files
            .iter()
            .filter(|file| file.column_family_name == Keyspace::Journal.name())
            .filter_map(|file| keys::journal_lsn(file.end_key.as_deref()?))
            .max();
        let first = in_files.map_or(first, |last| first.max(Lsn(last.0.saturating_add(1))));
        if first >= end {
            return Ok(());
        }
        let mut writes = WriteBatch::new();
        writes.delete_range_cf(family, keys::journal(first), keys::journal(end));
        // Synced, although its loss would be harmless: any thread may advance the mark to the sequence number of this
        // write, which must be durable then. One sync per checkpoint, after all completions.
        kill_point("store.trim.before_range");
        self.db.write_opt(writes, &synced())?;
        kill_point("store.trim.after_range");
        Ok(())
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        for keyspace in Keyspace::ALL {
            self.db
                .flush_cf(keyspace.column_family(&self.db))
                .map_err(|error| {
                    DatabaseError(format!("flush of {} failed: {error}", keyspace.name()))
                })?;
            kill_point("store.close.between_flushes");
        }
        Ok(())
    }

    fn recovered(&self) -> Result<(), DatabaseError> {
        let family = Keyspace::Pages.column_family(&self.db);
        Ok(self.db.set_options_cf(family, &options::COMPACTION_ON)?)
    }

    /// Ends a file here, if it is worth one: the next pages belong to another shard or to the beginning of this one. A
    /// file with both would span all keys, and its compaction would rewrite all pages.
    fn pages_written(&self) -> Result<(), DatabaseError> {
        let family = Keyspace::Pages.column_family(&self.db);
        let bytes = self
            .db
            .property_int_value_cf(family, ACTIVE_MEMTABLE_BYTES)?;
        if bytes.unwrap_or_default() < self.pages_file_bytes_min {
            return Ok(());
        }
        let mut options = FlushOptions::default();
        options.set_wait(false);
        Ok(self.db.flush_cf_opt(family, &options)?)
    }

    fn checkpoint(&self, to: &Path) -> Result<u64, DatabaseError> {
        // Read before the checkpoint: the copy may reach further, never less far.
        let acknowledged = self.db.latest_sequence_number();
        // RocksDB flushes memtables first, so that it copies little of the log. Concurrent writes are in the log, whose
        // copy may end within a record that is not acknowledged.
        Checkpoint::new(&self.db)?.create_checkpoint(to)?;
        Ok(acknowledged)
    }

    fn metrics(&self) -> StoreMetrics {
        metrics::read(self)
    }
}

struct RocksWrites<'a> {
    rocks: &'a Rocks,
    batch: WriteBatch,
}

impl WriteSet for RocksWrites<'_> {
    fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) {
        self.batch
            .put_cf(keyspace.column_family(&self.rocks.db), key, value);
    }

    fn delete(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.batch
            .delete_cf(keyspace.column_family(&self.rocks.db), key);
    }

    fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    fn bytes(&self) -> usize {
        self.batch.size_in_bytes()
    }

    fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        self.rocks.db.write_opt(self.batch, &synced())?;
        self.rocks
            .acknowledge()
            .map_err(|error| DatabaseError(format!("write of file ACKNOWLEDGED: {error}")))
    }
}

fn in_parentheses(notices: &[String]) -> String {
    match notices {
        [] => String::new(),
        notices => format!(" ({})", notices.join("; ")),
    }
}

fn synced() -> WriteOptions {
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    synced
}

struct RocksReads<'a> {
    db: &'a DB,
    snapshot: Option<Snapshot<'a>>,
}

impl RocksReads<'_> {
    fn iterator(&self, keyspace: Keyspace, first: &[u8], end: &[u8]) -> DBRawIterator<'_> {
        let mut options = self.read_options();
        options.fill_cache(false);
        options.set_readahead_size(SCAN_READAHEAD_BYTES);
        options.set_iterate_range(first.to_vec()..end.to_vec());
        self.db
            .raw_iterator_cf_opt(keyspace.column_family(self.db), options)
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
        let family = keyspace.column_family(self.db);
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
        visit: Visitor<'_>,
    ) -> Result<(), ReadError> {
        let mut iterator = self.iterator(keyspace, first, end);
        iterator.seek_to_first();
        while let Some((key, stored)) = iterator.item() {
            if visit(key, stored).is_break() {
                return Ok(());
            }
            iterator.next();
        }
        // An iterator that met damage is invalid like one at the end; only its status differs.
        iterator
            .status()
            .map_err(|error| ReadError::database(keyspace, &error))
    }

    fn last(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
    ) -> Result<Option<Stored>, ReadError> {
        let mut iterator = self.iterator(keyspace, first, end);
        iterator.seek_to_last();
        let last = iterator
            .item()
            .map(|(key, stored)| (key.to_vec(), stored.to_vec()));
        iterator
            .status()
            .map_err(|error| ReadError::database(keyspace, &error))?;
        Ok(last)
    }
}
