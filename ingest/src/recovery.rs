//! Recovery: rebuilds the shards from a data directory, on as many threads as there are cores. Each reads the pages of its
//! shards; then one pass over the journal distributes its tail to all of them.
//!
//! Owner: the main thread, before the server listens. Memory: the state itself, plus `VALUES_IN_FLIGHT` journal
//! values per thread. It writes nothing.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_engine::{
    PolicySet, Recovery, RecoveryError, Revision, Sequence, Shard, ShardId, ShardLimits, ShardMap,
};
use muster_store::{ReadError, Store, StoreView, Writer};

use crate::route::ThreadMap;

/// Capacity of the channel of journal values to one thread: bounds memory if a thread is slower than the others.
const VALUES_IN_FLIGHT: usize = 64;

/// Why the data directory cannot be recovered. The attempt loses nothing; RocksDB may have flushed its write-ahead log.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A read failed or found damage.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The stored state is inconsistent.
    #[error("shard {shard}: {source}")]
    Shard {
        /// The shard.
        shard: ShardId,
        /// The cause.
        source: RecoveryError,
    },
    /// A thread failed and receives no more values; its own error is reported instead of this one.
    #[error("recovery was aborted")]
    Aborted,
}

/// Options of the rebuilt shards.
#[derive(Clone, Copy, Debug)]
pub struct RecoverOptions {
    /// Limits of each shard.
    pub limits: ShardLimits,
    /// Seed of the hash tables that index devices.
    pub hash_seed: u64,
}

/// One journal value, sent to its shard.
struct Value {
    shard: ShardId,
    sequence: Sequence,
    bytes: Vec<u8>,
}

/// Sends journal values to one thread and receives their buffers for reuse: a journal of gigabytes takes a few megabytes
/// of memory.
struct Feed {
    values: Sender<Value>,
    spent: Receiver<Vec<u8>>,
}

/// The thread's end of a [`Feed`].
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
pub(crate) struct PolicySets<'a> {
    view: &'a StoreView<'a>,
    known: Mutex<HashMap<Revision, Option<Arc<PolicySet>>>>,
}

impl<'a> PolicySets<'a> {
    pub(crate) fn of(view: &'a StoreView<'a>) -> Self {
        Self {
            view,
            known: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, revision: Revision) -> Option<Arc<PolicySet>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known
            .entry(revision)
            .or_insert_with(|| policy_set_of(self.view, revision));
        entry.clone()
    }
}

/// Reads a policy set by revision. The default revision is that of a shard before its first policy set.
pub fn policy_set_of(view: &StoreView<'_>, revision: Revision) -> Option<Arc<PolicySet>> {
    if revision == Revision::default() {
        return Some(Arc::default());
    }
    let bytes = view.policy_set(revision).ok()??;
    PolicySet::decode(&bytes).map(Arc::new)
}

/// Rebuilds every shard of a store, and returns the shards and the writer.
pub fn recover(
    store: &Store,
    options: RecoverOptions,
) -> Result<(Vec<Shard>, Writer), RecoverError> {
    let view = store.snapshot();
    rebuild(&view, options, |feeds| {
        store.recover(|entry| feeds.send(entry))
    })
}

/// Rebuilds every shard from a read-only view.
pub fn recover_view(
    view: &StoreView<'_>,
    options: RecoverOptions,
) -> Result<Vec<Shard>, RecoverError> {
    let (shards, ()) = rebuild(view, options, |feeds| {
        view.journal(|entry| feeds.send(entry))
    })?;
    Ok(shards)
}

/// The feeds of all threads.
struct Feeds {
    map: ThreadMap,
    by_thread: Vec<Feed>,
}

impl Feeds {
    fn send(&self, entry: muster_store::JournalEntry<'_>) -> Result<(), RecoverError> {
        let thread = self.map.thread_of_shard(entry.shard);
        let feed = self.by_thread.get(thread).ok_or(RecoverError::Aborted)?;
        let mut bytes = feed.spent.try_recv().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(entry.bytes);
        let value = Value {
            shard: entry.shard,
            sequence: entry.sequence,
            bytes,
        };
        feed.values.send(value).map_err(|_| RecoverError::Aborted)
    }
}

fn rebuild<T>(
    view: &StoreView<'_>,
    options: RecoverOptions,
    journal: impl FnOnce(&Feeds) -> Result<T, RecoverError>,
) -> Result<(Vec<Shard>, T), RecoverError> {
    let policies = PolicySets::of(view);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let cores = u16::try_from(cores).unwrap_or(u16::MAX);
    let map = ThreadMap::new(ShardMap::new(view.shards()), cores);
    let (by_thread, ends): (Vec<_>, Vec<_>) = (0..map.threads()).map(|_| feed()).unzip();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(ends)
            .map(|(thread, end)| {
                let (policies, shards) = (&policies, map.shards_of(thread));
                scope.spawn(move || rebuild_some(view, shards, options, policies, end))
            })
            .collect();
        let feeds = Feeds { map, by_thread };
        let outcome = journal(&feeds);
        drop(feeds); // signals the end of the journal
        let shards: Vec<_> = threads.into_iter().map(join).collect();
        match outcome {
            // A shard also fails if its journal ends early; the error that ended the journal is the cause.
            Err(cause) if !matches!(cause, RecoverError::Aborted) => Err(cause),
            outcome => {
                let shards = shards.into_iter().collect::<Result<Vec<_>, _>>()?;
                Ok((shards.into_iter().flatten().collect(), outcome?))
            }
        }
    })
}

