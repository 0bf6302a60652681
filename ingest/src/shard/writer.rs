//! The writer thread: group commit of all threads' queued commits, with one write and one sync per group.
//!
//! It adds no delay at low load: a lone commit is written at once, and while it syncs the next group queues up.
//! Bounded by the commits of the shard threads (`shards.commits_in_flight` each). [`run`] is the thread; a simulation drives
//! [`Groups`] step by step. A failed write poisons the store: nothing is retried here.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use hdrhistogram::Histogram;
use muster_store::{Commit, Log, PoisonReason, Sink, Writer, WriterMetrics};
use muster_wire::limits::CHECK_IN_BYTES;

use super::AbortOnPanic;
use super::commit_payload::CommitPayload;
use crate::clock::{Clock, Stamp};
use crate::metrics::latency_histogram;
use crate::phase::{Phase, PhaseSwitch};
use crate::view::View;

/// The state and statistics of the writer, published at most every `REPORT_EVERY`.
#[derive(Debug)]
pub struct WriterReport {
    /// Statistics of the store.
    pub metrics: WriterMetrics,
    /// Journal bytes that recovery would replay.
    pub journal_bytes_live: u64,
    /// Nanoseconds from the evaluation of a batch until it is durable.
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

/// The state of the writer thread.
#[derive(Debug)]
pub struct WriterThread<L = Writer> {
    /// What makes commits durable: the store's writer.
    pub log: L,
    /// Commits of all shard threads; disconnected once every one has ended.
    pub commits: Receiver<Commit<CommitPayload>>,
    /// Returns finished commits to their thread; indexed by thread.
    pub returns: Vec<Sender<Commit<CommitPayload>>>,
    /// Capacity that each journal buffer of a returned commit keeps; a buffer of transitions keeps as many as it has
    /// check-ins.
    pub journal_bytes_kept: usize,
    /// What queries read.
    pub view: Arc<View>,
    /// The published statistics.
    pub report: Arc<Mutex<WriterReport>>,
    /// Set to poisoned by a failed write.
    pub phase: PhaseSwitch,
    /// The clock.
    pub clock: Clock,
}

/// Interval between two publications of the statistics.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Runs until every shard thread has ended.
pub fn run(thread: WriterThread<impl Log<CommitPayload>>) {
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

/// Writes commits, one group at a time.
#[derive(Debug)]
pub struct Groups<L = Writer> {
    thread: WriterThread<L>,
    group: Vec<Commit<CommitPayload>>,
    latencies: Histogram<u64>,
    published_at: Stamp,
}

impl<L: Log<CommitPayload>> Groups<L> {
    /// Creates a writer that has written nothing yet.
    pub fn new(thread: WriterThread<L>) -> Self {
        Self {
            published_at: thread.clock.stamp(),
            thread,
            group: Vec::new(),
            latencies: latency_histogram(),
        }
    }

    /// Writes the queued commits without blocking. Returns whether any was queued.
    pub fn step(&mut self) -> bool {
        let Ok(first) = self.thread.commits.try_recv() else {
            return false;
        };
        self.write(first);
        true
    }

    /// Whether a commit is queued.
    pub fn has_work(&self) -> bool {
        !self.thread.commits.is_empty()
    }

    /// The log.
    pub fn log(&self) -> &L {
        &self.thread.log
    }

    fn write(&mut self, first: Commit<CommitPayload>) {
        self.gather(first);
        // After the commits, so that it is not before the time of any of them.
        let clock = self.thread.clock.record();
        let mut finish = Finish {
            returns: &self.thread.returns,
            journal_bytes_kept: self.thread.journal_bytes_kept,
            latencies: &mut self.latencies,
            view: &self.thread.view,
            phase: &self.thread.phase,
            clock: &self.thread.clock,
        };
        self.thread.log.append(&mut self.group, clock, &mut finish);
    }

    /// Fills the group with queued commits, up to the bytes of one write.
    fn gather(&mut self, first: Commit<CommitPayload>) {
        let mut bytes = first.bytes();
        self.group.push(first);
        while bytes < self.thread.log.room()
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
        let log = &self.thread.log;
        report.metrics.clone_from(log.metrics());
        report.journal_bytes_live = log.journal_bytes_live();
        report.apply_to_durable.clone_from(&self.latencies);
    }
}

/// Receives finished commits from the store: completes their payload and returns their buffers to the thread.
struct Finish<'a> {
    returns: &'a [Sender<Commit<CommitPayload>>],
    journal_bytes_kept: usize,
    latencies: &'a mut Histogram<u64>,
    view: &'a View,
    phase: &'a PhaseSwitch,
    clock: &'a Clock,
}

impl Finish<'_> {
    fn give_back(&self, mut commit: Commit<CommitPayload>) {
        commit.clear(self.journal_bytes_kept);
        commit
            .payload
            .shrink(self.journal_bytes_kept / CHECK_IN_BYTES);
        // Fails if the thread has ended: the buffers are freed.
        if let Some(thread) = self.returns.get(usize::from(commit.payload.thread)) {
            let _ = thread.try_send(commit);
        }
    }
}

impl Sink<CommitPayload> for Finish<'_> {
    fn committed(&mut self, mut commit: Commit<CommitPayload>, _durable_at: Instant) {
        let now = self.clock.stamp();
        self.latencies
            .saturating_record(now.nanos_since(commit.payload.applied_at));
        commit.payload.durable(now, self.view);
        self.give_back(commit);
    }

    fn failed(&mut self, mut commit: Commit<CommitPayload>, reason: &PoisonReason) {
        if self.phase.get() != Phase::Poisoned {
            tracing::error!(%reason, "store is poisoned, the server acknowledges nothing; free space or repair the disk, then restart to recover");
            self.phase.advance(Phase::Poisoned);
        }
        commit.payload.abandon();
        self.give_back(commit);
    }
}

#[cfg(test)]
mod tests;
