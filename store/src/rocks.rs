//! RocksDB as the [`Database`] of a store: nothing outside this file and its folder calls it.
//!
//! Iterators never leave a method: the binding would let them outlive their snapshot. Scans hold one value at a
//! time and pass by the block cache. Bounds are those of `options.rs`.

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
use crate::database::{Database, DatabaseError, Each, Reads, Stored, WriteSet};
use crate::error::{OpenError, ReadError};
use crate::keys;
use crate::keyspace::Keyspace;
use crate::kill_point::kill_point;
use crate::lsn::Lsn;
use crate::metrics::StoreMetrics;

use options::LogEnd;
pub(crate) use options::Mode;

/// Read ahead of a scan: a recovery reads hundreds of megabytes in order.
const SCAN_READAHEAD_BYTES: usize = 2 * 1024 * 1024;

/// RocksDB's name for the number of memtables that are being flushed.
const IMMUTABLE_MEMTABLES: &str = "rocksdb.num-immutable-mem-table";

/// RocksDB's name for the bytes in the memtable that takes writes.
const ACTIVE_MEMTABLE_BYTES: &str = "rocksdb.cur-size-active-mem-table";

/// An open RocksDB.
pub(crate) struct Rocks {
    pub(crate) db: DB,
    /// They hold the statistics.
    pub(crate) options: Options,
    pub(crate) directory: PathBuf,
    /// Pages in memory that are worth a file of their own; fewer are cheap to merge, whatever they lie beside.
    pages_file_bytes_min: u64,
    /// None where nothing is written.
    mark: Option<Mutex<AcknowledgedMark>>,
    /// What was found wrong and set right, for operators.
    pub(crate) notices: Vec<String>,
}

impl Rocks {
    /// Opens RocksDB once it is sure that nothing acknowledged is missing; until then nothing is changed.
    pub(crate) fn open(
        directory: &Path,
        config: &StoreConfig,
        mode: Mode,
    ) -> Result<Self, OpenError> {
        let on_mark = |error| OpenError::io(directory, "read or write ACKNOWLEDGED", error);
        let found = match mode {
            // Nothing was acknowledged before a creation was finished.
            Mode::Create => Found::Missing,
            Mode::Existing | Mode::ReadOnly => {
                acknowledged_mark::read(directory).map_err(on_mark)?
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
                // Opening has put into files and synced whatever the logs held.
                let mark = AcknowledgedMark::begin(directory, found, db.latest_sequence_number());
                Some(Mutex::new(mark.map_err(on_mark)?))
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

    /// Notes that everything written so far is durable. Every write here is synced, so what RocksDB has
    /// published is.
    fn acknowledge(&self) -> io::Result<()> {
        let Some(mark) = &self.mark else {
            return Ok(());
        };
        // A mark that a panic left half written is written whole the next time.
        let mut mark = mark.lock().unwrap_or_else(PoisonError::into_inner);
        mark.advance(self.db.latest_sequence_number())
    }
}

/// Opens RocksDB and compares what its log reaches with the acknowledged mark.
fn open_database(
    directory: &Path,
    config: &StoreConfig,
    mode: Mode,
    found: Found,
    notices: &mut Vec<String>,
) -> Result<(DB, Options), OpenError> {
    let log_end = match found {
        // The mark tells a torn end of the log, which is dropped, from a lost one.
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

/// What operators are told of a mark that is not as it was written.
fn notice_of_mark(found: Found, mode: Mode) -> Option<String> {
    let fault = match found {
        Found::Missing if mode != Mode::Create => "missing",
        Found::Damaged => "damaged",
        Found::Missing | Found::Sequence(_) => return None,
    };
    let made_anew = if mode == Mode::ReadOnly {
        ""
    } else {
        " and was made anew"
    };
    Some(format!(
        "file ACKNOWLEDGED is {fault}{made_anew}; the log was read without it"
    ))
}

impl Keyspace {
    fn of(self, db: &DB) -> &ColumnFamily {
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

    /// Whole files first, by dropping them. The rest is the head of one file, which goes with that file at the
    /// next trim, and the head of the memtable, which one range tombstone keeps from being flushed.
    fn trim(&self, first: Lsn, end: Lsn) -> Result<(), DatabaseError> {
        let family = Keyspace::Journal.of(&self.db);
        let last = Lsn(end.0 - 1);
        kill_point("store.trim.before_files");
        self.db
            .delete_file_in_range_cf(family, keys::journal(Lsn(0)), keys::journal(last))?;
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
            .filter_map(|file| keys::journal_lsn(file.end_key.as_deref()?))
            .max();
        let first = in_files.map_or(first, |last| first.max(Lsn(last.0.saturating_add(1))));
        if first >= end {
            return Ok(());
        }
        let mut writes = WriteBatch::new();
        writes.delete_range_cf(family, keys::journal(first), keys::journal(end));
        // Synced, although its loss would cost nothing: the mark may count what has a sequence number, from
        // any thread. It is one sync a checkpoint, behind all completions.
        kill_point("store.trim.before_range");
        self.db.write_opt(writes, &synced())?;
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

    fn recovered(&self) -> Result<(), DatabaseError> {
        let family = Keyspace::Pages.of(&self.db);
        Ok(self.db.set_options_cf(family, &options::COMPACTION_ON)?)
    }

    /// The next pages are of another shard, or of the beginning of this one: in one file with these they would cover
    /// all keys, and its compaction would rewrite all pages.
    fn pages_written(&self) -> Result<(), DatabaseError> {
        let family = Keyspace::Pages.of(&self.db);
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
        // Read before: the copy may have more, never less.
        let acknowledged = self.db.latest_sequence_number();
        // Memtables become files first, so that little log has to be copied. What is written meanwhile is in the
        // log, whose end may be cut within a record that nobody was told of.
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
        self.batch.put_cf(keyspace.of(&self.rocks.db), key, value);
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
