//! The server between socket and disk: a session on the caller's thread, and the server's shard and writer threads with
//! a real store.
//!
//! The session is the server's `SessionCore`, which needs no connection: the caller passes it the bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_engine::{
    PolicySet, Revision, Shard, ShardLimits, ShardMap, ShardSet, SlotIndex, TenantIndex,
    TenantPolicy, Threshold, Timestamp,
};
use muster_ingest::clock::Clock;
use muster_ingest::config::Config;
use muster_ingest::metrics::Metrics;
use muster_ingest::net::{PendingSession, Principal, SessionCore, Take};
use muster_ingest::phase::PhaseSwitch;
use muster_ingest::recovery::{self, RecoverOptions};
use muster_ingest::route::{BufferPool, RouteTable, ThreadMap, inbox};
use muster_ingest::shard::writer::{self, WriterThread};
use muster_ingest::shard::{
    CommitPayload, Control, RecountPoint, ThreadReport, Worker, WorkerChannels, WorkerConfig,
    empty_commit,
};
use muster_ingest::view::View;
use muster_store::{Commit, Store, StoreConfig, Writer};
use muster_wire::limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, HEADER_BYTES};
use muster_wire::{
    AckTotals, ClientHello, DeviceId, VERSION_MAX, VERSION_MIN, encode_client_hello,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::context::context;
use crate::counting::Meter;

const SHARDS: u16 = 6;
const THREADS: u16 = 2;
const COMMITS_IN_FLIGHT: usize = 4;

const DEVICES_MAX: u32 = 1 << 20;

/// A batch ends at this many check-ins, and may exceed it by one shard batch.
const BATCH_CHECK_INS_MAX: usize = 4096;

/// Bytes that QUIC delivers at once: the stream data of one packet, not a multiple of a record.
const CHUNK_BYTES: usize = 1415;

/// Frames of a single check-in that may begin in one chunk.
const FRAMES_OF_A_CHUNK_MAX: u16 = (CHUNK_BYTES / (HEADER_BYTES + CHECK_IN_BYTES) + 1) as u16;

const CONFIG: &str = include_str!("../fixtures/minimal.toml");

/// Journal bytes at which a checkpoint begins: never reached in these tests, and far from an overflow.
const NEVER: u64 = 1 << 40;

/// A running pipeline.
pub(crate) struct Pipeline {
    session: SessionCore,
    /// Maximum number of frames in flight, without the one that is being sent.
    frames_max: usize,
    /// Counts the shard threads.
    pub(crate) shards: Meter,
    controls: Vec<Sender<Control>>,
    threads: Vec<JoinHandle<()>>,
    _directory: TempDir,
}

fn medium() -> Arc<PolicySet> {
    let medium = TenantPolicy::with_threshold(Threshold::Medium);
    Arc::new(PolicySet::new(Revision(1), vec![medium]))
}

fn start_writer(
    log: Writer,
    commits: Receiver<Commit<CommitPayload>>,
    returns: Vec<Sender<Commit<CommitPayload>>>,
) -> JoinHandle<()> {
    let thread = WriterThread {
        log,
        commits,
        returns,
        journal_bytes_kept: usize::MAX,
        view: Arc::new(View::new(SHARDS, [], Timestamp::default())),
        report: Arc::default(),
        phase: PhaseSwitch::default(),
        clock: Clock::System,
    };
    thread::spawn(move || writer::run(thread))
}

impl Pipeline {
    /// Starts all threads on an empty data directory, with a window of `window_frames` frames.
    pub(crate) fn start(window_frames: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (shards, writer) = recovered(directory.path());
        let map = ThreadMap::new(ShardMap::new(SHARDS), THREADS);
        let threads_len = usize::from(THREADS);
        let (commit_sender, commits) = bounded(COMMITS_IN_FLIGHT * threads_len);
        // A chunk may bring the end of the last frame that the window has room for and the beginning of one more.
        let batches_max = usize::from(window_frames) + 1;
        let (inboxes, receivers): (Vec<_>, Vec<_>) =
            (0..THREADS).map(|_| inbox(batches_max, 1)).unzip();
        let routes = Arc::new(RouteTable {
            map,
            inboxes: inboxes.into_boxed_slice(),
            pool: grown_pool(batches_max * threads_len),
        });
        let (returns, returned): (Vec<_>, Vec<_>) = (0..THREADS)
            .map(|thread| grown_commits(thread, &map))
            .unzip();
        let mut threads = vec![start_writer(writer, commits, returns)];
        let meter = Meter::new();
        let config = |thread| WorkerConfig {
            thread,
            batch_check_ins_max: BATCH_CHECK_INS_MAX,
            checkpoint_journal_bytes: NEVER,
            journal_bytes_replayed: 0,
        };
        let (metrics, turn) = (Arc::new(Metrics::default()), Arc::default());
        let mut controls = Vec::new();
        let sets = (0..).zip(map.distribute(shards, DEVICES_MAX));
        for (((thread, mut set), inbox), returned) in sets.zip(receivers).zip(returned) {
            grow(&mut set, &map, thread);
            let (control, control_receiver) = bounded(8);
            controls.push(control);
            wait_once(inbox.wake());
            wait_once(&control_receiver);
            let channels = WorkerChannels {
                inbox,
                control: control_receiver,
                commits: commit_sender.clone(),
                returned,
            };
            let (routes, metrics) = (Arc::clone(&routes), Arc::clone(&metrics));
            let turn = Arc::clone(&turn);
            let worker = Worker::new(
                set,
                config(thread),
                channels,
                routes,
                turn,
                metrics,
                Clock::System,
            );
            threads.push(thread::spawn(move || {
                meter.enter();
                worker.run();
            }));
        }
        let pipeline = Self {
            session: session(routes, metrics, window_frames),
            frames_max: usize::from(window_frames),
            shards: meter,
            controls,
            threads,
            _directory: directory,
        };
        for control in &pipeline.controls {
            control.send(Control::policy(&medium())).unwrap();
        }
        // Shards answer this after the policy, so no check-in arrives before its tenant is known.
        drop(pipeline.report());
        pipeline
    }

    /// Passes bytes to the session in chunks of a packet. Like a client, it waits while the window is full.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            while self.session.in_flight() > self.frames_max {
                self.acknowledge();
            }
            self.session.note_read();
            let mut rest = chunk;
            while self.session.take(&mut rest).unwrap() == Take::Blocked {
                self.acknowledge();
            }
        }
    }

    /// Writes an ack if a frame has become durable; otherwise lets other threads run.
    fn acknowledge(&mut self) {
        if !self.session.acknowledge() {
            return thread::yield_now();
        }
        self.session.out().clear();
    }

    /// The totals of the last ack.
    pub(crate) fn totals(&self) -> &AckTotals {
        self.session.totals()
    }

    /// Waits until everything that was received is durable.
    pub(crate) fn finish(&mut self) {
        while self.session.in_flight() > 0 {
            self.acknowledge();
        }
    }

    /// Pauses every shard thread until the result is dropped, so that the inboxes fill.
    pub(crate) fn hold(&self) -> Vec<RecountPoint> {
        self.ask(Control::Recount)
    }

    /// The reports of all threads.
    pub(crate) fn report(&self) -> Vec<ThreadReport> {
        let reports = self.ask(Control::Report);
        reports.into_iter().map(|report| *report).collect()
    }

    /// Whether every shard has been audited.
    pub(crate) fn is_audited(&self) -> bool {
        let mut reports = self.report().into_iter();
        reports.all(|report| report.audit_rounds > 0)
    }

    fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Control) -> Vec<T> {
        let ask = |control: &Sender<Control>| {
            let (reply, answer) = oneshot::channel();
            control.send(question(reply)).unwrap();
            answer.blocking_recv().unwrap()
        };
        self.controls.iter().map(ask).collect()
    }

    /// Drains the shard threads and joins all threads.
    pub(crate) fn stop(self) {
        for control in &self.controls {
            control.send(Control::Drain).unwrap();
        }
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// The session of a gateway that has sent Hello.
fn session(routes: Arc<RouteTable>, metrics: Arc<Metrics>, window_frames: u16) -> SessionCore {
    let mut config = Config::parse(CONFIG, Path::new("/")).unwrap().listen;
    config.window_frames_gateway = window_frames + FRAMES_OF_A_CHUNK_MAX;
    let context = context(config, routes, metrics);
    let identity = "muster://contoso/gateway/gw-1".parse().unwrap();
    let principal = Principal::admit(identity, &context).unwrap();
    let mut hello = Vec::new();
    let versions = ClientHello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
    };
    encode_client_hello(&mut hello, &versions);
    let mut pending = PendingSession::default();
    let version = pending.take(&mut hello.as_slice()).unwrap().unwrap();
    let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut session = pending.open(version, principal, remote, context);
    session.out().clear();
    session
}

