//! The writer: all waiting commits of all shards, one atomic write, one sync, then the completions.
//!
//! Owned by one thread of `ingest`, which collects what waits and calls [`Writer::write`]; no thread, queue or
//! timer in here. Order of commits is order of arrival. Bounds: one write holds `group_bytes_max`, or one
//! commit that is larger by itself. A failed write poisons the store and is never tried again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use muster_engine::{Sequence, ShardId};

use crate::commit::{CheckpointMark, Commit, Sink};
use crate::database::WriteSet;
use crate::health::PoisonReason;
use crate::inner::Inner;
use crate::keys;
use crate::keyspace::Keyspace;
use crate::kill_point::{self, kill_point};
use crate::ledger::{Ledger, LedgerError};
use crate::lsn::Lsn;
use crate::metrics::WriterMetrics;
use crate::value::{self, JournalStamp};

/// Key, checksum and headers around a value: only used to size a write's buffer once.
const VALUE_OVERHEAD_BYTES: usize = 64;

/// The one writer of a store; made by [`Store::recover`](crate::Store::recover).
pub struct Writer {
    inner: Arc<Inner>,
    ledger: Ledger,
    /// The journal below is needed no more; this is on disk.
    trim: Lsn,
    /// The journal below is deleted.
    deleted: Lsn,
    /// A shard has written all pages of a checkpoint, and the database was not told yet.
    pages_written: bool,
    metrics: WriterMetrics,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Writer")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inner.has_writer.store(false, Ordering::Release);
    }
}

impl Writer {
    pub(crate) fn new(inner: Arc<Inner>, ledger: Ledger) -> Self {
        let metrics = WriterMetrics::default();
        Self {
            inner,
            ledger,
            trim: Lsn(0),
            deleted: Lsn(0),
            pages_written: false,
            metrics,
        }
    }

