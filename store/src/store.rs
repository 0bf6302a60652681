//! Opens and closes a data directory: [`Store`] and [`ReadOnlyStore`].
//!
//! Order of checks: the file FORMAT (lock, version, shards), then RocksDB, then that `meta` matches FORMAT. A refusal
//! before RocksDB is opened for writing changes no byte. Used from any thread; holds one database, bounded by
//! [`StoreConfig`]. Reads are in `view.rs`, group commits in `writer.rs`.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_engine::TenantIndex;
use muster_wire::DeviceId;

use crate::config::StoreConfig;
use crate::database::{Database, DatabaseError};
use crate::deferred_deletion::DeferredDeletion;
use crate::error::{OpenError, ReadError, WriteError};
use crate::format::{self, Claim, FORMAT_VERSION};
use crate::health::Health;
use crate::inner::Inner;
use crate::keyspace::Keyspace;
use crate::kill_point::kill_point;
use crate::metrics::StoreMetrics;
use crate::rocks::{Mode, Rocks};
use crate::value::ClockRecord;
use crate::view::{JournalEntry, StoreView};
use crate::writer::Writer;
use crate::{keys, value};

/// An open data directory: cheap to clone, shared by all threads. Closed when the last clone and the [`Writer`] are
/// dropped.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = &self.inner.config.directory;
        formatter
            .debug_struct("Store")
            .field("directory", directory)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens a data directory for reading and writing. Creates it if it is missing or empty.
    pub fn open(config: &StoreConfig) -> Result<Self, OpenError> {
        let config = &config.resolved()?;
        let directory = &config.directory;
        let mut claim = format::claim(directory, config.shards)?;
        let mode = if claim.creating {
            Mode::Create
        } else {
            Mode::Existing
        };
        let mut db = Rocks::open(directory, config, mode)?;
        let notices = std::mem::take(&mut db.notices);
        if claim.creating {
            kill_point("store.create.before_meta");
            write_meta(&db, claim.shards)
                .map_err(|error| OpenError::io(directory, "write meta", io::Error::other(error)))?;
            claim.finish_creation()?;
        }
        kill_point("store.open.after_database");
        check_meta(directory, &db, claim.shards)?;
        Self::assemble(config, Box::new(db), claim.shards, Some(claim), notices)
    }

    /// Opens a store on another database than RocksDB, without a directory. Initialises an empty database with
    /// `config.shards`; any other must have been initialised with the same number.
    pub fn open_on(db: Box<dyn Database>, config: &StoreConfig) -> Result<Self, OpenError> {
        let directory = &config.directory;
        let shards = config.shards;
        let format = StoreView::latest(&*db, shards)
            .get(Keyspace::Meta, keys::FORMAT)
            .map_err(|error| OpenError::read(directory, error))?;
        if format.is_none() {
            write_meta(&*db, shards)
                .map_err(|error| OpenError::io(directory, "write meta", io::Error::other(error)))?;
        }
        check_meta(directory, &*db, shards)?;
        Self::assemble(config, db, shards, None, Vec::new())
    }

    fn assemble(
        config: &StoreConfig,
        db: Box<dyn Database>,
        shards: u16,
        claim: Option<Claim>,
        notices: Vec<String>,
    ) -> Result<Self, OpenError> {
        let inner = Inner::new(db, shards, config.clone(), notices, claim);
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Opens the data directory of a stopped or killed server without changing it. Includes the part of the journal
    /// that is only in RocksDB's log.
    pub fn open_read_only(config: &StoreConfig) -> Result<ReadOnlyStore, OpenError> {
        ReadOnlyStore::open(config)
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.inner.shards
    }

    /// The health of the store: healthy, or poisoned with a reason.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.inner.health
    }

    /// Faults that were repaired while opening, such as the torn tail of a log, none of it acknowledged. One line each,
    /// for operators.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.inner.notices
    }

    /// A snapshot of the store. Journal files stay on disk while the view exists.
    #[must_use]
    pub fn snapshot(&self) -> StoreView<'_> {
        StoreView::snapshot(&*self.inner.db, self.shards(), self.inner.trim_gate.block())
    }

    /// The current inventory of a device.
    pub fn inventory(
        &self,
        tenant: TenantIndex,
        device: &DeviceId,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        self.latest().inventory(tenant, device)
    }

    /// The service time of the server that wrote last; `None` before its first write.
    pub fn clock(&self) -> Result<Option<ClockRecord>, ReadError> {
        self.latest().clock()
    }

    /// Reads the journal, passes every value that no checkpoint covers to `visit`, and returns the only writer, which
    /// continues at the end of the journal.
    ///
    /// Read the pages before, from a [`Store::snapshot`], in parallel by shard.
    ///
    /// # Panics
    ///
    /// If another writer of this store exists.
    pub fn recover<E: From<ReadError>>(
        &self,
        visit: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<Writer, E> {
        let taken = self.inner.has_writer.swap(true, Ordering::AcqRel);
        assert!(!taken, "a store has one writer");
        self.read_journal(visit)
            .inspect_err(|_| self.inner.has_writer.store(false, Ordering::Release))
    }

    fn read_journal<E: From<ReadError>>(
        &self,
        visit: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<Writer, E> {
        let view = self.snapshot();
        let journal_state = view.read_journal(visit)?;
        let clock = view.clock()?;
        drop(view);
        kill_point("store.recover.after_journal");
        self.inner
            .db
            .recovered()
            .map_err(|DatabaseError(what)| ReadError::Io { what })?;
        Ok(Writer::new(Arc::clone(&self.inner), journal_state, clock))
    }

    /// Current metrics of RocksDB and the directory. Lists the directory: call it per scrape, not in a loop.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        self.inner.db.metrics()
    }

    /// Deferred deletion of the files of this directory, including those of an earlier process.
    #[must_use]
    pub fn deferred_deletion(&self) -> DeferredDeletion {
        DeferredDeletion::in_directory(&self.inner.config.directory)
    }

    /// Flushes memtables, so that the next start has no log to replay. The directory is unlocked once the other clones
    /// and the writer are dropped. Not needed for durability.
    pub fn close(self) -> Result<(), WriteError> {
        if let Some(reason) = self.inner.health.poisoned() {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        kill_point("store.close.before_flush");
        self.inner.db.flush().map_err(|error| {
            WriteError::Poisoned(self.inner.health.poison(error.to_string()).clone())
        })?;
        kill_point("store.close.after_flush");
        Ok(())
    }

    pub(crate) fn latest(&self) -> StoreView<'_> {
        StoreView::latest(&*self.inner.db, self.shards())
    }
}