/// Empty shards and the writer of a new store.
fn recovered(directory: &Path) -> (Vec<Shard>, Writer) {
    let store = Store::open(&StoreConfig::new(directory).with_shards(SHARDS)).unwrap();
    let limits = ShardLimits {
        devices_max: DEVICES_MAX,
    };
    let options = RecoverOptions {
        limits,
        hash_seed: 1,
    };
    recovery::recover(&store, options).unwrap()
}

/// Waits once on a new, empty channel. A channel allocates its list of waiters at the first wait, and chance decides
/// when a shard first waits, so this is done before anything is counted.
fn wait_once<T>(receiver: &Receiver<T>) {
    let nothing = receiver.recv_timeout(Duration::from_millis(20));
    assert!(nothing.is_err(), "the channel is new");
}

/// A pool whose buffers all have the size of a full frame, as in a server that has run for a while.
fn grown_pool(buffers: usize) -> BufferPool {
    let pool = BufferPool::new(buffers + usize::from(THREADS));
    for _ in 0..buffers + usize::from(THREADS) {
        pool.give(Vec::with_capacity(CHECK_INS_PER_FRAME_MAX));
    }
    pool
}

/// Journal bytes of the largest batch.
const fn journal_bytes_max() -> usize {
    (BATCH_CHECK_INS_MAX + CHECK_INS_PER_FRAME_MAX + 1) * (CHECK_IN_BYTES + size_of::<SlotIndex>())
}

