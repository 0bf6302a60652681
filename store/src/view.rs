//! All reads: one type over a snapshot of a running store or over a store opened for reading only.
//!
//! Every value is checked against its checksum before anyone sees it. Scans hold one value at a time, pass
//! by the block cache, and end at the first damage. Safe to use from several threads at once, one shard each.

use std::fmt;
use std::ops::ControlFlow;

use muster_engine::{CellId, CohortId, PageNumber, Revision, Sequence, ShardId, TenantIndex};
use muster_wire::DeviceId;

use crate::database::{Database, Reads};
use crate::error::ReadError;
use crate::keys::{self, KeyRange};
use crate::keyspace::Keyspace;
use crate::ledger::Ledger;
use crate::lsn::Lsn;
use crate::trim_gate::TrimHold;
use crate::value::{self, CheckpointRecord, JournalStamp};

/// A store at one instant.
///
/// While a view of a running store exists, trimmed journal files stay on disk: drop it when done.
pub struct StoreView<'a> {
    // Before the hold: fields are dropped in order.
    reads: Box<dyn Reads + 'a>,
    shards: u16,
    _hold: Option<TrimHold<'a>>,
}

/// One journal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalEntry<'a> {
    /// Its number in the journal of all shards.
    pub lsn: Lsn,
    /// Its shard.
    pub shard: ShardId,
    /// Its number within the shard.
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
    /// Whatever is there at each read; nothing may be trimmed meanwhile, or only single keys are read.
    pub(crate) fn latest(db: &'a dyn Database, shards: u16) -> Self {
        Self {
            reads: db.latest(),
            shards,
            _hold: None,
        }
    }

    pub(crate) fn snapshot(db: &'a dyn Database, shards: u16, hold: TrimHold<'a>) -> Self {
        Self {
            reads: db.snapshot(),
            shards,
            _hold: Some(hold),
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
                    format!("checkpoint record of shard {shard}"),
                )
            })
        };
        self.get(Keyspace::Meta, &keys::checkpoint(shard))?
            .map(decode)
            .transpose()
    }

    /// Every page of a shard, in order.
    pub fn pages<E: From<ReadError>>(
        &self,
        shard: ShardId,
        mut each: impl FnMut(PageNumber, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = keys::pages_of(shard);
        self.scan_indexed(Keyspace::Pages, &range, |number, bytes| {
            each(PageNumber(number), bytes)
        })
    }

    /// One past the number of the last page of a shard.
    pub fn pages_end(&self, shard: ShardId) -> Result<PageNumber, ReadError> {
        let KeyRange { first, end } = keys::pages_of(shard);
        let Some((key, stored)) = self.reads.last(Keyspace::Pages, &first, &end)? else {
            return Ok(PageNumber(0));
        };
        checked(Keyspace::Pages, &key, &stored)?;
        let end = keys::last_u32(&key).map_or(0, |number| number.saturating_add(1));
        Ok(PageNumber(end))
    }

    /// The cell table of a shard, in order of index.
    pub fn cells<E: From<ReadError>>(
        &self,
        shard: ShardId,
        mut each: impl FnMut(CellId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = keys::cells_of(shard);
        self.scan_indexed(Keyspace::Control, &range, |number, bytes| {
            each(CellId(number), bytes)
        })
    }

    /// The cohort table of a shard, in order of index.
    pub fn cohorts<E: From<ReadError>>(
        &self,
        shard: ShardId,
        mut each: impl FnMut(CohortId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = keys::cohorts_of(shard);
        self.scan_indexed(Keyspace::Control, &range, |number, bytes| {
            each(CohortId(number), bytes)
        })
    }

    /// Every journal value that its shard's checkpoint does not cover, in order of log sequence number.
    ///
    /// Log sequence numbers without a gap from the trim point on, sequences without a gap in every shard, and an end
    /// no earlier than the checkpoints have seen: anything else is corrupt.
    pub fn journal<E: From<ReadError>>(
        &self,
        each: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.read_journal(each).map(drop)
    }

    /// [`StoreView::journal`], and what a writer that goes on behind it has to know.
    pub(crate) fn read_journal<E: From<ReadError>>(
        &self,
        mut each: impl FnMut(JournalEntry<'_>) -> Result<(), E>,
    ) -> Result<Ledger, E> {
        let corrupt = |what: String| ReadError::corrupt(Keyspace::Journal, what);
        let mut cursors = vec![Sequence(0); usize::from(self.shards)];
        let mut seen_end = Lsn::FIRST;
        for (shard, cursor) in (0..self.shards).map(ShardId).zip(&mut cursors) {
            if let Some(record) = self.checkpoint(shard)? {
                *cursor = record.cursor_sequence;
                seen_end = seen_end.max(record.next_lsn);
            }
        }
        let trim = self.trim_point()?;
        let mut ledger = Ledger::new(trim, &cursors);
        self.scan(
            Keyspace::Journal,
            &keys::journal_from(trim),
            |key, payload| {
                let expected = ledger.next_lsn();
                if keys::journal_lsn(key) != Some(expected) {
                    let what = format!(
                        "log sequence number {expected} is missing, key {key:02x?} follows"
                    );
                    return Err(corrupt(what).into());
                }
                let (JournalStamp { shard, sequence }, bytes) = JournalStamp::split(payload)
                    .ok_or_else(|| {
                        corrupt(format!("log sequence number {expected} has no stamp"))
                    })?;
                if cursors
                    .get(usize::from(shard))
                    .is_some_and(|&cursor| sequence <= cursor)
                {
                    ledger.skip();
                    return Ok(());
                }
                let lsn = ledger
                    .append(shard, sequence, bytes.len() as u64)
                    .map_err(|error| corrupt(format!("log sequence number {expected}: {error}")))?;
                each(JournalEntry {
                    lsn,
                    shard,
                    sequence,
                    bytes,
                })
            },
        )?;
        let end = ledger.next_lsn();
        if end < seen_end {
            let what = format!(
                "it ends before log sequence number {end}, a checkpoint has seen {seen_end}"
            );
            return Err(corrupt(what).into());
        }
        Ok(ledger)
    }

    /// Every tenant, in order of name, with its index.
    pub fn tenants<E: From<ReadError>>(
        &self,
        mut each: impl FnMut(&str, TenantIndex) -> Result<(), E>,
    ) -> Result<(), E> {
        self.scan(Keyspace::Control, &keys::tenants(), |key, payload| {
            let index = payload.try_into().map(u16::from_le_bytes).ok();
            let (Some(name), Some(index)) = (keys::tenant_name(key), index) else {
                let what = format!("tenant under key {key:02x?}");
                return Err(ReadError::corrupt(Keyspace::Control, what).into());
            };
            each(name, TenantIndex(index))
        })
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
        let keyspace = Keyspace::Control;
        let KeyRange { first, end } = keys::policy_sets();
        let Some((key, stored)) = self.reads.last(keyspace, &first, &end)? else {
            return Ok(None);
        };
        let payload = checked(keyspace, &key, &stored)?.to_vec();
        Ok(keys::last_u32(&key).map(Revision).zip(Some(payload)))
    }

    /// Where the part of the journal that is needed begins.
    fn trim_point(&self) -> Result<Lsn, ReadError> {
        match self.get(Keyspace::Meta, keys::TRIM)? {
            None => Ok(Lsn::FIRST),
            Some(payload) => payload
                .try_into()
                .map(|bytes| Lsn(u64::from_le_bytes(bytes)))
                .map_err(|_| ReadError::corrupt(Keyspace::Meta, "trim point")),
        }
    }

    /// The payload under a key.
    pub(crate) fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let stored = self.reads.get(keyspace, key)?;
        stored
            .map(|stored| checked(keyspace, key, &stored).map(<[u8]>::to_vec))
            .transpose()
    }

    fn scan_indexed<E: From<ReadError>>(
        &self,
        keyspace: Keyspace,
        range: &KeyRange,
        mut each: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.scan(keyspace, range, |key, payload| match keys::last_u32(key) {
            Some(index) if key.len() == range.first.len() => each(index, payload),
            _ => {
                Err(ReadError::corrupt(keyspace, format!("key {key:02x?} has a wrong size")).into())
            }
        })
    }

    fn scan<E: From<ReadError>>(
        &self,
        keyspace: Keyspace,
        range: &KeyRange,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut fault = None;
        self.reads
            .scan(keyspace, &range.first, &range.end, &mut |key, stored| {
                let taken = checked(keyspace, key, stored)
                    .map_err(E::from)
                    .and_then(|payload| each(key, payload));
                match taken {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        fault = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        fault.map_or(Ok(()), Err)
    }
}

fn checked<'v>(keyspace: Keyspace, key: &[u8], stored: &'v [u8]) -> Result<&'v [u8], ReadError> {
    value::unseal(keyspace, key, stored).ok_or_else(|| {
        ReadError::corrupt(
            keyspace,
            format!("checksum of the value under key {key:02x?} differs"),
        )
    })
}
