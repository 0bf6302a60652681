//! The disk of a world: the key spaces of a store in memory, what of them is durable, and faults on order.
//!
//! A commit is durable as a whole when it returns; what is not synced (trims) is kept after a crash up to a
//! random point, as a log would keep it. Owned by the world, shared with the store of the server that runs.
//! Everything that ever became durable in the journal is also kept aside, for the oracle, and what no store may do to
//! a disk is noted: another value under a log sequence number that has one, a write after one that failed. Bounded by
//! what one world writes. Knows nothing of the meaning of keys but that of the journal, and of values but its stamp.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_engine::{Sequence, ShardId};
use muster_loadgen::random::Random;
use muster_store::database::{Database, DatabaseError, Each, Reads, Stored, WriteSet};
use muster_store::{Keyspace, Lsn, ReadError, StoreMetrics};

use crate::plant::Plant;
use crate::violation::Violation;

type Key = Vec<u8>;
type Value = Arc<[u8]>;

/// How the next write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of it is kept.
    Lost,
    /// All of it is durable, and the caller is told that it failed.
    Kept,
}

/// The check that no journal value is written over.
const ONE_VALUE: &str = "one value a log sequence number";

/// A journal value that became durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// Its number in the journal of all shards.
    pub lsn: Lsn,
    /// Its shard.
    pub shard: ShardId,
    /// Its number within the shard.
    pub sequence: Sequence,
    /// The engine's bytes.
    pub bytes: Vec<u8>,
}

impl Archived {
    /// Takes off what the store has put behind the engine's bytes: `shard u16 | reserved u16 | sequence u64`, and
    /// four bytes of checksum.
    fn new(lsn: Lsn, value: &[u8]) -> Option<Self> {
        const CHECKSUM: usize = 4;
        let (value, _) = value.split_last_chunk::<CHECKSUM>()?;
        let (value, sequence) = value.split_last_chunk()?;
        let (bytes, [shard @ .., _, _]) = value.split_last_chunk::<4>()?;
        Some(Self {
            lsn,
            shard: ShardId(u16::from_le_bytes(*shard)),
            sequence: Sequence(u64::from_le_bytes(*sequence)),
            bytes: bytes.to_vec(),
        })
    }
}

/// One instant of all key spaces.
type Spaces = Arc<[BTreeMap<Key, Value>; Keyspace::ALL.len()]>;

#[derive(Clone)]
enum Operation {
    Put(Keyspace, Key, Value),
    Trim { first: Lsn, end: Lsn },
}

impl Operation {
    fn apply(&self, spaces: &mut Spaces) {
        let spaces = Arc::make_mut(spaces);
        match self {
            Self::Put(keyspace, key, value) => {
                spaces[*keyspace as usize].insert(key.clone(), Arc::clone(value));
            }
            Self::Trim { first, end } => {
                let journal = &mut spaces[Keyspace::Journal as usize];
                let trimmed = first.0.to_be_bytes().to_vec()..end.0.to_be_bytes().to_vec();
                let keys: Vec<Key> = journal.range(trimmed).map(|(key, _)| key.clone()).collect();
                keys.iter().for_each(|key| drop(journal.remove(key)));
            }
        }
    }
}

struct State {
    /// What reads see.
    visible: Spaces,
    /// What a crash leaves.
    durable: Spaces,
    /// Done after the last sync.
    unsynced: Vec<Operation>,
    /// Every journal value that ever became durable.
    archive: BTreeMap<Lsn, Value>,
    failure: Option<Failure>,
    has_failed: bool,
    /// The first thing that no store may do.
    misused: Option<Violation>,
    trims: u64,
    plant: Option<Plant>,
    random: Random,
}

/// The disk of one world; clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SimulatedDisk")
            .finish_non_exhaustive()
    }
}

