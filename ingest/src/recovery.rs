//! From a data directory to shards that can serve: tables and pages in parallel by shard, then the
//! journal tail, which one pass over the journal hands to all of them.
//!
//! Runs before anything listens. Its memory is the state itself plus a few journal values in flight.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_engine::{
    PolicySet, Recovery, RecoveryError, Revision, Sequence, Shard, ShardId, ShardLimits,
};
use muster_store::{ReadError, Store, StoreView, Writer};

/// Journal values on their way to one shard; bounds memory while one shard is slower.
const VALUES_IN_FLIGHT: usize = 16;

/// The data directory cannot be served. Nothing that was stored is lost by the attempt; RocksDB may have put its
/// log into tables.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A read failed or found damage.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What is stored contradicts itself.
    #[error("shard {shard}: {source}")]
    Shard {
        /// Which shard.
        shard: ShardId,
        /// What is wrong.
        source: RecoveryError,
    },
    /// A shard found a fault and stopped taking values; its own error is reported instead of this.
    #[error("recovery was given up")]
    GivenUp,
}

/// How shards are rebuilt.
#[derive(Clone, Copy, Debug)]
pub struct RecoverOptions {
    /// Limits of each shard once it serves.
    pub limits: ShardLimits,
    /// Keys the device indexes.
    pub hash_seed: u64,
}

/// One journal value on its way to its shard.
struct Value {
    sequence: Sequence,
    bytes: Vec<u8>,
}

/// The way of journal values to one shard, and of their buffers back: a journal of gigabytes passes through
/// a few megabytes of memory.
struct Feed {
    values: Sender<Value>,
    spent: Receiver<Vec<u8>>,
}

/// The shard's end of it.
struct FeedEnd {
    values: Receiver<Value>,
    spent: Sender<Vec<u8>>,
}

fn feed() -> (Feed, FeedEnd) {
    let (values, values_end) = bounded(VALUES_IN_FLIGHT);
    let (spent_end, spent) = bounded(VALUES_IN_FLIGHT);
    let end = FeedEnd {
        values: values_end,
        spent: spent_end,
    };
    (Feed { values, spent }, end)
}

/// Policy sets by revision, read once.
struct PolicySets<'a> {
    view: &'a StoreView<'a>,
    known: Mutex<HashMap<Revision, Option<Arc<PolicySet>>>>,
}

impl PolicySets<'_> {
    fn get(&self, revision: Revision) -> Option<Arc<PolicySet>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known
            .entry(revision)
            .or_insert_with(|| policy_set_of(self.view, revision));
        entry.clone()
    }
}

/// A policy set by revision, as the store has it; none was in force before the first.
pub fn policy_set_of(view: &StoreView<'_>, revision: Revision) -> Option<Arc<PolicySet>> {
    if revision == Revision::default() {
        return Some(Arc::default());
    }
    let bytes = view.policy_set(revision).ok()??;
    PolicySet::decode(&bytes).map(Arc::new)
}

/// Rebuilds every shard of a store and returns them with the one writer.
pub fn recover(
    store: &Store,
    options: RecoverOptions,
) -> Result<(Vec<Shard>, Writer), RecoverError> {
    let view = store.snapshot();
    rebuild(&view, options, |feeds| {
        store.recover(|entry| hand_out(feeds, entry))
    })
}

/// Rebuilds every shard from a view that nothing writes to.
pub fn recover_view(
    view: &StoreView<'_>,
    options: RecoverOptions,
) -> Result<Vec<Shard>, RecoverError> {
    let (shards, ()) = rebuild(view, options, |feeds| {
        view.journal(|entry| hand_out(feeds, entry))
    })?;
    Ok(shards)
}

fn hand_out(feeds: &[Feed], entry: muster_store::JournalEntry<'_>) -> Result<(), RecoverError> {
    let feed = feeds
        .get(usize::from(entry.shard))
        .ok_or(RecoverError::GivenUp)?;
    let mut bytes = feed.spent.try_recv().unwrap_or_default();
    bytes.clear();
    bytes.extend_from_slice(entry.bytes);
    let value = Value {
        sequence: entry.sequence,
        bytes,
    };
    feed.values.send(value).map_err(|_| RecoverError::GivenUp)
}

