//! A shard thread: takes a batch, applies it to the shards that it owns, and sends the commit to the writer.
//!
//! Loop: wait for an [`Event`], apply it without blocking, commit. The clock is read once per batch. Commits are reused
//! from a fixed set (`shards.commits_in_flight`), so the next batch is evaluated while the last one syncs, and a slow
//! disk blocks the thread instead of growing a queue. This thread never locks, never uses a socket, and allocates
//! nothing per check-in. A drain or a pause takes several commits and is kept as a state, so that a simulation can take
//! the same steps one by one ([`Worker::step`]).

mod audit;
mod checkpoint;
mod control;
mod dates;
mod policy;
mod step;
mod task;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use crossbeam::select;
use hdrhistogram::Histogram;
use muster_engine::ShardSet;
use muster_engine::journal::REPEATED_BYTES;
use muster_store::{CheckpointMark, Commit};

use self::audit::AuditLog;
pub use self::checkpoint::{PAGES_DRAINING, pages_beside};
pub use self::policy::SLOTS as POLICY_SLOTS;
pub use self::step::{Input, Stepped};
use self::task::{Drain, PolicyChanges, Task};
pub use self::turn::CheckpointTurn;
use super::AbortOnPanic;
use super::commit_payload::{CommitPayload, Reply};
use super::control::Control;
use crate::clock::{Clock, ServiceTime, Stamp};
use crate::metrics::{Metrics, latency_histogram};
use crate::route::{InboxReceiver, Payload, RouteTable, ShardBatch};

/// Interval between two ticks, which evaluate the devices that time alone changes.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// Due devices that a batch evaluates: about a third of a millisecond.
pub const DUE_MAX: u32 = 16_384;

/// The configuration of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerConfig {
    /// Number of the thread.
    pub thread: u16,
    /// Check-ins at which a batch ends; inventories count by their bytes.
    pub batch_check_ins_max: usize,
    /// Journal bytes of the thread since its last checkpoint at which the next one begins.
    pub checkpoint_journal_bytes: u64,
    /// Journal bytes that the recovery of its shards has replayed and no checkpoint covers yet.
    pub journal_bytes_replayed: u64,
}

/// The state of the thread.
pub struct Worker {
    shards: ShardSet,
    config: WorkerConfig,
    inbox: InboxReceiver,
    control: Receiver<Control>,
    commits: Sender<Commit<CommitPayload>>,
    returned: Receiver<Commit<CommitPayload>>,
    routes: Arc<RouteTable>,
    turn: Arc<CheckpointTurn>,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// The task in progress, which may take several commits.
    task: Task,
    /// Replies to send once the next commit is durable.
    replies: Vec<Reply>,
    /// The service time of the last batch. It goes back only when the service time has followed a clock that was set
    /// back.
    now: ServiceTime,
    ticked_at: Stamp,
    policy_changes: PolicyChanges,
    audited: AuditLog,
    /// While a checkpoint is running: the place of the shard whose pages are next.
    checkpointing: Option<usize>,
    /// Journal bytes since the last checkpoint began.
    journal_bytes: u64,
    /// Check-ins in these bytes.
    journal_check_ins: u64,
    /// When the last checkpoint began, or the worker started.
    checkpointed_at: Stamp,
    batches: u64,
    transitions: u64,
    checkpoints: u64,
    decode_to_inbox: Histogram<u64>,
    inbox_to_apply: Histogram<u64>,
    batch_check_ins: Histogram<u64>,
}

/// The worker's ends of its channels.
#[derive(Debug)]
pub struct WorkerChannels {
    /// Shard batches from sessions.
    pub inbox: InboxReceiver,
    /// Queries and commands.
    pub control: Receiver<Control>,
    /// Commits to the writer.
    pub commits: Sender<Commit<CommitPayload>>,
    /// Finished commits, returned by the writer; filled with the fixed set at the start.
    pub returned: Receiver<Commit<CommitPayload>>,
}

