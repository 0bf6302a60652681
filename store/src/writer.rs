//! Group commit: writes the pending commits of all shards with one atomic write and one sync, then completes them.
//!
//! Owned by one thread of `ingest`, which collects pending commits and calls [`Writer::write`]; no thread, queue or
//! timer here. Commits are written in order of arrival. Bounds: a write has at most `group_bytes_max`, or one larger
//! commit. A failed write poisons the store and is not retried.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use muster_engine::{Sequence, ShardId, Timestamp};

use crate::commit::{CheckpointMark, Commit, CommitPart, Sink};
use crate::database::WriteSet;
use crate::health::PoisonReason;
use crate::inner::Inner;
use crate::journal_state::{JournalState, JournalStateError};
use crate::keys;
use crate::keyspace::Keyspace;
use crate::kill_point::{self, kill_point};
use crate::lsn::Lsn;
use crate::metrics::WriterMetrics;
use crate::value::{self, ClockRecord, JournalStamp};

/// Overhead of key, checksum and headers per value. Only used to allocate a write's buffer once.
const VALUE_OVERHEAD_BYTES: usize = 64;

/// Milliseconds of the service time between two clock records: a start continues at most this much earlier.
const CLOCK_EVERY_MS: u64 = 1_000;

/// The same while there is nothing else to write: then a record costs a separate sync. Short compared with the day
/// after which a start treats the time since the last record as a step of the wall clock.
const CLOCK_EVERY_IDLE_MS: u64 = 60 * 60 * 1_000;

/// The only writer of a store, created by [`Store::recover`](crate::Store::recover).
pub struct Writer {
    inner: Arc<Inner>,
    journal_state: JournalState,
    /// The durable trim point: the journal below it is obsolete.
    trim: Lsn,
    /// The journal below this is deleted.
    deleted: Lsn,
    /// A checkpoint has completed since the last [`Database::pages_written`](crate::database::Database::pages_written).
    pages_written: bool,
    /// The service time, if the caller has set it.
    clock: Option<ClockRecord>,
    /// The durable clock record.
    clock_written: Option<ClockRecord>,
    metrics: WriterMetrics,
    /// Buffer of a journal value.
    journal: Vec<u8>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Writer")
            .field("journal_state", &self.journal_state)
            .finish_non_exhaustive()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inner.has_writer.store(false, Ordering::Release);
    }
}

impl Writer {
    pub(crate) fn new(
        inner: Arc<Inner>,
        journal_state: JournalState,
        clock_written: Option<ClockRecord>,
    ) -> Self {
        let metrics = WriterMetrics::default();
        Self {
            inner,
            journal_state,
            trim: Lsn(0),
            deleted: Lsn(0),
            pages_written: false,
            clock: None,
            clock_written,
            metrics,
            journal: Vec::new(),
        }
    }

    /// Sets the service time, for the next [`Writer::write`].
    pub fn set_clock(&mut self, clock: ClockRecord) {
        self.clock = Some(clock);
    }

