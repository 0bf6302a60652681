//! The simulated disk: the keyspaces of a store in memory, their durable state, and failing writes.
//!
//! A commit is durable as a whole when it returns. Unsynced operations (trims) survive a crash up to a random point,
//! as in a log. Owned by the world, shared with the store of the running server. The disk also keeps every journal
//! value that ever became durable, for the oracle, and records misuse by the store: a durable journal value that is
//! overwritten, or a write after a failed one. Bounded by what one run writes. It interprets no keys but those of the
//! journal, and of values only the stamps of a journal value.

mod durable_value;

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_store::database::{Database, DatabaseError, Reads, Stored, Visitor, WriteSet};
use muster_store::{Keyspace, Lsn, ReadError, StoreMetrics};
use muster_testkit::random::Random;

use crate::injected_fault::InjectedFault;
use crate::violation::Violation;

pub use self::durable_value::DurableValue;

type Key = Vec<u8>;
type Value = Arc<[u8]>;

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// Nothing of it is durable.
    Lost,
    /// All of it is durable, but the disk reports an error.
    Kept,
}

/// The check that no journal value is overwritten.
const ONE_VALUE: &str = "one value per log sequence number";

/// A version of all keyspaces.
type Keyspaces = Arc<[BTreeMap<Key, Value>; Keyspace::ALL.len()]>;

#[derive(Clone)]
enum Operation {
    Put(Keyspace, Key, Value),
    Delete(Keyspace, Key),
    Trim { first: Lsn, end: Lsn },
}

impl Operation {
    fn apply(&self, keyspaces: &mut Keyspaces) {
        let keyspaces = Arc::make_mut(keyspaces);
        match self {
            Self::Put(keyspace, key, value) => {
                keyspaces[*keyspace as usize].insert(key.clone(), Arc::clone(value));
            }
            Self::Delete(keyspace, key) => drop(keyspaces[*keyspace as usize].remove(key)),
            Self::Trim { first, end } => {
                let journal = &mut keyspaces[Keyspace::Journal as usize];
                let trimmed = first.0.to_be_bytes().to_vec()..end.0.to_be_bytes().to_vec();
                journal.retain(|key, _| !trimmed.contains(key));
            }
        }
    }
}

struct State {
    /// The state that reads see.
    visible: Keyspaces,
    /// The state after a crash, apart from unsynced operations.
    durable: Keyspaces,
    /// Operations since the last sync.
    unsynced: Vec<Operation>,
    /// Every journal value that ever became durable, by log sequence number.
    history: BTreeMap<Lsn, Value>,
    /// How the next write fails.
    next_failure: Option<WriteFailure>,
    /// A write has failed since the last crash.
    has_failed: bool,
    /// The first misuse by a store.
    misuse: Option<Violation>,
    trims: u64,
    injected_fault: Option<InjectedFault>,
    random: Random,
}

