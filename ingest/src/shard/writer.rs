//! The writer thread: everything that waits, from all shards, in one write with one sync.
//!
//! No delay at low load: a lone commit is written at once, and while it syncs the next group gathers.
//! Bounded by the commits the shards have (`shards.commits_in_flight` each). [`run`] waits for commits; a
//! simulation drives [`Groups`] itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use hdrhistogram::Histogram;
use muster_store::{Commit, PoisonReason, Sink, Writer, WriterMetrics};

use super::AbortOnPanic;
use super::commit_payload::CommitPayload;
use crate::clock::{Clock, Stamp};
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
    pub commits: Receiver<Commit<CommitPayload>>,
    /// By shard: where a finished commit goes back to.
    pub returns: Vec<Sender<Commit<CommitPayload>>>,
    /// Where the numbers go.
    pub report: Arc<Mutex<WriterReport>>,
    /// Told of a failed write.
    pub phase: PhaseSwitch,
    /// Where time comes from.
    pub clock: Clock,
}

/// How old the published numbers may be.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Runs until every shard has ended.
pub fn run(thread: WriterThread) {
    let _abort = AbortOnPanic;
    let mut groups = Groups::new(thread);
    loop {
        match groups.thread.commits.recv_timeout(REPORT_EVERY) {
            Ok(commit) => groups.write(commit),
            Err(RecvTimeoutError::Timeout) => groups.publish(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        groups.publish_if_due();
    }
    groups.publish();
}

/// The writer at work, one group at a time.
#[derive(Debug)]
pub struct Groups {
    thread: WriterThread,
    group: Vec<Commit<CommitPayload>>,
    latencies: Histogram<u64>,
    published_at: Stamp,
}

impl Groups {
    /// A writer that has written nothing yet.
    pub fn new(thread: WriterThread) -> Self {
        Self {
            published_at: thread.clock.stamp(),
            thread,
            group: Vec::new(),
            latencies: latency_histogram(),
        }
    }

    /// Writes what waits, without waiting for it. Returns whether anything did.
    pub fn step(&mut self) -> bool {
        let Ok(first) = self.thread.commits.try_recv() else {
            return false;
        };
        self.write(first);
        true
    }

    /// Whether a commit waits.
    pub fn has_work(&self) -> bool {
        !self.thread.commits.is_empty()
    }

    /// The store's writer.
    pub fn writer(&self) -> &Writer {
        &self.thread.writer
    }

    fn write(&mut self, first: Commit<CommitPayload>) {
        self.gather(first);
        let mut finish = Finish {
            returns: &self.thread.returns,
            latencies: &mut self.latencies,
            phase: &self.thread.phase,
            clock: &self.thread.clock,
        };
        self.thread.writer.write(&mut self.group, &mut finish);
    }

    /// Everything that waits, up to the bytes of one write.
    fn gather(&mut self, first: Commit<CommitPayload>) {
        let mut bytes = first.bytes();
        self.group.push(first);
        while bytes < self.thread.writer.group_bytes_max()
            && let Ok(next) = self.thread.commits.try_recv()
        {
            bytes += next.bytes();
            self.group.push(next);
        }
    }

    fn publish_if_due(&mut self) {
        if self.thread.clock.stamp().since(self.published_at) >= REPORT_EVERY {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.published_at = self.thread.clock.stamp();
        let Ok(mut report) = self.thread.report.lock() else {
            return;
        };
        let writer = &self.thread.writer;
        report.metrics.clone_from(writer.metrics());
        report.journal_bytes_live = writer.journal_bytes_live();
        report.apply_to_durable.clone_from(&self.latencies);
    }
}

/// Takes finished commits from the store: tells who waits, gives the buffers back to the shard.
struct Finish<'a> {
    returns: &'a [Sender<Commit<CommitPayload>>],
    latencies: &'a mut Histogram<u64>,
    phase: &'a PhaseSwitch,
    clock: &'a Clock,
}

impl Finish<'_> {
    fn give_back(&self, mut commit: Commit<CommitPayload>) {
        commit.clear();
        // A shard that has ended needs its buffers no more.
        if let Some(shard) = self.returns.get(usize::from(commit.shard)) {
            let _ = shard.try_send(commit);
        }
    }
}

impl Sink<CommitPayload> for Finish<'_> {
    fn committed(&mut self, mut commit: Commit<CommitPayload>, _durable_at: Instant) {
        let now = self.clock.stamp();
        self.latencies
            .saturating_record(now.nanos_since(commit.payload.applied_at));
        commit.payload.durable(now);
        self.give_back(commit);
    }

    fn failed(&mut self, mut commit: Commit<CommitPayload>, reason: &PoisonReason) {
        if self.phase.get() != Phase::Poisoned {
            tracing::error!(%reason, "store is poisoned: nothing is acknowledged any more; free space or repair the disk, then restart to recover");
            self.phase.advance(Phase::Poisoned);
        }
        commit.payload.abandon();
        self.give_back(commit);
    }
}