impl SimulatedDisk {
    /// An empty disk. With a planted defect it does not do what it promises.
    pub fn new(random: Random, plant: Option<Plant>) -> Self {
        Self(Arc::new(Mutex::new(State {
            visible: Spaces::default(),
            durable: Spaces::default(),
            unsynced: Vec::new(),
            archive: BTreeMap::new(),
            failure: None,
            has_failed: false,
            misused: None,
            trims: 0,
            plant,
            random,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders a failure of the next write.
    pub fn fail_next(&self, failure: Failure) {
        self.state().failure = Some(failure);
    }

    /// Takes an order back that no write has met.
    pub fn fail_no_more(&self) {
        self.state().failure = None;
    }

    /// Whether a write has failed since the last crash.
    pub fn has_failed(&self) -> bool {
        self.state().has_failed
    }

    /// Whether it was used as a store may use a disk, ever since the world began.
    pub fn is_well_used(&self) -> Result<(), Violation> {
        self.state().misused.clone().map_or(Ok(()), Err)
    }

    /// Trims so far.
    pub fn trims(&self) -> u64 {
        self.state().trims
    }

    /// The power goes: what was not synced is kept up to a random point.
    pub fn crash(&self, random: &mut Random) {
        let mut state = self.state();
        let unsynced = std::mem::take(&mut state.unsynced);
        let kept = random.below(unsynced.len() as u64 + 1) as usize;
        for operation in &unsynced[..kept] {
            operation.apply(&mut state.durable);
        }
        state.visible = Arc::clone(&state.durable);
        state.failure = None;
        state.has_failed = false;
    }

    /// Journal values that became durable, from a log sequence number on.
    pub fn archive_from(&self, first: Lsn) -> Vec<Archived> {
        let state = self.state();
        let values = state.archive.range(first..);
        let values = values.map_while(|(lsn, value)| Archived::new(*lsn, value));
        values.collect()
    }

    fn commit(&self, mut operations: Vec<Operation>) -> Result<(), DatabaseError> {
        let mut state = self.state();
        if state.has_failed && !operations.is_empty() {
            let what = "something is written after a write that failed";
            let violation = Violation::new("poison", what);
            state.misused.get_or_insert(violation);
        }
        let mut failure = state.failure.take();
        if failure.is_some() && state.plant == Some(Plant::RetryFailedWrite) {
            state.has_failed = true;
            failure = None;
        }
        if failure == Some(Failure::Lost) {
            state.has_failed = true;
            return Err(DatabaseError("no space left on the simulated disk".into()));
        }
        let mut forgets = false;
        let plant = state.plant;
        match plant {
            Some(Plant::LoseSyncedWrite) => forgets = state.random.below(4) == 0,
            Some(Plant::SkipPage) if state.random.below(2) == 0 => operations
                .retain(|operation| !matches!(operation, Operation::Put(Keyspace::Pages, ..))),
            Some(Plant::TornWrite) if failure == Some(Failure::Kept) => {
                operations.truncate(operations.len() / 2);
            }
            _ => (),
        }
        let State {
            visible,
            durable,
            unsynced,
            archive,
            misused,
            ..
        } = &mut *state;
        for operation in unsynced.drain(..) {
            operation.apply(durable);
        }
        for operation in operations {
            operation.apply(visible);
            if forgets {
                continue;
            }
            operation.apply(durable);
            if let Operation::Put(Keyspace::Journal, key, value) = &operation
                && let Ok(number) = key.as_slice().try_into().map(u64::from_be_bytes)
            {
                let before = archive.insert(Lsn(number), Arc::clone(value));
                if before.is_some_and(|before| before != *value) {
                    let what = format!("log sequence number {number} has a value and gets another");
                    misused.get_or_insert(Violation::new(ONE_VALUE, what));
                }
            }
        }
        if failure == Some(Failure::Kept) {
            state.has_failed = true;
            return Err(DatabaseError("the simulated disk does not answer".into()));
        }
        Ok(())
    }
}

impl Database for SimulatedDisk {
    fn writes(&self, _bytes: usize) -> Box<dyn WriteSet + '_> {
        Box::new(Writes {
            disk: self,
            operations: Vec::new(),
            bytes: 0,
        })
    }

    fn latest(&self) -> Box<dyn Reads + '_> {
        Box::new(Latest(self))
    }

    fn snapshot(&self) -> Box<dyn Reads + '_> {
        Box::new(Snapshot(Arc::clone(&self.state().visible)))
    }

    fn trim(&self, first: Lsn, end: Lsn) -> Result<(), DatabaseError> {
        let mut state = self.state();
        let too_far = match state.plant {
            Some(Plant::TrimTooEarly) => state.random.below(3),
            _ => 0,
        };
        let operation = Operation::Trim {
            first,
            end: Lsn(end.0 + too_far),
        };
        operation.apply(&mut state.visible);
        state.unsynced.push(operation);
        state.trims += 1;
        Ok(())
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        self.commit(Vec::new())
    }

    fn metrics(&self) -> StoreMetrics {
        StoreMetrics::default()
    }
}

struct Writes<'a> {
    disk: &'a SimulatedDisk,
    operations: Vec<Operation>,
    bytes: usize,
}

impl WriteSet for Writes<'_> {
    fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.operations
            .push(Operation::Put(keyspace, key.to_vec(), value.into()));
    }

    fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        self.disk.commit(self.operations)
    }
}

struct Snapshot(Spaces);

impl Reads for Snapshot {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.0[keyspace as usize]
            .get(key)
            .map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
        each: Each<'_>,
    ) -> Result<(), ReadError> {
        let range = (Bound::Included(first), Bound::Excluded(end));
        for (key, value) in self.0[keyspace as usize].range::<[u8], _>(range) {
            if let ControlFlow::Break(()) = each(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn last(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
    ) -> Result<Option<Stored>, ReadError> {
        let range = (Bound::Included(first), Bound::Excluded(end));
        let last = self.0[keyspace as usize]
            .range::<[u8], _>(range)
            .next_back();
        Ok(last.map(|(key, value)| (key.clone(), value.to_vec())))
    }
}

/// Each read is one of what is there at that moment.
struct Latest<'a>(&'a SimulatedDisk);

impl Latest<'_> {
    fn now(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.0.state().visible))
    }
}

impl Reads for Latest<'_> {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.now().get(keyspace, key)
    }

    fn scan(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
        each: Each<'_>,
    ) -> Result<(), ReadError> {
        self.now().scan(keyspace, first, end, each)
    }

    fn last(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
    ) -> Result<Option<Stored>, ReadError> {
        self.now().last(keyspace, first, end)
    }
}

#[cfg(test)]
mod tests;
