//! A running server without its threads: shards, writer, routes and context, made as the server makes them.
//!
//! Everything in here is lost at a crash; only the disk stays. Each method is one step of one thread. What the
//! server would wait for is looked at. The order of start and stop is that of `ingest/src/server.rs` and
//! `server/shutdown.rs`: policy in force and durable before anybody connects, sessions before shards at the end.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};
use muster_engine::{PolicySet, Revision, Shard, ShardId, ShardMap, TenantIndex, TenantPolicy};
use muster_ingest::clock::Clock;
use muster_ingest::config::ListenConfig;
use muster_ingest::metrics::Metrics;
use muster_ingest::net::ListenerContext;
use muster_ingest::phase::{Phase, PhaseSwitch};
use muster_ingest::recovery::{self, RecoverOptions};
use muster_ingest::route::{BufferPool, RouteTable, inbox};
use muster_ingest::shard::writer::{Groups, WriterThread};
use muster_ingest::shard::{
    Batch, CheckpointTurn, Control, Input, Stepped, Worker, WorkerChannels, WorkerConfig,
};
use muster_loadgen::random::Random;
use muster_store::{Commit, Store, StoreConfig, Writer};

use crate::disk::SimulatedDisk;
use crate::plant::Plant;
use crate::settings::Settings;

/// Questions and orders that may wait for one shard, as in the server.
const CONTROLS_MAX: usize = 64;

/// What a server is started with, beside its disk.
#[derive(Debug)]
pub struct Start<'a> {
    /// The numbers of the world.
    pub settings: &'a Settings,
    /// The `listen` section.
    pub listen: &'a ListenConfig,
    /// Names by index.
    pub tenants: &'a [String],
    /// Where time comes from.
    pub clock: &'a Clock,
    /// Keys the device indexes.
    pub hash_seed: u64,
}

/// How far a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nobody asked for one.
    No,
    /// Sessions come to their end.
    Sessions,
    /// Shards come to theirs.
    Shards,
}

/// A running server.
pub struct Server {
    /// The store.
    pub store: Store,
    /// What sessions share.
    pub context: Arc<ListenerContext>,
    /// By shard.
    pub workers: Vec<Worker>,
    /// The writer.
    pub groups: Groups,
    /// The latest policy set.
    pub policy: Arc<PolicySet>,
    /// Whether a stop is under way.
    pub stop: Stop,
    ended: Vec<bool>,
    controls: Vec<Sender<Control>>,
    /// By shard: orders that its control channel has no room for yet.
    orders: Vec<VecDeque<Control>>,
    /// Commits on their way from the shards, and on to the writer.
    handed_over: Receiver<Commit<Batch>>,
    to_writer: Sender<Commit<Batch>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the disk and recovers everything; nobody may connect yet. The error is what a log would say.
    pub fn start(disk: &SimulatedDisk, start: &Start<'_>) -> Result<Self, String> {
        let Start {
            settings, tenants, ..
        } = start;
        let config = StoreConfig {
            group_bytes_max: settings.group_bytes_max,
            ..StoreConfig::new("simulated").with_shards(settings.shards)
        };
        let store =
            Store::open_on(Box::new(disk.clone()), &config).map_err(|error| error.to_string())?;
        for name in *tenants {
            store
                .tenant_index(name)
                .map_err(|error| error.to_string())?;
        }
        let policy = latest_policy(&store, tenants.len())?;
        let options = RecoverOptions {
            limits: settings.limits,
            hash_seed: start.hash_seed,
        };
        let (shards, writer) =
            recovery::recover(&store, options).map_err(|error| error.to_string())?;
        Ok(Self::assemble(store, shards, writer, policy, start))
    }

