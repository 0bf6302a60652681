//! Starts the shard threads and the writer, and the channels between them.
//!
//! Owner: the main thread. Bounded by `shards.inbox_batches`, `shards.commits_in_flight` and [`CONTROLS_MAX`]. Stopping
//! them is in `shutdown.rs`.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_control::ControlPlane;
use muster_engine::{PolicySet, Shard, ShardSet, TenantIndex};
use muster_store::{Commit, Writer};
use tokio::sync::oneshot;

use super::ServerError;
use crate::clock::{Clock, SteeredTime};
use crate::config::Config;
use crate::control_plane::send_targets;
use crate::metrics::Metrics;
use crate::net::SessionRegistry;
use crate::phase::PhaseSwitch;
use crate::route::{BufferPool, RouteTable, ThreadMap, inbox};
use crate::shard::writer::{self, WriterReport, WriterThread};
use crate::shard::{
    CheckpointTurn, CommitPayload, Control, ShardReport, Worker, WorkerChannels, WorkerConfig,
    empty_commit, journal_bytes_kept,
};
use crate::view::View;

/// Capacity of the control channel of a shard thread.
const CONTROLS_MAX: usize = 64;

/// The running shard threads and writer, and the state they share with the front door.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) routes: Arc<RouteTable>,
    pub(super) registry: Arc<SessionRegistry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) phase: PhaseSwitch,
    pub(super) time: Arc<SteeredTime>,
    pub(super) view: Arc<View>,
    pub(super) controls: Vec<Sender<Control>>,
    pub(super) writer_report: Arc<Mutex<WriterReport>>,
    pub(super) shard_threads: Vec<JoinHandle<()>>,
    pub(super) writer_thread: JoinHandle<()>,
}

/// The channels of the threads, created before any of them starts.
struct Channels {
    workers: Vec<WorkerChannels>,
    controls: Vec<Sender<Control>>,
    commits: Receiver<Commit<CommitPayload>>,
    returns: Vec<Sender<Commit<CommitPayload>>>,
    routes: Arc<RouteTable>,
}

impl Parts {
    /// Starts the writer and the threads of `shards`, and waits until `policy` is in force in every shard.
    pub(super) fn start(
        config: &Config,
        map: ThreadMap,
        shards: Vec<Shard>,
        writer: Writer,
        policy: &Arc<PolicySet>,
        tenants: &[TenantIndex],
        time: Arc<SteeredTime>,
    ) -> Result<Self, ServerError> {
        let clock = Clock::Steered(Arc::clone(&time));
        let Channels {
            workers,
            controls,
            commits,
            returns,
            routes,
        } = Channels::new(config, map, tenants);
        let metrics = Arc::new(Metrics::default());
        let phase = PhaseSwitch::default();
        // Set here, so that a scrape before the writer's first report does not read 0 journal bytes.
        let writer_report = Arc::new(Mutex::new(WriterReport {
            journal_bytes_live: writer.journal_bytes_live(),
            ..WriterReport::default()
        }));
        let count = routes.map.shards().shards();
        let view = Arc::new(View::new(count, &shards, clock.now().time));
        let sets = routes.map.distribute(shards, config.shards.devices_max);
        let replayed = replayed(&sets, &writer);
        let thread = WriterThread {
            log: writer,
            commits,
            returns,
            journal_bytes_kept: journal_bytes_kept(
                config.shards.batch_check_ins_max as usize,
                usize::from(routes.map.shards().shards().div_ceil(routes.map.threads())),
            ),
            view: Arc::clone(&view),
            report: Arc::clone(&writer_report),
            phase: phase.clone(),
            clock: clock.clone(),
        };
        let writer_thread = spawn("writer".to_owned(), move || writer::run(thread))?;
        let checkpoint_journal_bytes = config.store.checkpoint_journal_bytes.get();
        let turn = Arc::new(CheckpointTurn::default());
        let mut shard_threads = Vec::with_capacity(sets.len());
        for (thread, (set, channels)) in sets.into_iter().zip(workers).enumerate() {
            let worker_config = WorkerConfig {
                thread: thread as u16,
                batch_check_ins_max: config.shards.batch_check_ins_max as usize,
                checkpoint_journal_bytes: checkpoint_journal_bytes.div_ceil(replayed.len() as u64),
                journal_bytes_replayed: replayed[thread],
            };
            let worker = Worker::new(
                set,
                worker_config,
                channels,
                Arc::clone(&routes),
                Arc::clone(&turn),
                Arc::clone(&metrics),
                clock.clone(),
            );
            let name = format!("shards-{thread}");
            shard_threads.push(spawn(name, move || worker.run())?);
        }
        let parts = Self {
            routes,
            registry: Arc::default(),
            metrics,
            phase,
            time,
            view,
            controls,
            writer_report,
            shard_threads,
            writer_thread,
        };
        parts.put_in_force(policy)?;
        Ok(parts)
    }

