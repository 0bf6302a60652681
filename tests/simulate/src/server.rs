//! A running server without threads: workers, writer, routes and context, assembled as the server does it.
//!
//! A crash loses all of it; only the disk survives. Each method is one step of one thread, and it polls where a thread
//! of the server would block. Start and stop follow the order of `ingest/src/server.rs` and `server/shutdown.rs`: the
//! policy set is durable and applied before clients connect, and sessions end before workers.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_control::ControlPlane;
use muster_engine::{PolicySet, Shard, ShardMap, ShardSet, TenantIndex};
use muster_ingest::clock::Clock;
use muster_ingest::config::ListenConfig;
use muster_ingest::metrics::Metrics;
use muster_ingest::net::{ListenerContext, ServedTenants};
use muster_ingest::old_policy_sets;
use muster_ingest::phase::{Phase, PhaseSwitch};
use muster_ingest::recovery::{self, RecoverOptions};
use muster_ingest::route::{BufferPool, RouteTable, ThreadMap, inbox};
use muster_ingest::shard::writer::{Groups, WriterThread};
use muster_ingest::shard::{
    CheckpointTurn, CommitPayload, Control, Input, Stepped, Worker, WorkerChannels, WorkerConfig,
    empty_commit,
};
use muster_ingest::view::View;
use muster_store::{Commit, Store, StoreConfig, Writer};
use muster_testkit::random::Random;

use crate::disk::SimulatedDisk;
use crate::injected_fault::InjectedFault;
use crate::rules::{self, Decided};
use crate::settings::Settings;

/// Capacity of a control channel, as in the server.
const CONTROLS_MAX: usize = 64;

/// Options of a start, beside the disk.
#[derive(Debug)]
pub struct StartOptions<'a> {
    /// The settings of the run.
    pub settings: &'a Settings,
    /// Number of threads that a server would run the shards on; at most one for each shard.
    pub threads: u16,
    /// The `listen` section.
    pub listen: &'a ListenConfig,
    /// Tenant names by index.
    pub tenants: &'a [String],
    /// The clock.
    pub clock: &'a Clock,
    /// Key of the device indexes.
    pub hash_seed: u64,
}

/// How far a graceful stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopPhase {
    /// No stop was requested.
    Running,
    /// Sessions drain.
    DrainingSessions,
    /// Workers drain.
    DrainingWorkers,
}

/// A running server.
pub struct Server {
    /// The store.
    pub store: Store,
    /// The context that sessions share.
    pub context: Arc<ListenerContext>,
    /// Workers by thread.
    pub workers: Vec<Worker>,
    /// The writer.
    pub groups: Groups,
    /// What queries are answered from.
    pub view: Arc<View>,
    /// The objects of all tenants.
    pub plane: ControlPlane,
    /// The latest policy set.
    pub policy: Arc<PolicySet>,
    /// How far a stop has come.
    pub stop: StopPhase,
    has_ended: Vec<bool>,
    controls: Vec<Sender<Control>>,
    /// By thread: controls for which its control channel has no room yet.
    pending_controls: Vec<VecDeque<Control>>,
    /// Commits from the workers, which [`Self::forward_commits`] moves to the writer.
    from_workers: Receiver<Commit<CommitPayload>>,
    to_writer: Sender<Commit<CommitPayload>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the disk and recovers all shards; clients cannot connect yet. Fails with the text of the log.
    pub fn start(disk: &SimulatedDisk, start: &StartOptions<'_>) -> Result<Self, String> {
        let StartOptions {
            settings, tenants, ..
        } = start;
        let config = StoreConfig {
            group_bytes_max: settings.group_bytes_max,
            ..StoreConfig::new("simulated").with_shards(settings.shards)
        };
        let store =
            Store::open_on(Box::new(disk.clone()), &config).map_err(|error| error.to_string())?;
        if let Clock::Simulated(time) = start.clock {
            time.start(store.clock().map_err(|error| error.to_string())?);
        }
        let (plane, policy) = rules::recover(&store, tenants).map_err(|error| error.to_string())?;
        let options = RecoverOptions {
            limits: settings.limits,
            hash_seed: start.hash_seed,
        };
        let (shards, writer) =
            recovery::recover(&store, options).map_err(|error| error.to_string())?;
        Ok(Self::assemble(store, shards, writer, plane, policy, start))
    }

