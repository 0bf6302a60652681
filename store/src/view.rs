//! All reads: a view of a snapshot of a running store, or of a store opened read-only.
//!
//! The checksum of every value is verified before the value is returned. A scan has one value in memory at a time,
//! bypasses the block cache, and ends at the first corrupt value. Several threads can use a view concurrently, one
//! shard each.

use std::fmt;
use std::ops::ControlFlow;

use muster_engine::{PageNumber, Revision, Sequence, ShardId, TenantIndex};
use muster_wire::DeviceId;

use crate::database::{Database, Reads};
use crate::error::ReadError;
use crate::journal_state::JournalState;
use crate::keys::{self, KeyRange};
use crate::keyspace::Keyspace;
use crate::lsn::Lsn;
use crate::trim_gate::TrimGuard;
use crate::value::{self, CheckpointRecord, ClockRecord, JournalStamp};

/// A consistent view of a store at one point in time.
///
/// While a view of a running store exists, trimmed journal files stay on disk: drop it when done.
pub struct StoreView<'a> {
    // Declared before the guard: fields are dropped in declaration order.
    reads: Box<dyn Reads + 'a>,
    shards: u16,
    _guard: Option<TrimGuard<'a>>,
}

/// One journal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalEntry<'a> {
    /// Its log sequence number, global over all shards.
    pub lsn: Lsn,
    /// The shard that wrote it.
    pub shard: ShardId,
    /// Its sequence within the shard.
    pub sequence: Sequence,
    /// The engine's bytes.
    pub bytes: &'a [u8],
}

impl fmt::Debug for StoreView<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoreView")
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

impl<'a> StoreView<'a> {
    /// The latest state at each read. Scans require that nothing is trimmed meanwhile.
    pub(crate) fn latest(db: &'a dyn Database, shards: u16) -> Self {
        Self {
            reads: db.latest(),
            shards,
            _guard: None,
        }
    }

