//! The server between the socket and the disk: decoder, router and window on the caller's thread, then
//! the real shard threads and the real writer thread over a real store.
//!
//! The caller's part is that of a session without its connection: the same calls in the same order.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_engine::{PolicySet, Revision, Shard, ShardLimits, ShardMap, TenantPolicy};
use muster_ingest::clock::{self, Clock, Stamp};
use muster_ingest::metrics::Metrics;
use muster_ingest::phase::PhaseSwitch;
use muster_ingest::recovery::{self, RecoverOptions};
use muster_ingest::route::{BufferPool, Part, RouteTable, Router, Window, WindowCursor, inbox};
use muster_ingest::shard::writer::{self, WriterThread};
use muster_ingest::shard::{
    Batch, Control, RecountPoint, ShardReport, Worker, WorkerChannels, WorkerConfig,
};
use muster_store::{Commit, Store, StoreConfig, Writer};
use muster_wire::limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX};
use muster_wire::{
    AckTotals, CheckInBytes, CheckInRecord, ClientHello, Decoder, Item, Role, VERSION_MAX,
    VERSION_MIN, encode_ack, encode_client_hello,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::counting::Meter;

const SHARDS: u16 = 2;
const COMMITS_IN_FLIGHT: usize = 4;

/// A batch ends at this many check-ins, and may exceed it by one part.
const BATCH_CHECK_INS_MAX: usize = 4096;

/// What QUIC delivers at a time: a packet's share of the stream, no multiple of a record.
const CHUNK_BYTES: usize = 1415;

/// A checkpoint begins after so many journal bytes: never in these tests, and far from overflowing.
const NEVER: u64 = 1 << 40;

/// A running pipeline.
pub(crate) struct Pipeline {
    decoder: Decoder,
    router: Router,
    window: WindowCursor,
    /// What the acks said last.
    pub(crate) totals: AckTotals,
    out: Vec<u8>,
    /// Counts the shard threads.
    pub(crate) shards: Meter,
    controls: Vec<Sender<Control>>,
    threads: Vec<JoinHandle<()>>,
    _directory: TempDir,
}

impl Pipeline {
    /// Starts all threads on an empty data directory; so many frames may be in flight.
    pub(crate) fn start(window_frames: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (shards, writer) = recovered(directory.path());
        let (commit_sender, commits) = bounded(COMMITS_IN_FLIGHT * shards.len());
        let parts_max = usize::from(window_frames);
        let (inboxes, receivers): (Vec<_>, Vec<_>) =
            shards.iter().map(|_| inbox(parts_max, 1)).unzip();
        let routes = Arc::new(RouteTable {
            map: ShardMap::new(SHARDS),
            inboxes: inboxes.into_boxed_slice(),
            pool: grown_pool(parts_max * shards.len()),
        });
        let (returns, returned): (Vec<_>, Vec<_>) = (0..SHARDS).map(grown_commits).unzip();
        let thread = WriterThread {
            writer,
            commits,
            returns,
            report: Arc::default(),
            phase: PhaseSwitch::default(),
            clock: Clock::System,
        };
        let mut threads = vec![thread::spawn(move || writer::run(thread))];
        let meter = Meter::new();
        let config = WorkerConfig {
            batch_check_ins_max: BATCH_CHECK_INS_MAX,
            checkpoint_journal_bytes: NEVER,
            journal_bytes_replayed: 0,
        };
        let metrics = Arc::new(Metrics::default());
        let mut controls = Vec::new();
        for ((shard, inbox), returned) in shards.into_iter().zip(receivers).zip(returned) {
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
            let worker = Worker::new(shard, config, channels, routes, metrics, Clock::System);
            threads.push(thread::spawn(move || {
                meter.enter();
                worker.run();
            }));
        }
        let pipeline = Self {
            decoder: Decoder::new(Role::Server),
            router: Router::new(routes, 0, Clock::System),
            window: Window::open(window_frames),
            totals: AckTotals::default(),
            out: Vec::with_capacity(256),
            shards: meter,
            controls,
            threads,
            _directory: directory,
        };
        pipeline.open()
    }

    /// Puts the policy set in force and says Hello.
    fn open(mut self) -> Self {
        let policy = Arc::new(PolicySet::new(Revision(1), vec![TenantPolicy::default()]));
        for control in &self.controls {
            control.send(Control::Policy(Arc::clone(&policy))).unwrap();
        }
        // Answered behind the policy: no check-in meets a shard that does not know its tenant.
        drop(self.report());
        let mut hello = Vec::new();
        let versions = ClientHello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
        };
        encode_client_hello(&mut hello, &versions);
        self.receive(&hello);
        self
    }

    /// Takes bytes of the stream in the pieces in which packets bring them.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(CHUNK_BYTES) {
            let read_at = clock::stamp();
            self.take_chunk(chunk, read_at);
        }
    }

    fn take_chunk(&mut self, chunk: &[u8], read_at: Stamp) {
        let mut rest = chunk;
        while let Some(item) = self.decoder.next(&mut rest).unwrap() {
            match item {
                Item::CheckInsBegin { .. } => {
                    while !self.window.has_room() {
                        self.acknowledge();
                    }
                    self.window.open_frame();
                }
                Item::Records(records) => self.route(records),
                Item::Record(record) => self.route(std::slice::from_ref(&record)),
                Item::CheckInsEnd => self.end_frame(read_at),
                Item::ClientHello(_) => (),
                other => panic!("{other:?} was never sent"),
            }
        }
    }

    fn route(&mut self, records: &[CheckInBytes]) {
        for bytes in records {
            self.router
                .check_in(CheckInRecord::validate(bytes).unwrap());
        }
    }

    fn end_frame(&mut self, read_at: Stamp) {
        for shard in 0..self.router.shards() {
            if let Some(part) = self.router.part(shard, &self.window, read_at) {
                self.deliver(shard, part);
            }
        }
        self.window.close_frame();
    }

    fn deliver(&self, shard: usize, part: Part) {
        let mut waiting = self.router.inbox(shard).try_send(part).unwrap();
        while let Some(part) = waiting {
            thread::yield_now();
            waiting = self.router.inbox(shard).try_send(part).unwrap();
        }
    }

    /// Collects what is durable and writes an ack for it, or lets the other threads run.
    fn acknowledge(&mut self) {
        let before = self.totals.frames;
        while let Some(frame) = self.window.collect() {
            self.totals.frames += 1;
            self.totals.accepted += u64::from(frame.outcome.accepted);
            self.totals.rejected += u64::from(frame.outcome.rejected);
        }
        if self.totals.frames == before {
            return thread::yield_now();
        }
        encode_ack(&mut self.out, &self.totals, &[]);
        self.out.clear();
    }

    /// Waits until everything that was received is durable.
    pub(crate) fn finish(&mut self) {
        while self.window.in_flight() > 0 {
            self.acknowledge();
        }
    }

    /// Makes every shard stand still until the answer is dropped, so that its inbox fills.
    pub(crate) fn hold(&self) -> Vec<RecountPoint> {
        self.ask(Control::Recount)
    }

    /// How the shards are doing.
    pub(crate) fn report(&self) -> Vec<ShardReport> {
        let reports = self.ask(Control::Report);
        reports.into_iter().map(|report| *report).collect()
    }

    fn ask<T>(&self, question: impl Fn(oneshot::Sender<T>) -> Control) -> Vec<T> {
        let ask = |control: &Sender<Control>| {
            let (reply, answer) = oneshot::channel();
            control.send(question(reply)).unwrap();
            answer.blocking_recv().unwrap()
        };
        self.controls.iter().map(ask).collect()
    }

    /// Drains the shards and joins all threads.
    pub(crate) fn stop(self) {
        for control in &self.controls {
            control.send(Control::Drain).unwrap();
        }
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Empty shards and the writer of a new store.
fn recovered(directory: &Path) -> (Vec<Shard>, Writer) {
    let store = Store::open(&StoreConfig::new(directory).with_shards(SHARDS)).unwrap();
    let limits = ShardLimits {
        devices_max: 1 << 20,
        cells_max: 4096,
        cohorts_max: 16,
    };
    let options = RecoverOptions {
        limits,
        hash_seed: 1,
    };
    recovery::recover(&store, options).unwrap()
}

/// Waits for what does not come. A channel makes its list of waiters with the first wait, once in its
/// life; when a shard first waits, for a part or for the disk, is a matter of chance.
fn wait_once<T>(receiver: &Receiver<T>) {
    let nothing = receiver.recv_timeout(Duration::from_millis(20));
    assert!(nothing.is_err(), "the channel is new");
}

/// A pool in which every buffer has held a full frame once, which a server reaches by and by.
fn grown_pool(buffers: usize) -> BufferPool {
    let pool = BufferPool::new(buffers + usize::from(SHARDS));
    for _ in 0..buffers + usize::from(SHARDS) {
        pool.give(Vec::with_capacity(CHECK_INS_PER_FRAME_MAX));
    }
    pool
}

/// The commits of a shard, their buffers as after the largest batch.
fn grown_commits(shard: u16) -> (Sender<Commit<Batch>>, Receiver<Commit<Batch>>) {
    let (sender, receiver) = bounded(COMMITS_IN_FLIGHT);
    wait_once(&receiver);
    let check_ins_max = BATCH_CHECK_INS_MAX + CHECK_INS_PER_FRAME_MAX;
    for _ in 0..COMMITS_IN_FLIGHT {
        let commit = Commit {
            shard,
            journal: Vec::with_capacity((check_ins_max + 1) * CHECK_IN_BYTES),
            payload: Batch {
                receipts: Vec::with_capacity(check_ins_max),
                ..Batch::default()
            },
            ..Commit::default()
        };
        sender.send(commit).unwrap();
    }
    (sender, receiver)
}