    fn assemble(
        store: Store,
        shards: Vec<Shard>,
        writer: Writer,
        plane: ControlPlane,
        policy: Arc<PolicySet>,
        start: &StartOptions<'_>,
    ) -> Self {
        let settings = start.settings;
        let map = ThreadMap::new(ShardMap::new(settings.shards), start.threads);
        let (controls, channels) = Channels::new(settings, map);
        let Channels {
            workers: worker_channels,
            routes,
            from_workers,
            to_writer,
            writer_commits,
            returns,
        } = channels;
        let (metrics, phase) = (Arc::new(Metrics::default()), PhaseSwitch::default());
        let turn = Arc::new(CheckpointTurn::default());
        let view = View::new(settings.shards, &shards, start.clock.now().time);
        let view = Arc::new(view);
        let sets = routes.map.distribute(shards, settings.limits.devices_max);
        let new_worker = |(thread, (set, channels)): (u16, (ShardSet, WorkerChannels))| {
            let replayed = set.shards().map(Shard::id);
            let replayed = replayed.map(|shard| writer.journal_bytes_live_of(shard));
            let config = WorkerConfig {
                thread,
                batch_check_ins_max: settings.batch_check_ins_max,
                checkpoint_journal_bytes: settings.checkpoint_journal_bytes,
                journal_bytes_replayed: replayed.sum(),
            };
            let (routes, metrics) = (Arc::clone(&routes), Arc::clone(&metrics));
            let turn = Arc::clone(&turn);
            let clock = start.clock.clone();
            Worker::new(set, config, channels, routes, turn, metrics, clock)
        };
        let workers = sets.into_iter().zip(worker_channels);
        let workers: Vec<_> = (0..).zip(workers).map(new_worker).collect();
        let groups = Groups::new(WriterThread {
            log: writer,
            commits: writer_commits,
            returns,
            journal_bytes_kept: 1_000,
            view: Arc::clone(&view),
            report: Arc::default(),
            phase: phase.clone(),
            clock: start.clock.clone(),
        });
        let tenants = start.tenants.iter().cloned();
        let context = ListenerContext {
            config: start.listen.clone(),
            tenants: Arc::new(ServedTenants::new(tenants.zip((0..).map(TenantIndex)))),
            routes,
            registry: Arc::default(),
            metrics,
            phase,
            log: ListenerContext::new_log(),
            clock: start.clock.clone(),
        };
        let mut server = Self {
            store,
            context: Arc::new(context),
            has_ended: vec![false; workers.len()],
            pending_controls: workers.iter().map(|_| VecDeque::new()).collect(),
            workers,
            groups,
            view,
            plane,
            policy,
            stop: StopPhase::Running,
            controls,
            from_workers,
            to_writer,
        };
        server.apply_latest_policy();
        server
    }

    /// Sends the latest policy set to workers with a shard that has applied another one.
    fn apply_latest_policy(&mut self) {
        for worker in 0..self.workers.len() {
            if !self.has_latest_policy(&self.workers[worker]) {
                self.send_control(worker, Control::policy(&self.policy));
            }
        }
    }

    fn has_latest_policy(&self, worker: &Worker) -> bool {
        let mut shards = worker.shards().shards();
        shards.all(|shard| shard.revision() == self.policy.revision())
    }