/// A data directory opened read-only, by an offline tool.
pub struct ReadOnlyStore {
    // Declared before the lock, so dropped before it.
    db: Rocks,
    claim: Claim,
}

impl fmt::Debug for ReadOnlyStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReadOnlyStore")
            .field("claim", &self.claim)
            .finish_non_exhaustive()
    }
}

impl ReadOnlyStore {
    fn open(config: &StoreConfig) -> Result<Self, OpenError> {
        let config = &config.resolved()?;
        let directory = &config.directory;
        let claim = format::claim_read_only(directory, config.shards)?;
        let db = Rocks::open(directory, config, Mode::ReadOnly)?;
        check_meta(directory, &db, claim.shards)?;
        Ok(Self { db, claim })
    }

    /// Faults that were skipped while opening, such as the torn tail of a log, none of it acknowledged. One line each,
    /// for operators.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.db.notices
    }

    /// A view for all reads. The data cannot change while this store is open, so it needs no snapshot.
    #[must_use]
    pub fn view(&self) -> StoreView<'_> {
        StoreView::latest(&self.db, self.claim.shards)
    }
}

fn write_meta(db: &dyn Database, shards: u16) -> Result<(), DatabaseError> {
    let mut writes = db.writes(0);
    let format = FORMAT_VERSION.to_le_bytes().to_vec();
    for (key, mut payload) in [
        (keys::FORMAT, format),
        (keys::SHARDS, shards.to_le_bytes().to_vec()),
    ] {
        value::seal(Keyspace::Meta, key, &mut payload);
        writes.put(Keyspace::Meta, key, &payload);
    }
    writes.commit()
}

/// Verifies that the database matches the file FORMAT.
fn check_meta(directory: &Path, db: &dyn Database, shards: u16) -> Result<(), OpenError> {
    let view = StoreView::latest(db, shards);
    let get = |key| {
        view.get(Keyspace::Meta, key)
            .map_err(|error| OpenError::read(directory, error))
    };
    if get(keys::FORMAT)?.as_deref() != Some(&FORMAT_VERSION.to_le_bytes()) {
        let what = "meta: its format differs from that in file FORMAT";
        return Err(OpenError::corrupt(directory, what));
    }
    if get(keys::SHARDS)?.as_deref() != Some(&shards.to_le_bytes()) {
        let what = "meta: its number of shards differs from that in file FORMAT";
        return Err(OpenError::corrupt(directory, what));
    }
    Ok(())
}