    /// Makes every commit of the group durable and hands each to `sink`, in order; the group is empty then.
    ///
    /// After a failure, this and every later commit goes to [`Sink::failed`].
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the sync and stamps its end, once a write"
    )]
    pub fn write<P>(&mut self, group: &mut Vec<Commit<P>>, sink: &mut impl Sink<P>) {
        while !group.is_empty() {
            let count = self.fitting(group);
            let started = Instant::now();
            let written = self.write_at_once(&mut group[..count]);
            let ended = Instant::now();
            match written {
                Err(reason) => {
                    group
                        .drain(..)
                        .for_each(|commit| sink.failed(commit, &reason));
                    return;
                }
                Ok(synced) => {
                    if synced {
                        let nanoseconds = (ended - started).as_nanos();
                        let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
                        self.metrics.sync_nanoseconds.saturating_record(nanoseconds);
                    }
                    self.metrics.commits += count as u64;
                    for commit in group.drain(..count) {
                        sink.committed(commit, ended);
                        kill_point("store.group.between_completions");
                    }
                    kill_point("store.group.after_completions");
                }
            }
            // Behind the completions: nobody waits for it.
            self.delete_trimmed();
            self.tell_pages_written();
        }
    }

    /// Bytes at which collecting a group may stop: [`Writer::write`] would split it there.
    #[must_use]
    pub fn group_bytes_max(&self) -> usize {
        self.inner.config.group_bytes_max
    }

    /// Bytes of journal that a recovery would replay; the measure for when to checkpoint.
    #[must_use]
    pub fn journal_bytes_live(&self) -> u64 {
        self.ledger.live_bytes_total()
    }

    /// The same for one shard.
    #[must_use]
    pub fn journal_bytes_live_of(&self, shard: ShardId) -> u64 {
        self.ledger.live_bytes(shard)
    }

    /// Last sequence of a shard in the journal or under its checkpoint; its next commit has one more.
    #[must_use]
    pub fn sequence(&self, shard: ShardId) -> Sequence {
        self.ledger.sequence(shard)
    }

    /// What was done so far.
    #[must_use]
    pub fn metrics(&self) -> &WriterMetrics {
        &self.metrics
    }

    /// How many commits, from the first, go into one write: at least one.
    fn fitting<P>(&self, group: &[Commit<P>]) -> usize {
        let mut bytes = 0;
        let fits = |commit: &&Commit<P>| {
            bytes += commit.bytes();
            bytes <= self.inner.config.group_bytes_max
        };
        group.iter().take_while(fits).count().max(1)
    }

    /// One write, one sync. Returns whether there was anything to write.
    fn write_at_once<P>(&mut self, commits: &mut [Commit<P>]) -> Result<bool, PoisonReason> {
        if let Some(reason) = self.inner.health.poisoned() {
            return Err(reason.clone());
        }
        let capacity = commits
            .iter()
            .map(|commit| commit.bytes() + (commit.values() + 2) * VALUE_OVERHEAD_BYTES)
            .sum();
        let inner = Arc::clone(&self.inner);
        let mut writes = inner.db.writes(capacity);
        for commit in commits.iter_mut() {
            self.add(&mut *writes, commit)
                .map_err(|error| self.poison(format!("commit refused: {error}")))?;
        }
        // Nothing to write is nothing to sync: everything before it is durable already.
        if writes.is_empty() {
            return Ok(false);
        }
        self.metrics.bytes += writes.bytes() as u64;
        kill_point::BEFORE_WRITE.pass(commits);
        writes.commit().map_err(|error| {
            self.poison(format!("write or sync of the journal failed: {error}"))
        })?;
        kill_point::AFTER_SYNC.pass(commits);
        self.metrics.groups += 1;
        self.metrics.syncs += 1;
        Ok(true)
    }

    /// Adds all values of a commit; the buffers come out as they went in.
    fn add<P>(
        &mut self,
        writes: &mut dyn WriteSet,
        commit: &mut Commit<P>,
    ) -> Result<(), LedgerError> {
        let shard = commit.shard;
        if !commit.journal.is_empty() {
            let bytes = commit.journal.len();
            let lsn = self.ledger.append(shard, commit.sequence, bytes as u64)?;
            JournalStamp {
                shard,
                sequence: commit.sequence,
            }
            .append_to(&mut commit.journal);
            Self::put(
                writes,
                Keyspace::Journal,
                &keys::journal(lsn),
                &mut commit.journal,
            );
            commit.journal.truncate(bytes);
            self.metrics.journal_values += 1;
        }
        for (cell, bytes) in &mut commit.cells {
            Self::put(writes, Keyspace::Control, &keys::cell(shard, *cell), bytes);
        }
        for (cohort, bytes) in &mut commit.cohorts {
            Self::put(
                writes,
                Keyspace::Control,
                &keys::cohort(shard, *cohort),
                bytes,
            );
        }
        for page in &mut commit.pages {
            Self::put(
                writes,
                Keyspace::Pages,
                &keys::page(shard, page.page),
                &mut page.bytes,
            );
        }
        self.metrics.pages += commit.pages.len() as u64;
        for inventory in &mut commit.inventories {
            let key = keys::inventory(inventory.tenant, &inventory.device_id);
            Self::put(writes, Keyspace::Inventory, &key, &mut inventory.bytes);
        }
        match commit.checkpoint {
            None => Ok(()),
            Some(CheckpointMark::Begin) => self.ledger.begin(shard),
            Some(CheckpointMark::Complete) => self.complete(writes, shard),
        }
    }

    /// The checkpoint record and, in the same write, the trim point that it makes true. Values are only
    /// deleted after this is durable, so a journal that lacks them is never without its reason.
    fn complete(&mut self, writes: &mut dyn WriteSet, shard: ShardId) -> Result<(), LedgerError> {
        let record = self.ledger.complete(shard)?;
        Self::put(
            writes,
            Keyspace::Meta,
            &keys::checkpoint(shard),
            &mut record.encode(),
        );
        self.metrics.checkpoints += 1;
        self.pages_written = true;
        self.trim = self.ledger.trim();
        Self::put(
            writes,
            Keyspace::Meta,
            keys::TRIM,
            &mut self.trim.0.to_le_bytes().to_vec(),
        );
        Ok(())
    }

    fn put(writes: &mut dyn WriteSet, keyspace: Keyspace, key: &[u8], payload: &mut Vec<u8>) {
        let bytes = payload.len();
        value::seal(keyspace, key, payload);
        writes.put(keyspace, key, payload);
        payload.truncate(bytes);
    }

    /// Deletes the journal below the trim point, unless a view still reads it.
    fn delete_trimmed(&mut self) {
        if self.trim <= self.deleted {
            return;
        }
        let inner = Arc::clone(&self.inner);
        match inner
            .trim_gate
            .pass(|| inner.db.trim(self.deleted, self.trim))
        {
            None => {}
            Some(Ok(())) => {
                self.deleted = self.trim;
                self.metrics.trims += 1;
            }
            Some(Err(error)) => {
                self.poison(format!("trim of the journal failed: {error}"));
            }
        }
    }

    fn tell_pages_written(&mut self) {
        if std::mem::take(&mut self.pages_written)
            && let Err(error) = self.inner.db.pages_written()
        {
            self.poison(format!("flush of the pages failed: {error}"));
        }
    }

    fn poison(&self, reason: String) -> PoisonReason {
        self.inner.health.poison(reason).clone()
    }
}