/// What woke the thread.
enum Event {
    ShardBatch(ShardBatch),
    Control(Control),
    Tick,
    Closed,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("thread", &self.config.thread)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Creates the worker of recovered shards.
    pub fn new(
        shards: ShardSet,
        config: WorkerConfig,
        channels: WorkerChannels,
        routes: Arc<RouteTable>,
        turn: Arc<CheckpointTurn>,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let WorkerChannels {
            inbox,
            control,
            commits,
            returned,
        } = channels;
        Self {
            shards,
            config,
            inbox,
            control,
            commits,
            returned,
            routes,
            turn,
            metrics,
            task: Task::Serve,
            replies: Vec::new(),
            now: clock.now(),
            ticked_at: clock.stamp(),
            policy_changes: PolicyChanges::default(),
            audited: AuditLog::new(clock.stamp()),
            checkpointing: None,
            journal_bytes: config.journal_bytes_replayed,
            // Upper bound: every check-in takes at least this many bytes.
            journal_check_ins: config.journal_bytes_replayed / REPEATED_BYTES as u64,
            checkpointed_at: clock.stamp(),
            batches: 0,
            transitions: 0,
            checkpoints: 0,
            decode_to_inbox: latency_histogram(),
            inbox_to_apply: latency_histogram(),
            batch_check_ins: Histogram::new_with_max(1 << 24, 2).expect("constant bounds"),
            clock,
        }
    }

    /// Runs until a drain is complete, or until the control channel is disconnected.
    pub fn run(mut self) {
        let _abort = AbortOnPanic;
        let _span = tracing::info_span!("shards", thread = self.config.thread).entered();
        loop {
            match std::mem::replace(&mut self.task, Task::Serve) {
                Task::Serve => {
                    let event = self.wait();
                    self.apply(event);
                }
                Task::Paused(paused) => paused.wait(&self),
                Task::Drain(drain) => self.drain(drain),
                Task::Ended => break,
            }
        }
        // A bounded channel keeps its messages while it has senders: whoever waits for a reply must learn of the end.
        while self.control.try_recv().is_ok() {}
    }

    fn wait(&mut self) -> Event {
        let idle = if self.is_behind() {
            Duration::ZERO
        } else {
            audit::EVERY
        };
        loop {
            select! {
                recv(self.control) -> message => {
                    return message.map_or(Event::Closed, Event::Control);
                }
                recv(self.inbox.wake()) -> _ => (),
                default(idle) => return Event::Tick,
            }
            // The last batch may already have taken the shard batch that the token announced.
            if let Some(batch) = self.inbox.try_take() {
                return Event::ShardBatch(batch);
            }
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::ShardBatch(batch) => self.batch(Some(batch)),
            Event::Tick => self.tick(),
            Event::Control(Control::Drain) => self.task = Task::Drain(Drain::Inbox),
            Event::Control(control) => self.answer(control),
            Event::Closed => self.task = Task::Ended,
        }
    }

    /// Evaluates and commits one batch: the first shard batch and those queued behind it, up to the bound.
    fn batch(&mut self, first: Option<ShardBatch>) {
        let mut commit = self.begin();
        self.pass_time(commit.payload.applied_at);
        self.policy_slice();
        let (mut check_ins, mut weight) = (0, 0);
        let mut next = first;
        while let Some(batch) = next {
            weight += batch.payload.weight();
            check_ins += self.evaluate(batch, commit.payload.applied_at, &mut commit.payload);
            let has_room = weight < self.config.batch_check_ins_max;
            next = has_room.then(|| self.inbox.try_take()).flatten();
        }
        self.inbox.rearm();
        if check_ins > 0 {
            self.batch_check_ins.saturating_record(check_ins as u64);
        }
        self.audit(commit.payload.applied_at);
        self.commit(commit, check_ins);
    }

    /// Handles a timeout without input: commits a batch without check-ins if one is due, otherwise only audits.
    fn tick(&mut self) {
        let now = self.clock.stamp();
        if self.is_behind() || now.since(self.ticked_at) >= TICK_EVERY {
            self.batch(None);
        } else {
            self.audit(now);
        }
    }