fn rebuild<T>(
    view: &StoreView<'_>,
    options: RecoverOptions,
    journal: impl FnOnce(&[Feed]) -> Result<T, RecoverError>,
) -> Result<(Vec<Shard>, T), RecoverError> {
    let policies = PolicySets {
        view,
        known: Mutex::default(),
    };
    let (feeds, ends): (Vec<_>, Vec<_>) = (0..view.shards()).map(|_| feed()).unzip();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..view.shards())
            .map(ShardId)
            .zip(ends)
            .map(|(shard, end)| {
                let policies = &policies;
                scope.spawn(move || rebuild_one(view, shard, options, policies, end))
            })
            .collect();
        let outcome = journal(&feeds);
        drop(feeds); // the end of the journal
        let joined = |thread: ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(shard) => shard,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let shards: Vec<_> = threads.into_iter().map(joined).collect();
        match outcome {
            // A shard whose journal breaks off finds fault with that; what broke it off is the cause.
            Err(cause) if !matches!(cause, RecoverError::GivenUp) => Err(cause),
            outcome => {
                let shards = shards.into_iter().collect::<Result<_, _>>()?;
                Ok((shards, outcome?))
            }
        }
    })
}

fn rebuild_one(
    view: &StoreView<'_>,
    shard: ShardId,
    options: RecoverOptions,
    policies: &PolicySets<'_>,
    FeedEnd { values, spent }: FeedEnd,
) -> Result<Shard, RecoverError> {
    let fault = |source| RecoverError::Shard { shard, source };
    let mut recovery = read_state(view, shard, options)?;
    let mut policy_set = |revision| policies.get(revision);
    for Value { sequence, bytes } in values {
        recovery
            .replay(sequence, &bytes, &mut policy_set)
            .map_err(fault)?;
        // When it is full, which takes the buffers in the hands of both ends as well, this one is let go.
        let _ = spent.try_send(bytes);
    }
    recovery.finish(&mut policy_set).map_err(fault)
}

/// Tables, pages and cursor: everything but the journal tail.
fn read_state(
    view: &StoreView<'_>,
    shard: ShardId,
    options: RecoverOptions,
) -> Result<Recovery, RecoverError> {
    let fault = |source| RecoverError::Shard { shard, source };
    let mut recovery = Recovery::new(shard, options.limits, options.hash_seed);
    view.cohorts(shard, |id, bytes| recovery.cohort(id, bytes).map_err(fault))?;
    view.cells(shard, |id, bytes| recovery.cell(id, bytes).map_err(fault))?;
    recovery.expect_pages(view.pages_end(shard)?);
    view.pages(shard, |page, bytes| {
        recovery.page(page, bytes).map_err(fault)
    })?;
    recovery.cursor(
        view.checkpoint(shard)?
            .map_or(Sequence(0), |record| record.cursor_sequence),
    );
    Ok(recovery)
}

#[cfg(test)]
mod tests {
    use muster_engine::{DeviceRecord, PAGE_RECORDS, PageNumber, page};
    use muster_store::{Commit, PageWrite, PoisonReason, Sink, StoreConfig};

    use super::*;

    const OPTIONS: RecoverOptions = RecoverOptions {
        limits: ShardLimits {
            devices_max: 1_000,
            cells_max: 16,
            cohorts_max: 16,
        },
        hash_seed: 1,
    };

    /// A page is written with the journal, so where the journal cannot be read pages are ahead of it.
    #[test]
    fn what_is_wrong_with_the_journal_is_told_before_what_follows_from_it() {
        let scratch = tempfile::tempdir().unwrap();
        let config = StoreConfig::new(scratch.path()).with_shards(1);
        let store = Store::open(&config).unwrap();
        let (_, mut writer) = recover(&store, OPTIONS).unwrap();
        let records = [DeviceRecord::default(); PAGE_RECORDS];
        let ahead = PageWrite {
            page: PageNumber(0),
            bytes: page::encode(Revision::default(), Sequence(5), &records),
        };
        let mut commits = vec![Commit::<()> {
            pages: vec![ahead],
            ..Commit::default()
        }];
        writer.write(&mut commits, &mut Nobody);
        let view = store.snapshot();
        let ended = |end: Result<(), RecoverError>| match rebuild(&view, OPTIONS, |_| end) {
            Ok(_) => unreachable!("a page is ahead"),
            Err(error) => error,
        };
        let what = "its checksum is wrong".to_owned();
        let keyspace = "journal";
        let damage = ReadError::Corrupt { keyspace, what };
        let told = ended(Err(damage.clone().into()));
        assert!(matches!(told, RecoverError::Read(cause) if cause == damage));
        for end in [Ok(()), Err(RecoverError::GivenUp)] {
            let source = match ended(end) {
                RecoverError::Shard { source, .. } => source,
                other => panic!("{other}"),
            };
            assert!(matches!(source, RecoveryError::JournalEndsEarly { .. }));
        }
    }

    struct Nobody;

    impl Sink<()> for Nobody {
        fn committed(&mut self, _: Commit<()>, _: std::time::Instant) {}

        fn failed(&mut self, _: Commit<()>, reason: &PoisonReason) {
            panic!("{reason}");
        }
    }
}
