//! Tests of a worker, one step at a time, without a writer and with a simulated clock.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_engine::{
    PolicySet, Revision, Shard, ShardId, ShardLimits, ShardMap, ShardSet, TenantIndex,
    TenantPolicy, Threshold, Timestamp,
};
use muster_store::{CheckpointMark, Commit};
use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{
    CheckIn, DeviceId, Flags, Inventory, ManagementAgent, Onboarding, Owner, PartnerThreatState,
    Platform, Risk,
};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::checkpoint::CHECKPOINT_AGE_MAX;
use super::{Input, Stepped, TICK_EVERY, Worker, WorkerChannels, WorkerConfig, audit};
use crate::clock::{Clock, SimulatedTime, Stamp};
use crate::metrics::Metrics;
use crate::route::{
    BufferPool, Inbox, Listed, Payload, ReceivedInventory, RouteTable, ShardBatch, ThreadMap,
    Window, WindowCursor, inbox,
};
use crate::shard::{CommitPayload, Control, empty_commit};
use crate::view::View;

const BATCH_CHECK_INS_MAX: usize = 1_000;

const SHARDS: u16 = 3;

/// Capacity of the inbox, more than any test sends.
const INBOX_BATCHES: usize = 64;

/// Journal bytes that no test reaches: no checkpoint is due by size.
const NEVER: u64 = 1 << 40;

/// A worker with the other ends of its channels.
struct Fixture {
    worker: Worker,
    time: Arc<SimulatedTime>,
    inbox: Inbox,
    window: WindowCursor,
    commits: Receiver<Commit<CommitPayload>>,
    returns: Sender<Commit<CommitPayload>>,
    control: Sender<Control>,
    view: Arc<View>,
}

impl Fixture {
    /// Empty shards with a policy set in force.
    fn new() -> Self {
        let (inbox, receiver) = inbox(INBOX_BATCHES, 1);
        let (control, control_receiver) = bounded(4);
        let (commit_sender, commits) = bounded(1);
        let (returns, returned) = bounded(1);
        returns.send(empty_commit(0, 0..SHARDS)).unwrap();
        let limits = ShardLimits { devices_max: 1_000 };
        let time = Arc::new(SimulatedTime::at(Timestamp::from_seconds(1_800_000_000)));
        let map = ShardMap::new(SHARDS);
        let shards = (0..SHARDS).map(|shard| Shard::new(ShardId(shard), limits, 1));
        let shards = ShardSet::new(map, shards.collect(), limits.devices_max);
        let routes = RouteTable {
            map: ThreadMap::new(map, 1),
            inboxes: Box::default(),
            pool: BufferPool::new(1),
        };
        let worker = Worker::new(
            shards,
            WorkerConfig {
                thread: 0,
                batch_check_ins_max: BATCH_CHECK_INS_MAX,
                checkpoint_journal_bytes: NEVER,
                journal_bytes_replayed: 0,
            },
            WorkerChannels {
                inbox: receiver,
                control: control_receiver,
                commits: commit_sender,
                returned,
            },
            Arc::new(routes),
            Arc::default(),
            Arc::new(Metrics::default()),
            Clock::Simulated(Arc::clone(&time)),
        );
        let policy = PolicySet::new(
            Revision(1),
            vec![TenantPolicy::with_threshold(Threshold::Medium)],
        );
        control.send(Control::policy(&Arc::new(policy))).unwrap();
        let mut fixture = Self {
            worker,
            time,
            inbox,
            window: Window::open(INBOX_BATCHES as u16),
            commits,
            returns,
            control,
            view: Arc::new(View::new(SHARDS, [], Timestamp::from_seconds(1))),
        };
        fixture.step();
        fixture
    }

    /// Sends one shard batch, in its own frame.
    fn send(&mut self, payload: Payload) {
        self.window.open_frame();
        let stamp = Clock::Simulated(Arc::clone(&self.time)).stamp();
        let batch = ShardBatch {
            tenant: TenantIndex(0),
            payload,
            completion: self.window.completion(),
            read_at: stamp,
            routed_at: stamp,
        };
        assert!(self.inbox.try_send(batch).unwrap().is_none(), "full");
        self.window.close_frame();
    }

    /// Runs one batch and makes it durable; returns its journal bytes, its shard batches and its checkpoint mark.
    fn step(&mut self) -> (usize, usize, Option<CheckpointMark>) {
        assert_eq!(self.worker.step(Input::Control), Stepped::Worked);
        let mut commit = self.commits.try_recv().expect("each step is a commit");
        let batches = commit.payload.completions.len();
        commit
            .payload
            .durable(Clock::Simulated(Arc::clone(&self.time)).stamp(), &self.view);
        let mark = commit.parts[0].checkpoint;
        assert!(commit.parts.iter().all(|part| part.checkpoint == mark));
        let bytes = commit.parts.iter().map(|part| part.journal.len()).sum();
        let batch = (bytes, batches, mark);
        self.returns.send(empty_commit(0, 0..SHARDS)).unwrap();
        batch
    }