    fn assemble(
        store: Store,
        shards: Vec<Shard>,
        writer: Writer,
        policy: Arc<PolicySet>,
        start: &Start<'_>,
    ) -> Self {
        let settings = start.settings;
        let (controls, channels) = Channels::new(settings);
        let Channels {
            workers: ends,
            routes,
            handed_over,
            to_writer,
            gathered,
            returns,
        } = channels;
        let (metrics, phase) = (Arc::new(Metrics::default()), PhaseSwitch::default());
        let turn = Arc::new(CheckpointTurn::default());
        let worker = |(shard, channels): (Shard, WorkerChannels)| {
            let config = WorkerConfig {
                batch_check_ins_max: settings.batch_check_ins_max,
                checkpoint_journal_bytes: settings.checkpoint_journal_bytes,
                journal_bytes_replayed: writer.journal_bytes_live_of(shard.id()),
            };
            let (routes, metrics) = (Arc::clone(&routes), Arc::clone(&metrics));
            Worker::new(
                shard,
                config,
                channels,
                routes,
                Arc::clone(&turn),
                metrics,
                start.clock.clone(),
            )
        };
        let workers: Vec<_> = shards.into_iter().zip(ends).map(worker).collect();
        let groups = Groups::new(WriterThread {
            writer,
            commits: gathered,
            returns,
            report: Arc::default(),
            phase: phase.clone(),
            clock: start.clock.clone(),
        });
        let context = ListenerContext {
            config: start.listen.clone(),
            tenants: start
                .tenants
                .iter()
                .cloned()
                .zip((0..).map(TenantIndex))
                .collect(),
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
            ended: vec![false; workers.len()],
            orders: workers.iter().map(|_| VecDeque::new()).collect(),
            workers,
            groups,
            policy,
            stop: Stop::No,
            controls,
            handed_over,
            to_writer,
        };
        server.put_in_force();
        server
    }

    /// Shards that were last judged by another policy set are to be judged by the latest.
    fn put_in_force(&mut self) {
        for shard in 0..self.workers.len() {
            if self.workers[shard].shard().revision() != self.policy.revision() {
                let order = Control::Policy(Arc::clone(&self.policy));
                self.order(shard, order);
            }
        }
    }

    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.context.phase.get()
    }

    /// Lets clients in once every shard judges by the latest policy set, durably.
    pub fn serve_if_ready(&mut self) {
        let ready = self.phase() == Phase::Starting
            && self.is_quiet()
            && self
                .workers
                .iter()
                .all(|worker| worker.shard().revision() == self.policy.revision());
        if ready {
            self.context.phase.advance(Phase::Serving);
        }
    }

    /// Puts a question or order into the control channel of a shard, as soon as there is room.
    pub fn order(&mut self, shard: usize, control: Control) {
        self.orders[shard].push_back(control);
    }

    /// Stores a policy set, then orders every shard to judge by it. A failed write changes nothing.
    pub fn put_policy(&mut self, policy: Arc<PolicySet>, plant: Option<Plant>) {
        let stored = match plant {
            Some(Plant::PolicyNotStored) => Ok(()),
            _ => self
                .store
                .put_policy_set(policy.revision(), &policy.encode()),
        };
        if stored.is_err() {
            self.context.phase.advance(Phase::Poisoned);
            return;
        }
        for shard in 0..self.workers.len() {
            self.order(shard, Control::Policy(Arc::clone(&policy)));
        }
        self.policy = policy;
    }

    /// One step of a shard.
    pub fn step_shard(&mut self, shard: usize, first: Input) -> Stepped {
        while let Some(order) = self.orders[shard].pop_front() {
            if let Err(error) = self.controls[shard].try_send(order) {
                self.orders[shard].push_front(error.into_inner());
                break;
            }
        }
        let stepped = self.workers[shard].step(first);
        self.ended[shard] |= stepped == Stepped::Ended;
        stepped
    }

    /// Commits move on from the shards to the writer. Returns whether any did.
    pub fn hand_over(&mut self, plant: Option<Plant>, random: &mut Random) -> bool {
        let mut moved = false;
        while !self.to_writer.is_full()
            && let Ok(mut commit) = self.handed_over.try_recv()
        {
            if let Some(plant) = plant {
                plant.touch(&mut commit, self.context.clock.stamp(), random);
            }
            if self.to_writer.try_send(commit).is_err() {
                unreachable!("there is room, and the writer holds the other end");
            }
            moved = true;
        }
        moved
    }

    /// One group of the writer. Returns whether anything waited.
    pub fn step_writer(&mut self) -> bool {
        self.groups.step()
    }

    /// Whether no shard or writer has anything to do, but for time.
    pub fn is_quiet(&self) -> bool {
        let routes = &self.context.routes;
        self.handed_over.is_empty()
            && !self.groups.has_work()
            && self.orders.iter().all(VecDeque::is_empty)
            && self.controls.iter().all(Sender::is_empty)
            && routes.inboxes.iter().all(|inbox| inbox.depth() == 0)
    }

    /// Whether every shard has ended and everything is written.
    pub fn has_ended(&self) -> bool {
        self.ended.iter().all(|ended| *ended)
            && self.handed_over.is_empty()
            && !self.groups.has_work()
    }
}