    /// All shards, in the order of their ids.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        let workers = self.workers.iter();
        workers.flat_map(|worker| worker.shards().shards())
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.context.phase.get()
    }

    /// Starts to serve once the latest policy set is applied by every shard and durable.
    pub fn serve_if_ready(&mut self) {
        let is_ready = self.phase() == Phase::Starting
            && self.is_idle()
            && self
                .workers
                .iter()
                .all(|worker| self.has_latest_policy(worker));
        if is_ready {
            self.context.phase.advance(Phase::Serving);
        }
    }

    /// Sends a control to a worker as soon as its control channel has room.
    pub fn send_control(&mut self, worker: usize, control: Control) {
        self.pending_controls[worker].push_back(control);
    }

    /// Makes a command durable, then sends the resulting policy set to every worker. A failed write changes nothing.
    pub fn carry_out(&mut self, decided: Decided, injected_fault: Option<InjectedFault>) {
        let Decided {
            entry,
            plane,
            policy,
        } = decided;
        let stored = match injected_fault {
            Some(InjectedFault::PolicyNotStored) => None,
            _ => policy.as_ref().map(|policy| policy.encode()),
        };
        let appended =
            self.store
                .append_control(entry.revision, &plane.stored(&entry), stored.as_deref());
        if appended.is_err() {
            self.context.phase.advance(Phase::Poisoned);
            return;
        }
        self.plane = plane;
        if old_policy_sets::delete(&self.store).is_err() {
            self.context.phase.advance(Phase::Poisoned);
            return;
        }
        let Some(policy) = policy else { return };
        for worker in 0..self.workers.len() {
            self.send_control(worker, Control::policy(&policy));
        }
        self.policy = policy;
    }

    /// One step of a worker.
    pub fn step_worker(&mut self, worker: usize, first: Input) -> Stepped {
        while let Some(control) = self.pending_controls[worker].pop_front() {
            if let Err(error) = self.controls[worker].try_send(control) {
                self.pending_controls[worker].push_front(error.into_inner());
                break;
            }
        }
        let stepped = self.workers[worker].step(first);
        self.has_ended[worker] |= stepped == Stepped::Ended;
        stepped
    }

    /// Moves commits from the workers to the writer. Returns whether there were any.
    pub fn forward_commits(
        &mut self,
        injected_fault: Option<InjectedFault>,
        random: &mut Random,
    ) -> bool {
        let mut moved = false;
        while !self.to_writer.is_full()
            && let Ok(mut commit) = self.from_workers.try_recv()
        {
            if let Some(fault) = injected_fault {
                let now = self.context.clock.stamp();
                fault.apply_to_commit(&mut commit, now, &self.view, random);
            }
            if self.to_writer.try_send(commit).is_err() {
                unreachable!("the channel has room and the writer holds its other end");
            }
            moved = true;
        }
        moved
    }

    /// One group commit of the writer. Returns whether there was any.
    pub fn step_writer(&mut self) -> bool {
        self.groups.step()
    }

    /// Whether neither a worker nor the writer has work, timers aside.
    pub fn is_idle(&self) -> bool {
        let routes = &self.context.routes;
        self.from_workers.is_empty()
            && !self.groups.has_work()
            && self.pending_controls.iter().all(VecDeque::is_empty)
            && self.controls.iter().all(Sender::is_empty)
            && routes.inboxes.iter().all(|inbox| inbox.depth() == 0)
    }

    /// Whether every worker has ended and the writer has written everything.
    pub fn has_stopped(&self) -> bool {
        self.has_ended.iter().all(|has_ended| *has_ended)
            && self.from_workers.is_empty()
            && !self.groups.has_work()
    }
}

/// The channels of a server, created before its components.
struct Channels {
    workers: Vec<WorkerChannels>,
    routes: Arc<RouteTable>,
    from_workers: Receiver<Commit<CommitPayload>>,
    to_writer: Sender<Commit<CommitPayload>>,
    writer_commits: Receiver<Commit<CommitPayload>>,
    returns: Vec<Sender<Commit<CommitPayload>>>,
}

impl Channels {
    fn new(settings: &Settings, map: ThreadMap) -> (Vec<Sender<Control>>, Self) {
        let threads = usize::from(map.threads());
        let commits_max = settings.commits_in_flight * threads;
        let (commits, from_workers) = bounded(commits_max);
        let (to_writer, writer_commits) = bounded(commits_max);
        let (mut workers, mut inboxes) = (Vec::new(), Vec::new());
        let (mut controls, mut returns) = (Vec::new(), Vec::new());
        for thread in 0..map.threads() {
            let (sender, receiver) = inbox(settings.inbox_batches, usize::from(settings.tenants));
            let (control_sender, control) = bounded(CONTROLS_MAX);
            let (return_sender, returned) = commit_pool(thread, &map, settings.commits_in_flight);
            inboxes.push(sender);
            controls.push(control_sender);
            returns.push(return_sender);
            workers.push(WorkerChannels {
                inbox: receiver,
                control,
                commits: commits.clone(),
                returned,
            });
        }
        let routes = Arc::new(RouteTable {
            map,
            inboxes: inboxes.into_boxed_slice(),
            pool: BufferPool::new((settings.inbox_batches + 16) * threads),
        });
        let channels = Self {
            workers,
            routes,
            from_workers,
            to_writer,
            writer_commits,
            returns,
        };
        (controls, channels)
    }
}

/// The channel through which the writer returns commits to a worker, filled with empty ones.
fn commit_pool(
    thread: u16,
    map: &ThreadMap,
    count: usize,
) -> (
    Sender<Commit<CommitPayload>>,
    Receiver<Commit<CommitPayload>>,
) {
    let (return_sender, returned) = bounded(count);
    for _ in 0..count {
        return_sender
            .send(empty_commit(thread, map.shards_of(thread)))
            .expect("the channel has room for all commits");
    }
    (return_sender, returned)
}