/// Gives a set of shards buffers of the size of the largest batch.
fn grow(set: &mut ShardSet, map: &ThreadMap, thread: u16) {
    set.begin(Timestamp::default());
    // Nothing happens to an unknown device, but its shard has a part in the batch.
    for number in 1..10_000_u128 {
        let device = DeviceId::from_bytes(number.to_le_bytes());
        if map.thread_of(&device) != usize::from(thread) {
            continue;
        }
        assert!(set.reset_sequence(TenantIndex(0), &device).is_none());
    }
    set.seal();
    assert_eq!(set.touched().count(), set.shards().len());
    for (_, _, effects) in set.touched() {
        effects.swap_journal(&mut Vec::with_capacity(journal_bytes_max()));
        effects.transitions = Vec::with_capacity(BATCH_CHECK_INS_MAX + CHECK_INS_PER_FRAME_MAX);
    }
}

/// The commits of a thread, with buffers of the size of the largest batch.
fn grown_commits(
    thread: u16,
    map: &ThreadMap,
) -> (
    Sender<Commit<CommitPayload>>,
    Receiver<Commit<CommitPayload>>,
) {
    let (sender, receiver) = bounded(COMMITS_IN_FLIGHT);
    wait_once(&receiver);
    let check_ins_max = BATCH_CHECK_INS_MAX + CHECK_INS_PER_FRAME_MAX;
    for _ in 0..COMMITS_IN_FLIGHT {
        let mut commit = empty_commit(thread, map.shards_of(thread));
        for part in &mut commit.parts {
            part.journal.reserve_exact(journal_bytes_max());
        }
        for (_, transitions) in &mut commit.payload.transitions {
            transitions.reserve_exact(check_ins_max);
        }
        let completions = &mut commit.payload.completions;
        completions.reserve_exact(check_ins_max);
        sender.send(commit).unwrap();
    }
    (sender, receiver)
}
