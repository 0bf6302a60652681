//! The simulated world of one seed: clients, connections, a server, a disk, a clock, and the scheduler.
//!
//! In each step one of them does one thing; the server may be killed between any two steps. At the end faults stop,
//! clients resend until everything is acknowledged, and the state is compared with the model's. One thread, no clock,
//! no socket, so a seed always gives the same run. `actions.rs` has the events, `clock.rs` those of the wall
//! clock, `operator.rs` what operators do, `ending.rs` the end of a run.

mod actions;
mod clock;
mod ending;
mod operator;

use std::sync::Arc;
use std::time::Duration;

use muster_engine::{Shard, TenantIndex, Timestamp};
use muster_ingest::clock::{Clock, SimulatedTime};
use muster_ingest::config::{Config, ListenConfig};
use muster_ingest::phase::Phase;
use muster_ingest::shard::{Input, Stepped};
use muster_testkit::random::Random;
use muster_wire::Identity;

use crate::acknowledged_state::AcknowledgedState;
use crate::checks::{self, Expected};
use crate::client::Client;
use crate::connection::Connection;
use crate::disk::SimulatedDisk;
use crate::fleet::Fleet;
use crate::frames::Sender;
use crate::injected_fault::InjectedFault;
use crate::oracle::Oracle;
use crate::server::{Server, StartOptions};
use crate::settings::Settings;
use crate::trace::{Event, Trace};
use crate::violation::Violation;

/// Workers and writer that are not idle after this many steps hang.
const IDLE_STEPS_MAX: usize = 100_000;

/// Each start has at most this many threads.
const THREADS_MAX: u16 = 5;

/// The wall clock at the start of every run: a day in 2026.
const START_TIME: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// Options of a run, beside its seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The injected fault, if any.
    pub injected_fault: Option<InjectedFault>,
    /// Called for each event as it happens.
    pub on_event: Option<fn(u64, &Event)>,
}

/// The numbers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps of the scheduler.
    pub steps: u64,
    /// Crashes: the server was killed, or its disk failed.
    pub crashes: u64,
    /// Recoveries.
    pub recoveries: u64,
    /// Completed graceful stops.
    pub drains: u64,
    /// Acknowledged records.
    pub acked: u64,
    /// Applied policy sets.
    pub policy_revisions: u64,
    /// Completed checkpoints.
    pub checkpoints: u64,
    /// Trims of the journal.
    pub trims: u64,
    /// Recounts of a running server.
    pub recounts: u64,
    /// Steps of the wall clock that the service time has followed.
    pub clock_steps: u64,
    /// The hash of the trace.
    pub hash: u64,
}

/// The result of a run, which ends at the first violation.
#[derive(Debug)]
pub struct Outcome {
    /// Numbers.
    pub summary: Summary,
    /// The check that does not hold, if any.
    pub violation: Option<Violation>,
    /// The last steps.
    pub last_steps: Vec<String>,
}

/// The state of a run.
#[derive(Debug)]
struct World {
    random: Random,
    settings: Settings,
    options: Options,
    listen: ListenConfig,
    tenants: Vec<String>,
    time: Arc<SimulatedTime>,
    clock: Clock,
    clock_steps: clock::ClockSteps,
    disk: SimulatedDisk,
    server: Option<Server>,
    clients: Vec<Client>,
    /// By client.
    connections: Vec<Option<Connection>>,
    fleet: Fleet,
    acknowledged_state: AcknowledgedState,
    oracle: Oracle,
    operator: operator::Operator,
    /// The next write is cut short by a crash, so the server goes down after the step that makes it.
    crash_pending: bool,
    /// The run is at its end: no event from now on is a fault.
    faults_disabled: bool,
    trace: Trace,
    summary: Summary,
}