    pub(crate) fn snapshot(db: &'a dyn Database, shards: u16, guard: TrimGuard<'a>) -> Self {
        Self {
            reads: db.snapshot(),
            shards,
            _guard: Some(guard),
        }
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The last completed checkpoint of a shard.
    pub fn checkpoint(&self, shard: ShardId) -> Result<Option<CheckpointRecord>, ReadError> {
        let decode = |payload: Vec<u8>| {
            CheckpointRecord::decode(&payload).ok_or_else(|| {
                ReadError::corrupt(
                    Keyspace::Meta,
                    format!("unreadable checkpoint record of shard {shard}"),
                )
            })
        };
        self.get(Keyspace::Meta, &keys::checkpoint(shard))?
            .map(decode)
            .transpose()
    }

    /// The service time of the server that wrote last; `None` before its first write.
    pub fn clock(&self) -> Result<Option<ClockRecord>, ReadError> {
        let decode = |payload: Vec<u8>| {
            ClockRecord::decode(&payload)
                .ok_or_else(|| ReadError::corrupt(Keyspace::Meta, "unreadable clock record"))
        };
        self.get(Keyspace::Meta, keys::CLOCK)?
            .map(decode)
            .transpose()
    }

    /// Every page of a shard, in order.
    pub fn pages<E: From<ReadError>>(
        &self,
        shard: ShardId,
        mut visit: impl FnMut(PageNumber, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = keys::pages_of(shard);
        self.scan_numbered(Keyspace::Pages, &range, |number, bytes| {
            visit(PageNumber(number), bytes)
        })
    }

    /// One past the last page of a shard.
    pub fn pages_end(&self, shard: ShardId) -> Result<PageNumber, ReadError> {
        let KeyRange { first, end } = keys::pages_of(shard);
        let Some((key, stored)) = self.reads.last(Keyspace::Pages, &first, &end)? else {
            return Ok(PageNumber(0));
        };
        checked(Keyspace::Pages, &key, &stored)?;
        let end = keys::last_u32(&key).map_or(0, |number| number.saturating_add(1));
        Ok(PageNumber(end))
    }

    /// Every journal value after the checkpoint of its shard, in order of log sequence number.
    ///
    /// Verifies that log sequence numbers have no gap from the trim point on, that sequences have no gap in any shard,
    /// and that the journal ends no earlier than the checkpoint records say. Anything else is corrupt.
    pub fn journal<E: From<ReadError>>(
        &self,
        visit: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read_journal(visit).map(drop)
    }

    /// [`StoreView::journal`]; returns the state of a writer that continues after it.
    pub(crate) fn read_journal<E: From<ReadError>>(
        &self,
        mut visit: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<JournalState, E> {
        let corrupt = |what: String| ReadError::corrupt(Keyspace::Journal, what);
        let mut cursors = vec![Sequence(0); usize::from(self.shards)];
        let mut expected_end = Lsn::FIRST;
        for (shard, cursor) in (0..self.shards).map(ShardId).zip(&mut cursors) {
            if let Some(record) = self.checkpoint(shard)? {
                *cursor = record.cursor_sequence;
                expected_end = expected_end.max(record.next_lsn);
            }
        }
        let trim = self.trim_point()?;
        let mut journal_state = JournalState::new(trim, &cursors);
        self.scan(
            Keyspace::Journal,
            &keys::journal_from(trim),
            |key, payload| -> Result<(), E> {
                let expected = journal_state.next_lsn();
                if keys::journal_lsn(key) != Some(expected) {
                    let what = format!(
                        "log sequence number {expected} is missing, the next key is {key:02x?}"
                    );
                    return Err(corrupt(what).into());
                }
                let mut rest = payload;
                while !rest.is_empty() {
                    let (before, JournalStamp { shard, sequence }, bytes) =
                        JournalStamp::split_last(rest).ok_or_else(|| {
                            corrupt(format!("log sequence number {expected} has no stamp"))
                        })?;
                    rest = before;
                    let cursor = cursors.get(usize::from(shard));
                    if cursor.is_some_and(|&cursor| sequence <= cursor) {
                        continue;
                    }
                    journal_state
                        .append(shard, sequence, bytes.len() as u64)
                        .map_err(|error| {
                            corrupt(format!("log sequence number {expected}: {error}"))
                        })?;
                    visit(JournalEntry {
                        lsn: expected,
                        shard,
                        sequence,
                        bytes,
                    })?;
                }
                journal_state.end_value();
                Ok(())
            },
        )?;
        let end = journal_state.next_lsn();
        if end < expected_end {
            let what = format!(
                "it ends before log sequence number {end}, but a checkpoint expects {expected_end}"
            );
            return Err(corrupt(what).into());
        }
        Ok(journal_state)
    }

    /// The inventory of a device.
    pub fn inventory(
        &self,
        tenant: TenantIndex,
        device: &DeviceId,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        self.get(Keyspace::Inventory, &keys::inventory(tenant, device))
    }

    /// A policy set by revision.
    pub fn policy_set(&self, revision: Revision) -> Result<Option<Vec<u8>>, ReadError> {
        self.get(Keyspace::Control, &keys::policy_set(revision))
    }

    /// The policy set with the highest revision.
    pub fn policy_set_latest(&self) -> Result<Option<(Revision, Vec<u8>)>, ReadError> {
        self.latest_in(&keys::policy_sets())
    }

    /// The policy sets before a revision, in ascending order.
    pub(crate) fn policy_sets(
        &self,
        before: Revision,
        mut visit: impl FnMut(Revision),
    ) -> Result<(), ReadError> {
        let mut range = keys::policy_sets();
        range.end = keys::policy_set(before).to_vec();
        self.scan_numbered(Keyspace::Control, &range, |revision, _| {
            visit(Revision(revision));
            Ok(())
        })
    }

    /// The highest revision of any control entry or policy set; 0 if there is none.
    pub fn revision_latest(&self) -> Result<Revision, ReadError> {
        let mut latest = Revision::default();
        for range in [keys::control_entries(), keys::policy_sets()] {
            let found = self.latest_in(&range)?;
            latest = found.map_or(latest, |(revision, _)| latest.max(revision));
        }
        Ok(latest)
    }

    /// An entry of the control log.
    pub fn control_entry(&self, revision: Revision) -> Result<Option<Vec<u8>>, ReadError> {
        self.get(Keyspace::Control, &keys::control_entry(revision))
    }

    /// Every entry of the control log, ordered by revision.
    pub fn control_log<E: From<ReadError>>(
        &self,
        mut visit: impl FnMut(Revision, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = keys::control_entries();
        self.scan_numbered(Keyspace::Control, &range, |revision, bytes| {
            visit(Revision(revision), bytes)
        })
    }

    /// The value with the highest revision in a range of keys.
    fn latest_in(&self, range: &KeyRange) -> Result<Option<(Revision, Vec<u8>)>, ReadError> {
        let keyspace = Keyspace::Control;
        let Some((key, stored)) = self.reads.last(keyspace, &range.first, &range.end)? else {
            return Ok(None);
        };
        let payload = checked(keyspace, &key, &stored)?.to_vec();
        Ok(keys::last_u32(&key).map(Revision).zip(Some(payload)))
    }

    /// The trim point: the journal below it is obsolete.
    fn trim_point(&self) -> Result<Lsn, ReadError> {
        match self.get(Keyspace::Meta, keys::TRIM)? {
            None => Ok(Lsn::FIRST),
            Some(payload) => payload
                .try_into()
                .map(|bytes| Lsn(u64::from_le_bytes(bytes)))
                .map_err(|_| ReadError::corrupt(Keyspace::Meta, "unreadable trim point")),
        }
    }

    /// The payload of a key.
    pub(crate) fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let stored = self.reads.get(keyspace, key)?;
        stored
            .map(|stored| checked(keyspace, key, &stored).map(<[u8]>::to_vec))
            .transpose()
    }

    /// [`Self::scan`] over keys that end with a number.
    fn scan_numbered<E: From<ReadError>>(
        &self,
        keyspace: Keyspace,
        range: &KeyRange,
        mut visit: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.scan(keyspace, range, |key, payload| match keys::last_u32(key) {
            Some(number) if key.len() == range.first.len() => visit(number, payload),
            _ => Err(
                ReadError::corrupt(keyspace, format!("key {key:02x?} has the wrong size")).into(),
            ),
        })
    }

    fn scan<E: From<ReadError>>(
        &self,
        keyspace: Keyspace,
        range: &KeyRange,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failure = None;
        self.reads
            .scan(keyspace, &range.first, &range.end, &mut |key, stored| {
                let visited = checked(keyspace, key, stored)
                    .map_err(E::from)
                    .and_then(|payload| visit(key, payload));
                match visited {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        failure.map_or(Ok(()), Err)
    }
}

fn checked<'v>(keyspace: Keyspace, key: &[u8], stored: &'v [u8]) -> Result<&'v [u8], ReadError> {
    value::unseal(keyspace, key, stored).ok_or_else(|| {
        ReadError::corrupt(
            keyspace,
            format!("checksum mismatch in the value of key {key:02x?}"),
        )
    })
}
