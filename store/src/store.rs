//! Opening and closing: from a directory to a [`Store`] or a [`ReadOnlyStore`].
//!
//! Order of checks: the file FORMAT (lock, version, shards), then RocksDB, then that `meta` says the same.
//! Whatever is refused before RocksDB leaves every byte as it was.

use std::collections::BTreeMap;
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
use crate::view::{JournalEntry, StoreView};
use crate::writer::Writer;
use crate::{keys, value};

/// An open data directory: cheap to clone, shared by all threads. It is closed with its last clone and its
/// [`Writer`].
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
    /// Opens a data directory for reading and writing, creating it if it is missing or empty.
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

    /// Opens a store on another database than RocksDB, in no directory. An empty one is created with
    /// `config.shards`; another must have been created so.
    pub fn open_on(db: Box<dyn Database>, config: &StoreConfig) -> Result<Self, OpenError> {
        let directory = &config.directory;
        let shards = config.shards.ok_or_else(|| OpenError::ShardCountMissing {
            directory: directory.clone(),
        })?;
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
        let mut tenants = BTreeMap::new();
        StoreView::latest(&*db, shards)
            .tenants(|name, index| {
                tenants.insert(name.to_owned(), index);
                Ok::<(), ReadError>(())
            })
            .map_err(|error| OpenError::read(&config.directory, error))?;
        let inner = Inner::new(db, shards, config.clone(), tenants, notices, claim);
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Opens a data directory that no server has open, stopped or killed, and changes nothing in it. The
    /// end of the journal that is still in RocksDB's log is seen as well.
    pub fn open_read_only(config: &StoreConfig) -> Result<ReadOnlyStore, OpenError> {
        ReadOnlyStore::open(config)
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.inner.shards
    }

    /// Healthy, or why writes are refused.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.inner.health
    }

    /// What was found wrong at the opening and set right: the torn end of a log that was dropped, say. Nothing of
    /// it was acknowledged. One line each, for operators.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.inner.notices
    }

    /// The store at this instant. Journal files stay on disk while the view exists.
    #[must_use]
    pub fn snapshot(&self) -> StoreView<'_> {
        StoreView::snapshot(&*self.inner.db, self.shards(), self.inner.trim_gate.hold())
    }

    /// The inventory of a device, as it is now.
    pub fn inventory(
        &self,
        tenant: TenantIndex,
        device: &DeviceId,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        self.latest().inventory(tenant, device)
    }

    /// Passes over the journal, hands every value that no checkpoint covers to `each`, and returns the one
    /// writer, which goes on where the journal ends.
    ///
    /// Pages, cells and cohorts are read before, from a [`Store::snapshot`], in parallel by shard.
    ///
    /// # Panics
    ///
    /// While another writer of this store exists.
    pub fn recover<E: From<ReadError>>(
        &self,
        each: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<Writer, E> {
        let taken = self.inner.has_writer.swap(true, Ordering::AcqRel);
        assert!(!taken, "a store has one writer");
        self.read_journal(each)
            .inspect_err(|_| self.inner.has_writer.store(false, Ordering::Release))
    }

    fn read_journal<E: From<ReadError>>(
        &self,
        each: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<Writer, E> {
        let ledger = self.snapshot().read_journal(each)?;
        kill_point("store.recover.after_journal");
        self.inner
            .db
            .recovered()
            .map_err(|DatabaseError(what)| ReadError::Io { what })?;
        Ok(Writer::new(Arc::clone(&self.inner), ledger))
    }

    /// Numbers of RocksDB and of the directory, read now. Lists the directory: for a scrape, not for a loop.
    #[must_use]
    pub fn metrics(&self) -> StoreMetrics {
        self.inner.db.metrics()
    }

    /// The second names of the files of its directory, with what an earlier process has left.
    #[must_use]
    pub fn deferred_deletion(&self) -> DeferredDeletion {
        DeferredDeletion::in_directory(&self.inner.config.directory)
    }

    /// Flushes what is in memory, so that the next start has no log to read again, and lets go of the
    /// directory once the other clones and the writer are dropped. Durable is everything either way.
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

/// A data directory opened for reading only, by a tool.
pub struct ReadOnlyStore {
    // Dropped before its lock.
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
        let claim = format::claim_read_only(directory)?;
        let db = Rocks::open(directory, config, Mode::ReadOnly)?;
        check_meta(directory, &db, claim.shards)?;
        Ok(Self { db, claim })
    }

    /// What was found wrong and left out of what is read: the torn end of a log, say. Nothing of it was
    /// acknowledged. One line each, for operators.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.db.notices
    }

    /// All reads. Nothing can change while this store is open, so there is one instant only.
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

/// The file FORMAT and the database belong together.
fn check_meta(directory: &Path, db: &dyn Database, shards: u16) -> Result<(), OpenError> {
    let view = StoreView::latest(db, shards);
    let get = |key| {
        view.get(Keyspace::Meta, key)
            .map_err(|error| OpenError::read(directory, error))
    };
    if get(keys::FORMAT)?.as_deref() != Some(&FORMAT_VERSION.to_le_bytes()) {
        let what = "meta: its format is not that of file FORMAT";
        return Err(OpenError::corrupt(directory, what));
    }
    if get(keys::SHARDS)?.as_deref() != Some(&shards.to_le_bytes()) {
        let what = "meta: its number of shards is not that of file FORMAT";
        return Err(OpenError::corrupt(directory, what));
    }
    Ok(())
}