    /// Advances the clock by `time` and steps the shard.
    fn tick(&mut self, time: Duration) -> (usize, usize, Option<CheckpointMark>) {
        self.time.pass(time);
        self.step()
    }
}

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number + 1; 16])
}

fn check_in(seq: u64) -> Payload {
    let check_in = CheckIn {
        device_id: device(0),
        seq,
        sent_at_ms: 1,
        boot_id: 1,
        payload: 0,
        flags: Flags::NONE,
        risk: Risk::ALL[0],
        partner_threat_state: PartnerThreatState::ALL[0],
        onboarding: Onboarding::ALL[0],
        platform: Platform::ALL[0],
        management_agent: ManagementAgent::ALL[0],
    };
    Payload::CheckIn(check_in.to_record().unwrap())
}

/// An inventory: one record, many times as long as a check-in.
fn inventory(number: u8) -> Payload {
    let inventory = Inventory {
        device_id: device(number),
        os_version: Inventory::pack_version([10, 0, 1, 1]),
        revision: 1,
        owner: Owner::Company,
        device_name: "n".repeat(60),
        os_name: "Windows".to_owned(),
        model: "m".repeat(60),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: "u".repeat(60),
        tags: (0..16).map(|tag| format!("{tag:064}")).collect(),
    };
    let archive = inventory.to_bytes().unwrap();
    Payload::Inventory(Box::new(ReceivedInventory { inventory, archive }))
}

#[test]
fn a_batch_of_inventories_ends_at_the_bytes_of_a_full_batch_of_check_ins() {
    const BYTES_MAX: usize = BATCH_CHECK_INS_MAX * CHECK_IN_BYTES;
    let mut fixture = Fixture::new();
    // Measures the journal bytes of one inventory.
    fixture.send(inventory(0));
    let (one, ..) = fixture.step();
    let sent = INBOX_BATCHES - 4;
    assert!(
        one * sent > BYTES_MAX + one,
        "{sent} of {one} bytes are too few to fill a batch"
    );
    for number in 1..=sent {
        fixture.send(inventory(number as u8));
    }
    let (bytes, batches, _) = fixture.step();
    assert!(batches < sent, "the batch took all of them");
    assert!(
        (BYTES_MAX..BYTES_MAX + one).contains(&bytes),
        "{bytes} bytes in {batches} batches"
    );
    // The next batch takes the rest.
    let (_, rest, _) = fixture.step();
    assert_eq!(batches + rest, sent);
}

#[test]
fn a_thread_with_little_traffic_checkpoints_when_its_journal_is_old() {
    let mut fixture = Fixture::new();
    // The policy set is in the journal.
    assert_eq!(
        fixture.tick(CHECKPOINT_AGE_MAX).2,
        Some(CheckpointMark::Begin)
    );
    assert_eq!(fixture.tick(TICK_EVERY).2, Some(CheckpointMark::Complete));
    // Without new journal bytes nothing becomes due, however much time passes.
    for _ in 0..3 {
        assert_eq!(fixture.tick(CHECKPOINT_AGE_MAX).2, None);
    }
    fixture.send(check_in(1));
    let (bytes, batches, begun) = fixture.step();
    assert!(bytes >= CHECK_IN_BYTES && batches == 1);
    assert_eq!(
        begun,
        Some(CheckpointMark::Begin),
        "the last one is too old"
    );
    assert_eq!(fixture.tick(TICK_EVERY).2, Some(CheckpointMark::Complete));

    fixture.send(check_in(2));
    assert_eq!(fixture.step().2, None, "the last one has just completed");
    let soon = CHECKPOINT_AGE_MAX - 2 * TICK_EVERY;
    assert_eq!(fixture.tick(soon).2, None, "not yet");
    assert_eq!(fixture.tick(TICK_EVERY).2, Some(CheckpointMark::Begin));
    assert_eq!(fixture.tick(TICK_EVERY).2, Some(CheckpointMark::Complete));
    assert_eq!(
        fixture.tick(CHECKPOINT_AGE_MAX).2,
        None,
        "it covers everything"
    );
}