/// Runs one seed.
pub fn run(seed: u64, options: Options) -> Outcome {
    let mut world = World::new(seed, options);
    let result = world.run_steps().and_then(|()| world.finish());
    let violation = result.err();
    if let Some(server) = &world.server {
        world.summary.checkpoints += server.groups.log().metrics().checkpoints;
    }
    world.summary.trims = world.disk.trims();
    world.summary.clock_steps = world.time.followed();
    world.summary.hash = world.trace.hash();
    Outcome {
        summary: world.summary,
        violation,
        last_steps: world.trace.last(),
    }
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let mut random = Random::new(seed, 0);
        let settings = Settings::sample(&mut random);
        let tenants: Vec<String> = (0..settings.tenants)
            .map(|tenant| format!("tenant-{tenant}"))
            .collect();
        let fleet = Fleet::new(seed, settings.tenants, settings.devices_per_tenant);
        let clients = (0..settings.clients)
            .map(|number| client(number, &tenants, &fleet, &mut random))
            .collect();
        let time = Arc::new(SimulatedTime::at(START_TIME));
        Self {
            listen: listen(&settings),
            tenants,
            clock: Clock::Simulated(Arc::clone(&time)),
            time,
            clock_steps: clock::ClockSteps::new(seed),
            disk: SimulatedDisk::new(Random::new(seed, 1), options.injected_fault),
            server: None,
            clients,
            connections: (0..settings.clients).map(|_| None).collect(),
            fleet,
            acknowledged_state: AcknowledgedState::default(),
            oracle: Oracle::default(),
            operator: operator::Operator::default(),
            crash_pending: false,
            faults_disabled: false,
            trace: Trace::new(options.on_event),
            summary: Summary::default(),
            random,
            settings,
            options,
        }
    }

    fn run_steps(&mut self) -> Result<(), Violation> {
        for _ in 0..self.settings.steps {
            self.step()?;
        }
        Ok(())
    }

    fn chance(&mut self, in_100_000: u64) -> bool {
        self.random.below(100_000) < in_100_000
    }

    /// Starts a server on the disk. It may be killed before it has recovered.
    fn start_server(&mut self) -> Result<(), Violation> {
        let threads_max = u64::from(self.settings.shards.min(THREADS_MAX));
        let options = StartOptions {
            settings: &self.settings,
            threads: 1 + self.random.below(threads_max) as u16,
            listen: &self.listen,
            tenants: &self.tenants,
            clock: &self.clock,
            hash_seed: self.random.bits(),
        };
        let started = Server::start(&self.disk, &options);
        self.trace
            .record("start", 0, &[("ok", u64::from(started.is_ok()))]);
        let server = match started {
            Ok(server) => server,
            Err(_) if self.disk.has_failed() => {
                self.lose_power();
                return Ok(());
            }
            Err(error) => return Err(Violation::new("recovery", error)),
        };
        self.summary.recoveries += 1;
        self.oracle.add_policy(&server.policy);
        self.oracle.catch_up(&self.disk)?;
        checks::recovered(&server, &self.expected())?;
        let devices = server.shards().map(Shard::devices);
        self.trace
            .record("recovered", 0, &[("devices", devices.map(u64::from).sum())]);
        self.server = Some(server);
        Ok(())
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            settings: &self.settings,
            fleet: &self.fleet,
            head: self.operator.head,
            acknowledged_state: &self.acknowledged_state,
            oracle: &self.oracle,
        }
    }

    /// Kills the server. The disk and the clients survive; some bytes in flight still arrive.
    fn crash(&mut self) -> Result<(), Violation> {
        self.summary.crashes += 1;
        self.trace.record("crash", 0, &[]);
        self.drop_server()
    }

    fn drop_server(&mut self) -> Result<(), Violation> {
        for number in 0..self.connections.len() {
            if self.random.below(2) == 0 {
                self.deliver(number, usize::MAX)?;
            }
            self.connections[number] = None;
        }
        self.operator = operator::Operator::default();
        if let Some(server) = self.server.take() {
            self.summary.checkpoints += server.groups.log().metrics().checkpoints;
        }
        self.crash_pending = false;
        self.lose_power();
        Ok(())
    }

    fn lose_power(&mut self) {
        self.disk.crash(&mut self.random);
    }

    /// Runs workers and writer until they are idle or the store is poisoned.
    fn run_until_idle(&mut self) -> Result<(), Violation> {
        self.operator.cancel_recount();
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        for _ in 0..IDLE_STEPS_MAX {
            let mut worked = false;
            for worker in 0..server.workers.len() {
                worked |= server.step_worker(worker, Input::Control) == Stepped::Worked;
            }
            worked |= server.forward_commits(self.options.injected_fault, &mut self.random);
            worked |= server.step_writer();
            if !worked {
                return Ok(());
            }
        }
        Err(Violation::new(
            "liveness",
            "workers and writer are never idle",
        ))
    }

    /// Runs the server until it is idle, then checks it.
    fn check_at_rest(&mut self) -> Result<(), Violation> {
        self.run_until_idle()?;
        let Some(server) = &self.server else {
            return Ok(());
        };
        self.check_poison()?;
        if server.phase() == Phase::Poisoned {
            return Ok(());
        }
        self.oracle.catch_up(&self.disk)?;
        let Some(server) = &self.server else {
            return Ok(());
        };
        checks::at_rest(server, &self.expected())
    }

    /// Checks that the server is poisoned if and only if a write failed, and has written nothing since.
    fn check_poison(&self) -> Result<(), Violation> {
        self.disk.check_usage()?;
        let Some(server) = &self.server else {
            return Ok(());
        };
        let (phase, has_failed) = (server.phase(), self.disk.has_failed());
        if has_failed == (phase == Phase::Poisoned) {
            return Ok(());
        }
        let reason = server.store.health().poisoned();
        let detail = if has_failed {
            format!("a write failed and the server is {}", phase.name())
        } else {
            format!("no write failed and the server is poisoned: {reason:?}")
        };
        Err(Violation::new("poison", detail))
    }

    fn advance_time(&mut self, time: Duration) {
        self.time.pass(time);
    }
}

/// A client, which is a gateway or a device.
fn client(number: usize, tenants: &[String], fleet: &Fleet, random: &mut Random) -> Client {
    let tenant = TenantIndex(random.below(tenants.len() as u64) as u16);
    let name = &tenants[usize::from(tenant)];
    let own = random.below(u64::from(fleet.devices_per_tenant())) as u32;
    let (uri, own_device) = match random.below(3) {
        0 => {
            let id = fleet.id(own);
            (format!("muster://{name}/device/{id}"), Some(own))
        }
        _ => (format!("muster://{name}/gateway/gw-{number}"), None),
    };
    let identity = Identity::from_uris([uri.as_str()]).expect("the URI is well-formed");
    Client::new(identity, Sender { tenant, own_device })
}

/// The `listen` section of the server; the simulation uses no other section.
fn listen(settings: &Settings) -> ListenConfig {
    let frames = settings.window_frames;
    let text = format!(
        "[listen]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\nwindow_frames_device = {frames}\n\
         window_frames_gateway = {frames}\n[store]\ndirectory = \"d\"\n"
    );
    let config = Config::parse(&text, std::path::Path::new("/"));
    config.expect("the configuration is valid").listen
}