    /// Makes all commits of the group durable and passes each to `sink`, in order. Leaves the group empty.
    ///
    /// After a failure, this and all later commits are passed to [`Sink::failed`].
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the sync and timestamps its end, once per write"
    )]
    pub fn write<P>(&mut self, group: &mut Vec<Commit<P>>, sink: &mut impl Sink<P>) {
        while !group.is_empty() {
            let count = self.fitting_commits(group);
            let started = Instant::now();
            let written = self.write_group(&mut group[..count]);
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
            // After the completions, so that no ack waits for it.
            self.delete_trimmed();
            self.signal_pages_written();
        }
    }

    /// Size at which the caller can stop collecting a group: [`Writer::write`] would split a larger one.
    #[must_use]
    pub fn group_bytes_max(&self) -> usize {
        self.inner.config.group_bytes_max
    }

    /// Journal bytes that a recovery would replay. Decides when to begin a checkpoint.
    #[must_use]
    pub fn journal_bytes_live(&self) -> u64 {
        self.journal_state.live_bytes_total()
    }

    /// Journal bytes that a recovery would replay for one shard.
    #[must_use]
    pub fn journal_bytes_live_of(&self, shard: ShardId) -> u64 {
        self.journal_state.live_bytes(shard)
    }

    /// Last sequence of a shard in the journal or in its checkpoint record; its next commit has the successor.
    #[must_use]
    pub fn sequence(&self, shard: ShardId) -> Sequence {
        self.journal_state.sequence(shard)
    }

    /// Counters of this writer.
    #[must_use]
    pub fn metrics(&self) -> &WriterMetrics {
        &self.metrics
    }

    /// Number of leading commits that fit one write: at least one.
    fn fitting_commits<P>(&self, group: &[Commit<P>]) -> usize {
        let mut bytes = 0;
        let fits = |commit: &&Commit<P>| {
            bytes += commit.bytes();
            bytes <= self.inner.config.group_bytes_max
        };
        group.iter().take_while(fits).count().max(1)
    }

    /// One write and one sync. Returns `false` if there was nothing to write.
    fn write_group<P>(&mut self, commits: &mut [Commit<P>]) -> Result<bool, PoisonReason> {
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
                .map_err(|error| self.poison(format!("invalid commit: {error}")))?;
        }
        let clock = self.clock_due(!writes.is_empty());
        if let Some(clock) = clock {
            Self::put(
                &mut *writes,
                Keyspace::Meta,
                keys::CLOCK,
                &mut clock.encode(),
            );
        }
        // Nothing to write needs no sync: all earlier writes are durable.
        if writes.is_empty() {
            return Ok(false);
        }
        self.metrics.bytes += writes.bytes() as u64;
        kill_point::BEFORE_WRITE.pass(commits);
        writes.commit().map_err(|error| {
            self.poison(format!("write or sync of the journal failed: {error}"))
        })?;
        kill_point::AFTER_SYNC.pass(commits);
        self.clock_written = clock.or(self.clock_written);
        self.metrics.groups += 1;
        self.metrics.syncs += 1;
        Ok(true)
    }

    /// The clock record, if the durable one is too old for a write with or without other values.
    fn clock_due(&self, has_values: bool) -> Option<ClockRecord> {
        let clock = self.clock?;
        let every_ms = if has_values {
            CLOCK_EVERY_MS
        } else {
            CLOCK_EVERY_IDLE_MS
        };
        let is_far = |one: Timestamp, other: Timestamp| {
            one.as_millis().abs_diff(other.as_millis()) >= every_ms
        };
        let is_due = self
            .clock_written
            .is_none_or(|written| is_far(written.time, clock.time));
        // A directory to which nothing was ever written needs no time.
        (is_due && (has_values || self.clock_written.is_some())).then_some(clock)
    }

    /// Adds all values of a commit. Leaves its buffers unchanged.
    fn add<P>(
        &mut self,
        writes: &mut dyn WriteSet,
        commit: &mut Commit<P>,
    ) -> Result<(), JournalStateError> {
        self.add_journal(writes, &commit.parts)?;
        for part in &mut commit.parts {
            self.add_part(writes, part)?;
        }
        Ok(())
    }

    /// Adds the journal value of a commit. One for all shards, because most of the cost of a value does not depend on its
    /// size, and a commit of a few check-ins touches as many shards.
    fn add_journal(
        &mut self,
        writes: &mut dyn WriteSet,
        parts: &[CommitPart],
    ) -> Result<(), JournalStateError> {
        self.journal.clear();
        for part in parts.iter().filter(|part| !part.journal.is_empty()) {
            let CommitPart {
                shard,
                sequence,
                ref journal,
                ..
            } = *part;
            let bytes = journal.len() as u64;
            self.journal_state.append(shard, sequence, bytes)?;
            JournalStamp { shard, sequence }.append_to(&mut self.journal, journal);
        }
        if !self.journal.is_empty() {
            let key = keys::journal(self.journal_state.end_value());
            Self::put(writes, Keyspace::Journal, &key, &mut self.journal);
            self.metrics.journal_values += 1;
        }
        Ok(())
    }

    /// Adds what a part has beside its journal.
    fn add_part(
        &mut self,
        writes: &mut dyn WriteSet,
        part: &mut CommitPart,
    ) -> Result<(), JournalStateError> {
        let shard = part.shard;
        for page in &mut part.pages {
            Self::put(
                writes,
                Keyspace::Pages,
                &keys::page(shard, page.page),
                &mut page.bytes,
            );
        }
        self.metrics.pages += part.pages.len() as u64;
        for inventory in &mut part.inventories {
            let key = keys::inventory(inventory.tenant, &inventory.device_id);
            if inventory.bytes.is_empty() {
                writes.delete(Keyspace::Inventory, &key);
            } else {
                Self::put(writes, Keyspace::Inventory, &key, &mut inventory.bytes);
            }
        }
        match part.checkpoint {
            None => Ok(()),
            Some(CheckpointMark::Begin) => self.journal_state.begin(shard, &part.context),
            Some(CheckpointMark::Complete) => self.complete(writes, shard),
        }
    }

    /// Adds the checkpoint record and, in the same write, the trim point that it allows. Values are deleted only after
    /// this is durable, so a crash cannot leave a journal that begins after the durable trim point.
    fn complete(
        &mut self,
        writes: &mut dyn WriteSet,
        shard: ShardId,
    ) -> Result<(), JournalStateError> {
        let record = self.journal_state.complete(shard)?;
        Self::put(
            writes,
            Keyspace::Meta,
            &keys::checkpoint(shard),
            &mut record.encode(),
        );
        self.metrics.checkpoints += 1;
        self.pages_written = true;
        self.trim = self.journal_state.trim();
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

    /// Deletes the journal below the trim point, unless a view blocks that.
    fn delete_trimmed(&mut self) {
        if self.trim <= self.deleted {
            return;
        }
        let inner = Arc::clone(&self.inner);
        match inner
            .trim_gate
            .if_open(|| inner.db.trim(self.deleted, self.trim))
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

    fn signal_pages_written(&mut self) {
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
