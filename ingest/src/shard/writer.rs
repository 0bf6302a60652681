//! The writer thread: everything that waits, from all shards, in one write with one sync.
//!
//! No delay at low load: a lone commit is written at once, and while it syncs the next group gathers.
//! Bounded by the commits the shards have (`shards.commits_in_flight` each).

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use hdrhistogram::Histogram;
use muster_store::{Commit, PoisonReason, Sink, Writer, WriterMetrics};

use super::AbortOnPanic;
use super::batch::Batch;
use crate::clock;
use crate::metrics::latency_histogram;
use crate::phase::{Phase, PhaseSwitch};

/// What operators see of the writer; updated once a group.
#[derive(Debug)]
pub struct WriterReport {
    /// The store's own numbers.
    pub metrics: WriterMetrics,
    /// Journal bytes that a recovery would replay.
    pub journal_bytes_live: u64,
    /// Nanoseconds from the evaluation of a batch to its durability.
    pub apply_to_durable: Histogram<u64>,
}

impl Default for WriterReport {
    fn default() -> Self {
        Self {
            metrics: WriterMetrics::default(),
            journal_bytes_live: 0,
            apply_to_durable: latency_histogram(),
        }
    }
}

/// What the writer thread owns.
#[derive(Debug)]
pub struct WriterThread {
    /// The store's writer.
    pub writer: Writer,
    /// Commits of all shards; ends when every shard has ended.
    pub commits: Receiver<Commit<Batch>>,
    /// By shard: where a finished commit goes back to.
    pub returns: Vec<Sender<Commit<Batch>>>,
    /// Where the numbers go.
    pub report: Arc<Mutex<WriterReport>>,
    /// Told of a failed write.
    pub phase: PhaseSwitch,
}

/// How old the published numbers may be.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Runs until every shard has ended.
pub fn run(mut thread: WriterThread) {
    let _abort = AbortOnPanic;
    let mut group: Vec<Commit<Batch>> = Vec::new();
    let mut latencies = latency_histogram();
    let mut published_at = clock::stamp();
    loop {
        let first = match thread.commits.recv_timeout(REPORT_EVERY) {
            Ok(commit) => Some(commit),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        let idle = first.is_none();
        if let Some(first) = first {
            gather(&thread, first, &mut group);
            let (returns, phase) = (&thread.returns, &thread.phase);
            let mut finish = Finish {
                returns,
                latencies: &mut latencies,
                phase,
            };
            thread.writer.write(&mut group, &mut finish);
        }
        let now = clock::stamp();
        if idle || now.since(published_at) >= REPORT_EVERY {
            published_at = now;
            publish(&thread, &latencies);
        }
    }
    publish(&thread, &latencies);
}

/// Everything that waits, up to the bytes of one write.
fn gather(thread: &WriterThread, first: Commit<Batch>, group: &mut Vec<Commit<Batch>>) {
    let mut bytes = first.bytes();
    group.push(first);
    while bytes < thread.writer.group_bytes_max()
        && let Ok(next) = thread.commits.try_recv()
    {
        bytes += next.bytes();
        group.push(next);
    }
}

fn publish(thread: &WriterThread, latencies: &Histogram<u64>) {
    let Ok(mut report) = thread.report.lock() else {
        return;
    };
    report.metrics.clone_from(thread.writer.metrics());
    report.journal_bytes_live = thread.writer.journal_bytes_live();
    report.apply_to_durable.clone_from(latencies);
}

/// Takes finished commits from the store: tells who waits, gives the buffers back to the shard.
struct Finish<'a> {
    returns: &'a [Sender<Commit<Batch>>],
    latencies: &'a mut Histogram<u64>,
    phase: &'a PhaseSwitch,
}

impl Finish<'_> {
    fn give_back(&self, mut commit: Commit<Batch>) {
        commit.clear();
        // A shard that has ended needs its buffers no more.
        if let Some(shard) = self.returns.get(usize::from(commit.shard)) {
            let _ = shard.try_send(commit);
        }
    }
}

impl Sink<Batch> for Finish<'_> {
    fn committed(&mut self, mut commit: Commit<Batch>, _durable_at: Instant) {
        let now = clock::stamp();
        self.latencies
            .saturating_record(now.nanos_since(commit.payload.applied_at));
        commit.payload.durable(now);
        self.give_back(commit);
    }

    fn failed(&mut self, mut commit: Commit<Batch>, reason: &PoisonReason) {
        if self.phase.get() != Phase::Poisoned {
            tracing::error!(%reason, "store is poisoned: nothing is acknowledged any more; free space or repair the disk, then restart to recover");
            self.phase.advance(Phase::Poisoned);
        }
        commit.payload.abandon();
        self.give_back(commit);
    }
}