#[test]
fn a_checkpoint_is_due_by_check_ins_by_state_and_by_configuration() {
    let mut fixture = Fixture::new();
    fixture.send(check_in(1));
    fixture.step();
    assert_eq!(fixture.worker.shards.devices(), 1);
    let mut due_at = |journal_bytes, check_ins, configured| {
        fixture.worker.journal_bytes = journal_bytes;
        fixture.worker.journal_check_ins = check_ins;
        fixture.worker.config.checkpoint_journal_bytes = configured;
        fixture.worker.due_at(64)
    };
    assert_eq!(due_at(2_000, 100, 1), 40, "two check-ins of each device");
    assert_eq!(
        due_at(2_000, 10, 1),
        48,
        "at most three quarters of the state"
    );
    assert_eq!(due_at(2_000, 0, 1), 48, "changes by time alone");
    assert_eq!(due_at(2_000, 100, 60), 60, "at least what is configured");
    assert_eq!(due_at(u64::MAX, 1, 1), 48, "no overflow");
}

#[test]
fn a_thread_that_is_due_waits_for_its_turn_but_not_forever() {
    let mut fixture = Fixture::new();
    let other = 1;
    assert!(fixture.worker.turn.take(other));
    assert_eq!(
        fixture.tick(CHECKPOINT_AGE_MAX).2,
        None,
        "another thread has the turn"
    );
    fixture.worker.turn.give_back(other);
    assert_eq!(fixture.tick(TICK_EVERY).2, Some(CheckpointMark::Begin));
    assert!(!fixture.worker.turn.take(other), "it has the turn");
    assert_eq!(fixture.tick(TICK_EVERY).2, Some(CheckpointMark::Complete));
    assert!(fixture.worker.turn.take(other), "it has given it back");

    fixture.send(check_in(1));
    assert_eq!(fixture.step().2, None);
    let overdue = CHECKPOINT_AGE_MAX + CHECKPOINT_AGE_MAX / 2;
    assert_eq!(fixture.tick(overdue - 2 * TICK_EVERY).2, None);
    assert_eq!(
        fixture.tick(2 * TICK_EVERY).2,
        Some(CheckpointMark::Begin),
        "its journal must not grow forever"
    );
}

#[test]
fn a_slice_of_the_audit_is_due_between_two_ticks() {
    let mut fixture = Fixture::new();
    let batches = fixture.worker.batches;
    for slices in 0..3 {
        let stepped = fixture.worker.step(Input::Inbox);
        assert_eq!(stepped, Stepped::Idle, "{slices}");
        fixture.time.pass(audit::EVERY);
        let stepped = fixture.worker.step(Input::Inbox);
        assert_eq!(stepped, Stepped::Worked, "{slices}");
        assert_eq!(fixture.worker.batches, batches, "no tick was due");
    }
}

#[test]
fn a_check_in_is_in_the_view_when_it_is_acknowledged_and_not_before() {
    let mut fixture = Fixture::new();
    let counted = |fixture: &Fixture| fixture.view.count(TenantIndex(0), |_| true);
    let mut listed = Listed::default();
    for (seq, device) in [(1, 1), (2, 1)] {
        fixture.send(check_in(seq));
        assert_eq!(fixture.worker.step(Input::Control), Stepped::Worked);
        assert_eq!(counted(&fixture), seq - 1, "applied, but not durable");
        assert!(fixture.window.collect(&mut listed).is_none());
        let mut commit = fixture.commits.try_recv().unwrap();
        let stamp = Clock::Simulated(Arc::clone(&fixture.time)).stamp();
        commit.payload.durable(stamp, &fixture.view);
        assert!(fixture.window.collect(&mut listed).is_some());
        assert_eq!(counted(&fixture), device);
        assert_eq!(fixture.view.drift(), 0);
        fixture.returns.send(commit).unwrap();
    }
    let changes = fixture.view.changes_since(
        TenantIndex(0),
        fixture.view.changes_head(TenantIndex(0)) - 1,
        9,
    );
    let change = changes.unwrap()[0];
    assert_eq!((change.device_id, change.before), (device(0), None));
    assert!(change.after.is_some());
}

/// A stop would wait for the client of such a query.
#[test]
fn queries_behind_a_drain_are_dropped_when_the_thread_ends() {
    let Fixture {
        worker,
        commits,
        returns,
        control,
        view,
        ..
    } = Fixture::new();
    let (reply, mut answer) = oneshot::channel();
    for message in [Control::Drain, Control::Stale(reply)] {
        control.send(message).unwrap();
    }
    let shard = std::thread::spawn(move || worker.run());
    for mut commit in commits {
        commit.payload.durable(Stamp(1), &view);
        // Fails once the worker has ended.
        let _ = returns.send(empty_commit(0, 0..SHARDS));
    }
    shard.join().unwrap();
    assert!(matches!(answer.try_recv(), Err(TryRecvError::Closed)));
    drop(control);
}