/// Joins a thread, and propagates its panic.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    match thread.join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn rebuild_some(
    view: &StoreView<'_>,
    shards: Range<u16>,
    options: RecoverOptions,
    policies: &PolicySets<'_>,
    FeedEnd { values, spent }: FeedEnd,
) -> Result<Vec<Shard>, RecoverError> {
    let first = shards.start;
    let mut policy_set = |revision| policies.get(revision);
    let read = |shard| read_state(view, ShardId(shard), options, &mut policy_set);
    let mut recoveries = shards.map(read).collect::<Result<Vec<_>, _>>()?;
    for Value {
        shard,
        sequence,
        bytes,
    } in values
    {
        recoveries[usize::from(shard.0 - first)]
            .replay(sequence, &bytes, &mut policy_set)
            .map_err(in_shard(shard))?;
        // Fails if the channel is full or the sender has ended: the buffer is freed.
        let _ = spent.try_send(bytes);
    }
    let finish =
        |(shard, recovery): (u16, Recovery)| recovery.finish().map_err(in_shard(ShardId(shard)));
    (first..).zip(recoveries).map(finish).collect()
}

/// Reads pages and checkpoint record: everything but the journal tail.
fn read_state(
    view: &StoreView<'_>,
    shard: ShardId,
    options: RecoverOptions,
    policy_set: &mut impl FnMut(Revision) -> Option<Arc<PolicySet>>,
) -> Result<Recovery, RecoverError> {
    let mut recovery = Recovery::new(shard, options.limits, options.hash_seed);
    view.pages(shard, |page, bytes| {
        recovery.page(page, bytes).map_err(in_shard(shard))
    })?;
    if let Some(record) = view.checkpoint(shard)? {
        recovery
            .checkpoint(record.cursor_sequence, &record.context, policy_set)
            .map_err(in_shard(shard))?;
    }
    Ok(recovery)
}

fn in_shard(shard: ShardId) -> impl FnOnce(RecoveryError) -> RecoverError {
    move |source| RecoverError::Shard { shard, source }
}

#[cfg(test)]
mod tests {
    use muster_engine::{ColdRecord, DeviceRecord, PAGE_RECORDS, PageNumber, page};
    use muster_store::{Commit, CommitPart, PageWrite, PoisonReason, Sink, StoreConfig};

    use super::*;

    const OPTIONS: RecoverOptions = RecoverOptions {
        limits: ShardLimits { devices_max: 1_000 },
        hash_seed: 1,
    };

    /// A page is written with its journal value, so if the journal is unreadable pages are ahead of it.
    #[test]
    fn an_error_of_the_journal_is_reported_before_the_errors_that_follow_from_it() {
        let scratch = tempfile::tempdir().unwrap();
        let config = StoreConfig::new(scratch.path()).with_shards(1);
        let store = Store::open(&config).unwrap();
        let (_, mut writer) = recover(&store, OPTIONS).unwrap();
        let records = [DeviceRecord::default(); PAGE_RECORDS];
        let cold = [ColdRecord::default(); PAGE_RECORDS];
        let ahead = PageWrite {
            page: PageNumber(0),
            bytes: page::encode(Sequence(5), &records, &cold),
        };
        let part = CommitPart {
            pages: vec![ahead],
            ..CommitPart::default()
        };
        writer.write(&mut vec![part.into()], &mut NoSink);
        let view = store.snapshot();
        let error_of = |end: Result<(), RecoverError>| match rebuild(&view, OPTIONS, |_| end) {
            Ok(_) => unreachable!("a page is ahead"),
            Err(error) => error,
        };
        let what = "its checksum is wrong".to_owned();
        let keyspace = "journal";
        let damage = ReadError::Corrupt { keyspace, what };
        let error = error_of(Err(damage.clone().into()));
        assert!(matches!(error, RecoverError::Read(cause) if cause == damage));
        for end in [Ok(()), Err(RecoverError::Aborted)] {
            let source = match error_of(end) {
                RecoverError::Shard { source, .. } => source,
                other => panic!("{other}"),
            };
            assert!(matches!(source, RecoveryError::JournalEndsEarly { .. }));
        }
    }

    struct NoSink;

    impl Sink<()> for NoSink {
        fn committed(&mut self, _: Commit<()>, _: std::time::Instant) {}

        fn failed(&mut self, _: Commit<()>, reason: &PoisonReason) {
            panic!("{reason}");
        }
    }
}