    /// Gives every thread the targets of its devices, and waits until that is durable. It changes only what the last
    /// server had no time for.
    pub(super) fn give_targets(&self, plane: &ControlPlane) -> Result<(), ServerError> {
        let targeted = plane.targeted().into_iter();
        let targets = targeted.map(|((tenant, device), targets)| (tenant, device, targets));
        for changed in send_targets(&self.controls, &self.routes.map, targets, true) {
            changed
                .blocking_recv()
                .map_err(|_| ServerError::ShardEnded)?;
        }
        Ok(())
    }

    /// Evaluates the devices of every thread with a shard whose policy set differs from `policy`, and waits until that is
    /// durable: no check-in may reach a shard that does not know its tenant.
    fn put_in_force(&self, policy: &Arc<PolicySet>) -> Result<(), ServerError> {
        for control in &self.controls {
            let (reply, report) = oneshot::channel();
            control
                .send(Control::Report(reply))
                .map_err(|_| ServerError::ShardEnded)?;
            let report = report
                .blocking_recv()
                .map_err(|_| ServerError::ShardEnded)?;
            let mut shards = report.shards.iter();
            // A pass that a crash has interrupted goes on.
            let is_in_force = |shard: &ShardReport| {
                shard.revision == policy.revision() && shard.policy_pass.is_none()
            };
            if shards.all(is_in_force) {
                continue;
            }
            let (reply, done) = oneshot::channel();
            let command = Control::Policy {
                policy: Arc::clone(policy),
                reply: Some(reply),
            };
            control.send(command).map_err(|_| ServerError::ShardEnded)?;
            done.blocking_recv().map_err(|_| ServerError::ShardEnded)?;
        }
        Ok(())
    }
}

/// The journal bytes that the recovery has replayed for the shards of each thread.
fn replayed(sets: &[ShardSet], writer: &Writer) -> Vec<u64> {
    let of_set = |set: &ShardSet| {
        let shards = set.shards();
        shards
            .map(|shard| writer.journal_bytes_live_of(shard.id()))
            .sum()
    };
    sets.iter().map(of_set).collect()
}

impl Channels {
    fn new(config: &Config, map: ThreadMap, tenants: &[TenantIndex]) -> Self {
        let threads = usize::from(map.threads());
        let in_flight = (config.shards.commits_in_flight as usize).max(1);
        let inbox_batches = config.shards.inbox_batches as usize;
        let (commit_sender, commits) = bounded(in_flight * threads);
        let mut workers = Vec::with_capacity(threads);
        let (mut controls, mut returns, mut inboxes) = (Vec::new(), Vec::new(), Vec::new());
        for thread in 0..map.threads() {
            let (sender, receiver) = inbox(inbox_batches, 0);
            sender.set_tenants(tenants.iter().copied());
            let (control, control_receiver) = bounded(CONTROLS_MAX);
            let (returning, returned) = bounded(in_flight);
            for _ in 0..in_flight {
                returning
                    .send(empty_commit(thread, map.shards_of(thread)))
                    .expect("the channel has capacity for all commits");
            }
            inboxes.push(sender);
            controls.push(control);
            returns.push(returning);
            workers.push(WorkerChannels {
                inbox: receiver,
                control: control_receiver,
                commits: commit_sender.clone(),
                returned,
            });
        }
        let routes = Arc::new(RouteTable {
            inboxes: inboxes.into_boxed_slice(),
            map,
            // One for every queued shard batch, and some for those being filled or evaluated.
            pool: BufferPool::new((inbox_batches + 16) * threads),
        });
        Self {
            workers,
            controls,
            commits,
            returns,
            routes,
        }
    }
}

pub(super) fn spawn(
    name: String,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, ServerError> {
    std::thread::Builder::new()
        .name(name)
        .spawn(run)
        .map_err(|source| ServerError::Start {
            what: "a thread",
            source,
        })
}