/// The disk of one world; clones share it.
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
    /// An empty disk, which applies `injected_fault` if that is a fault of the disk.
    pub fn new(random: Random, injected_fault: Option<InjectedFault>) -> Self {
        Self(Arc::new(Mutex::new(State {
            visible: Keyspaces::default(),
            durable: Keyspaces::default(),
            unsynced: Vec::new(),
            history: BTreeMap::new(),
            next_failure: None,
            has_failed: false,
            misuse: None,
            trims: 0,
            injected_fault,
            random,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next write fail.
    pub fn fail_next_write(&self, failure: WriteFailure) {
        self.state().next_failure = Some(failure);
    }

    /// Lets the next write succeed.
    pub fn clear_failure(&self) {
        self.state().next_failure = None;
    }

    /// Whether a write has failed since the last crash.
    pub fn has_failed(&self) -> bool {
        self.state().has_failed
    }

    /// Checks that no store has misused the disk since the run began.
    pub fn check_usage(&self) -> Result<(), Violation> {
        self.state().misuse.clone().map_or(Ok(()), Err)
    }

    /// Number of trims.
    pub fn trims(&self) -> u64 {
        self.state().trims
    }

    /// A crash: unsynced operations survive up to a random point.
    pub fn crash(&self, random: &mut Random) {
        let mut state = self.state();
        let unsynced = std::mem::take(&mut state.unsynced);
        let kept = random.below(unsynced.len() as u64 + 1) as usize;
        for operation in &unsynced[..kept] {
            operation.apply(&mut state.durable);
        }
        state.visible = Arc::clone(&state.durable);
        state.next_failure = None;
        state.has_failed = false;
    }

    /// The journal values that ever became durable, from a log sequence number on.
    pub fn durable_values_from(&self, first: Lsn) -> Vec<Vec<DurableValue>> {
        let state = self.state();
        let values = state
            .history
            .range(first..)
            .map_while(|(lsn, value)| DurableValue::all(*lsn, value));
        values.collect()
    }

    fn commit(&self, mut operations: Vec<Operation>) -> Result<(), DatabaseError> {
        let mut state = self.state();
        if state.has_failed && !operations.is_empty() {
            let violation = Violation::new("poison", "a write follows a failed one");
            state.misuse.get_or_insert(violation);
        }
        let mut failure = state.next_failure.take();
        if failure.is_some() && state.injected_fault == Some(InjectedFault::RetryFailedWrite) {
            state.has_failed = true;
            failure = None;
        }
        if failure == Some(WriteFailure::Lost) {
            state.has_failed = true;
            return Err(DatabaseError("no space left on the simulated disk".into()));
        }
        let mut loses_write = false;
        let injected_fault = state.injected_fault;
        match injected_fault {
            Some(InjectedFault::LoseSyncedWrite) => loses_write = state.random.below(4) == 0,
            Some(InjectedFault::SkipPage) if state.random.below(2) == 0 => operations
                .retain(|operation| !matches!(operation, Operation::Put(Keyspace::Pages, ..))),
            Some(InjectedFault::TornWrite) if failure == Some(WriteFailure::Kept) => {
                operations.truncate(operations.len() / 2);
            }
            _ => (),
        }
        let State {
            visible,
            durable,
            unsynced,
            history,
            misuse,
            ..
        } = &mut *state;
        for operation in unsynced.drain(..) {
            operation.apply(durable);
        }
        for operation in operations {
            operation.apply(visible);
            if loses_write {
                continue;
            }
            operation.apply(durable);
            if let Operation::Put(Keyspace::Journal, key, value) = &operation
                && let Ok(number) = key.as_slice().try_into().map(u64::from_be_bytes)
            {
                let earlier = history.insert(Lsn(number), Arc::clone(value));
                if earlier.is_some_and(|earlier| earlier != *value) {
                    let detail = format!("the value at {number} is overwritten");
                    misuse.get_or_insert(Violation::new(ONE_VALUE, detail));
                }
            }
        }
        if failure == Some(WriteFailure::Kept) {
            state.has_failed = true;
            return Err(DatabaseError("the simulated disk does not answer".into()));
        }
        Ok(())
    }
}

impl Database for SimulatedDisk {
    fn writes(&self, _bytes: usize) -> Box<dyn WriteSet + '_> {
        Box::new(SimulatedWrites {
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
        let excess = match state.injected_fault {
            Some(InjectedFault::TrimTooEarly) => state.random.below(3),
            _ => 0,
        };
        let operation = Operation::Trim {
            first,
            end: Lsn(end.0 + excess),
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

struct SimulatedWrites<'a> {
    disk: &'a SimulatedDisk,
    operations: Vec<Operation>,
    bytes: usize,
}

impl WriteSet for SimulatedWrites<'_> {
    fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        self.operations
            .push(Operation::Put(keyspace, key.to_vec(), value.into()));
    }

    fn delete(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.bytes += key.len();
        let operation = Operation::Delete(keyspace, key.to_vec());
        self.operations.push(operation);
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

struct Snapshot(Keyspaces);

impl Reads for Snapshot {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let found = self.0[keyspace as usize].get(key);
        Ok(found.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
        visit: Visitor<'_>,
    ) -> Result<(), ReadError> {
        let range = (Bound::Included(first), Bound::Excluded(end));
        for (key, value) in self.0[keyspace as usize].range::<[u8], _>(range) {
            if let ControlFlow::Break(()) = visit(key, value) {
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

/// Each read sees the latest state.
struct Latest<'a>(&'a SimulatedDisk);

impl Latest<'_> {
    fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.0.state().visible))
    }
}

impl Reads for Latest<'_> {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.snapshot().get(keyspace, key)
    }

    fn scan(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
        visit: Visitor<'_>,
    ) -> Result<(), ReadError> {
        self.snapshot().scan(keyspace, first, end, visit)
    }

    fn last(
        &self,
        keyspace: Keyspace,
        first: &[u8],
        end: &[u8],
    ) -> Result<Option<Stored>, ReadError> {
        self.snapshot().last(keyspace, first, end)
    }
}

#[cfg(test)]
mod tests;