/// The channel ends of a server, made before any part of it.
struct Channels {
    workers: Vec<WorkerChannels>,
    routes: Arc<RouteTable>,
    handed_over: Receiver<Commit<Batch>>,
    to_writer: Sender<Commit<Batch>>,
    gathered: Receiver<Commit<Batch>>,
    returns: Vec<Sender<Commit<Batch>>>,
}

impl Channels {
    fn new(settings: &Settings) -> (Vec<Sender<Control>>, Self) {
        let shards = usize::from(settings.shards);
        let commits_max = settings.commits_in_flight * shards;
        let (commits, handed_over) = bounded(commits_max);
        let (to_writer, gathered) = bounded(commits_max);
        let (mut workers, mut inboxes) = (Vec::new(), Vec::new());
        let (mut controls, mut returns) = (Vec::new(), Vec::new());
        for shard in 0..settings.shards {
            let (sender, receiver) = inbox(settings.inbox_parts, usize::from(settings.tenants));
            let (control, questions) = bounded(CONTROLS_MAX);
            let (returning, returned) = commits_of(ShardId(shard), settings.commits_in_flight);
            inboxes.push(sender);
            controls.push(control);
            returns.push(returning);
            workers.push(WorkerChannels {
                inbox: receiver,
                control: questions,
                commits: commits.clone(),
                returned,
            });
        }
        let routes = Arc::new(RouteTable {
            map: ShardMap::new(settings.shards),
            inboxes: inboxes.into_boxed_slice(),
            pool: BufferPool::new((settings.inbox_parts + 16) * shards),
        });
        let channels = Self {
            workers,
            routes,
            handed_over,
            to_writer,
            gathered,
            returns,
        };
        (controls, channels)
    }
}

/// The commits of a shard: its own end of the circle, and the writer's.
fn commits_of(shard: ShardId, count: usize) -> (Sender<Commit<Batch>>, Receiver<Commit<Batch>>) {
    let (returning, returned) = bounded(count);
    for _ in 0..count {
        let commit = Commit {
            shard,
            ..Commit::default()
        };
        returning
            .send(commit)
            .expect("an empty channel with room for all of them");
    }
    (returning, returned)
}

/// The latest policy set of the store; a new store gets one with the default rules.
fn latest_policy(store: &Store, tenants: usize) -> Result<Arc<PolicySet>, String> {
    let latest = store
        .policy_set_latest()
        .map_err(|error| error.to_string())?;
    if let Some((_, bytes)) = latest {
        let policy = PolicySet::decode(&bytes).ok_or("the latest policy set is unreadable")?;
        return Ok(Arc::new(policy));
    }
    let policy = PolicySet::new(Revision(1), vec![TenantPolicy::default(); tenants]);
    store
        .put_policy_set(Revision(1), &policy.encode())
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(policy))
}