    /// Opens a batch. Blocks until a commit is free: the back-pressure of the disk.
    fn begin(&mut self) -> Commit<CommitPayload> {
        let mut commit = self
            .returned
            .recv()
            .expect("the writer outlives the shard threads");
        self.now = self.clock.now().not_before(self.now);
        commit.payload.applied_at = self.clock.stamp();
        commit.payload.time = self.now.time;
        self.shards.begin(self.now.time);
        commit
    }

    /// Evaluates one shard batch; returns its number of records.
    fn evaluate(
        &mut self,
        batch: ShardBatch,
        applied_at: Stamp,
        commit: &mut CommitPayload,
    ) -> usize {
        let ShardBatch {
            tenant,
            payload,
            completion,
            read_at,
            routed_at,
        } = batch;
        self.decode_to_inbox
            .saturating_record(routed_at.nanos_since(read_at));
        self.inbox_to_apply
            .saturating_record(applied_at.nanos_since(routed_at));
        let shards = &mut self.shards;
        let outcome = match payload {
            Payload::CheckIn(record) => shards.apply_check_in(tenant, &record),
            Payload::CheckIns(records) => {
                let outcome = shards.apply_check_ins(tenant, &records);
                self.routes.pool.give(records);
                outcome
            }
            Payload::Inventory(received) => {
                shards.apply_inventory(tenant, &received.inventory, &received.archive)
            }
        };
        if outcome.rejected + outcome.stale > 0 {
            shards.drain_rejections(|rejection| {
                if let Some(reason) = rejection.reason() {
                    self.metrics.rejected[reason.index()].add(1);
                }
                completion.note_rejection(rejection);
            });
        }
        commit.completions.push((completion, outcome));
        outcome.total() as usize
    }

    /// Whether the next batch has devices to evaluate, whatever arrives.
    fn is_behind(&self) -> bool {
        self.changes_policy() || self.shards.tick_is_running()
    }

    /// Evaluates the devices that are due, before the events of the batch.
    fn pass_time(&mut self, now: Stamp) {
        self.ticked_at = now;
        self.shards.tick(DUE_MAX);
    }

    /// Audits the next slots, if an audit slice is due.
    fn audit(&mut self, now: Stamp) {
        let (threads, metrics) = (self.routes.map.threads(), &self.metrics);
        self.audited
            .step(now, &mut self.shards, threads, &self.clock, metrics);
    }

    /// Closes the batch and sends it to the writer, with a slice of the checkpoint in progress.
    fn commit(&mut self, commit: Commit<CommitPayload>, check_ins: usize) {
        let journal_bytes = self.shards.seal();
        self.journal_bytes += journal_bytes as u64;
        self.journal_check_ins += check_ins as u64;
        let mark = self.checkpoint_slice(journal_bytes, check_ins);
        self.hand_over(commit, mark);
    }

    /// Moves the effects of the sealed batch into the commit, marks it for all shards, and sends it.
    fn hand_over(&mut self, mut commit: Commit<CommitPayload>, mark: Option<CheckpointMark>) {
        for (place, shard, effects) in self.shards.touched() {
            let part = &mut commit.parts[place];
            part.sequence = shard.sequence();
            effects.swap_journal(&mut part.journal);
            part.pages.append(&mut effects.pages);
            part.inventories.append(&mut effects.inventories);
            // An inventory is a change of a device that stays in its cell.
            let moves = effects.transitions.iter();
            self.transitions += moves.filter(|one| one.before != one.after).count() as u64;
            let (_, transitions) = &mut commit.payload.transitions[place];
            std::mem::swap(transitions, &mut effects.transitions);
            commit.payload.profiles[place].append(&mut effects.profiles);
        }
        if mark.is_some() {
            for (part, shard) in commit.parts.iter_mut().zip(self.shards.shards()) {
                part.checkpoint = mark;
                if mark == Some(CheckpointMark::Begin) {
                    part.context = shard.checkpoint_context();
                }
            }
        }
        commit.payload.replies.append(&mut self.replies);
        self.batches += 1;
        self.commits
            .send(commit)
            .expect("the writer outlives the shard threads");
    }
}
