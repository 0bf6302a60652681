//! One world: clients, connections, a server, a disk, a clock, and a scheduler that a seed decides.
//!
//! A step lets one of them do one thing; between any two steps the server may be killed. At the end faults cease,
//! everything is sent again until it is acknowledged, and the state is compared with the plain model's. One thread,
//! no clock, no socket: the same seed is the same world. `actions.rs` has what can happen,
//! `operator.rs` what operators do, `ending.rs` the end.

mod actions;
mod ending;
mod operator;

use std::sync::Arc;
use std::time::Duration;

use muster_engine::{TenantIndex, Timestamp};
use muster_ingest::clock::{Clock, SimulatedTime};
use muster_ingest::config::{Config, ListenConfig};
use muster_ingest::phase::Phase;
use muster_ingest::shard::{Input, Stepped};
use muster_loadgen::random::Random;
use muster_wire::Identity;

use crate::checks::{self, Expected};
use crate::client::Client;
use crate::disk::SimulatedDisk;
use crate::fleet::Fleet;
use crate::frames::Sender;
use crate::link::Link;
use crate::oracle::Oracle;
use crate::plant::Plant;
use crate::promises::Promises;
use crate::server::{Server, Start};
use crate::settings::Settings;
use crate::trace::{Event, Trace};
use crate::violation::Violation;

/// Shards and writer come to rest in fewer steps than this, or hang.
const SETTLE_STEPS_MAX: usize = 100_000;

/// When worlds begin: a day in 2026.
const BEGINNING: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// What is asked for, beside the seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A defect to put in.
    pub plant: Option<Plant>,
    /// Shows each event as it happens.
    pub shown: Option<fn(u64, &Event)>,
}

/// What happened in a world, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps of the scheduler.
    pub steps: u64,
    /// Times that the server was killed, or its disk failed.
    pub crashes: u64,
    /// Times that it recovered.
    pub recoveries: u64,
    /// Stops that came to their end.
    pub drains: u64,
    /// Records acknowledged.
    pub acked: u64,
    /// Policy sets put in force.
    pub policy_revisions: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Times that the head of the journal was deleted.
    pub trims: u64,
    /// Recounts while the server ran.
    pub recounts: u64,
    /// The hash of everything that happened.
    pub hash: u64,
}

/// A world that came to its end, or to a violation.
#[derive(Debug)]
pub struct Outcome {
    /// Numbers.
    pub summary: Summary,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// The last steps.
    pub last: Vec<String>,
}

/// Everything there is.
#[derive(Debug)]
struct World {
    random: Random,
    settings: Settings,
    options: Options,
    listen: ListenConfig,
    tenants: Vec<String>,
    time: Arc<SimulatedTime>,
    clock: Clock,
    /// The latest the wall clock ever was.
    wall_max: Timestamp,
    disk: SimulatedDisk,
    server: Option<Server>,
    clients: Vec<Client>,
    /// By client.
    links: Vec<Option<Link>>,
    fleet: Fleet,
    promises: Promises,
    oracle: Oracle,
    operator: operator::Operator,
    /// The write under way is killed: the server goes down after this step.
    dying: bool,
    /// Nothing goes wrong any more.
    calm: bool,
    trace: Trace,
    summary: Summary,
}

/// Runs the world of a seed.
pub fn run(seed: u64, options: Options) -> Outcome {
    let mut world = World::new(seed, options);
    let ended = world.live().and_then(|()| world.end());
    let violation = ended.err();
    if let Some(server) = &world.server {
        world.summary.checkpoints += server.groups.writer().metrics().checkpoints;
    }
    world.summary.trims = world.disk.trims();
    world.summary.hash = world.trace.hash();
    Outcome {
        summary: world.summary,
        violation,
        last: world.trace.last(),
    }
}

impl World {
    fn new(seed: u64, options: Options) -> Self {
        let mut random = Random::new(seed, 0);
        let settings = Settings::draw(&mut random);
        let tenants: Vec<String> = (0..settings.tenants)
            .map(|tenant| format!("tenant-{tenant}"))
            .collect();
        let fleet = Fleet::new(seed, settings.tenants, settings.devices_per_tenant);
        let clients = (0..settings.clients)
            .map(|number| client(number, &tenants, &fleet, &mut random))
            .collect();
        let time = Arc::new(SimulatedTime::at(BEGINNING));
        Self {
            listen: listen(&settings),
            tenants,
            clock: Clock::Simulated(Arc::clone(&time)),
            time,
            wall_max: BEGINNING,
            disk: SimulatedDisk::new(Random::new(seed, 1), options.plant),
            server: None,
            clients,
            links: (0..settings.clients).map(|_| None).collect(),
            fleet,
            promises: Promises::default(),
            oracle: Oracle::default(),
            operator: operator::Operator::default(),
            dying: false,
            calm: false,
            trace: Trace::new(options.shown),
            summary: Summary::default(),
            random,
            settings,
            options,
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        for _ in 0..self.settings.steps {
            self.step()?;
        }
        Ok(())
    }

    fn chance(&mut self, in_100_000: u64) -> bool {
        self.random.below(100_000) < in_100_000
    }

    /// Starts a server on what the disk has. It may be killed on the way.
    fn start(&mut self) -> Result<(), Violation> {
        let start = Start {
            settings: &self.settings,
            listen: &self.listen,
            tenants: &self.tenants,
            clock: &self.clock,
            hash_seed: self.random.bits(),
        };
        let started = Server::start(&self.disk, &start);
        self.trace
            .note("start", 0, &[("ok", u64::from(started.is_ok()))]);
        let server = match started {
            Ok(server) => server,
            Err(_) if self.disk.has_failed() => {
                self.power_cut();
                return Ok(());
            }
            Err(error) => return Err(Violation::new("recovery", error)),
        };
        self.summary.recoveries += 1;
        self.oracle.know(&server.policy);
        self.oracle.catch_up(&self.disk)?;
        checks::recovered(&server, &self.expected())?;
        let devices = server.workers.iter().map(|worker| worker.shard().devices());
        self.trace
            .note("recovered", 0, &[("devices", devices.map(u64::from).sum())]);
        self.server = Some(server);
        Ok(())
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            settings: &self.settings,
            fleet: &self.fleet,
            promises: &self.promises,
            oracle: &self.oracle,
            now: self.wall_max.max(self.clock.wall()),
        }
    }

    /// Everything but the disk and the clients is gone; some of what was said still arrives.
    fn crash(&mut self) -> Result<(), Violation> {
        self.summary.crashes += 1;
        self.trace.note("crash", 0, &[]);
        self.go_down()
    }

    fn go_down(&mut self) -> Result<(), Violation> {
        for number in 0..self.links.len() {
            if self.random.below(2) == 0 {
                self.deliver(number, usize::MAX)?;
            }
            self.links[number] = None;
        }
        self.operator = operator::Operator::default();
        if let Some(server) = self.server.take() {
            self.summary.checkpoints += server.groups.writer().metrics().checkpoints;
        }
        self.dying = false;
        self.power_cut();
        Ok(())
    }

    fn power_cut(&mut self) {
        self.disk.crash(&mut self.random);
    }

    /// Lets shards and writer work until nothing is left to do; a poisoned store stops them too.
    fn settle(&mut self) -> Result<(), Violation> {
        self.operator.let_go();
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        for _ in 0..SETTLE_STEPS_MAX {
            let mut worked = false;
            for shard in 0..server.workers.len() {
                worked |= server.step_shard(shard, Input::Control) == Stepped::Worked;
            }
            worked |= server.hand_over(self.options.plant, &mut self.random);
            worked |= server.step_writer();
            if !worked {
                return Ok(());
            }
        }
        Err(Violation::new(
            "liveness",
            "shards and writer never come to rest",
        ))
    }

    /// Everything comes to rest and is looked at.
    fn look(&mut self) -> Result<(), Violation> {
        self.settle()?;
        let Some(server) = &self.server else {
            return Ok(());
        };
        self.poison()?;
        if server.phase() == Phase::Poisoned {
            return Ok(());
        }
        self.oracle.catch_up(&self.disk)?;
        let Some(server) = &self.server else {
            return Ok(());
        };
        checks::at_rest(server, &self.expected())
    }

    /// A server is poisoned by a write that failed, at once and by nothing else, and writes nothing from then on.
    fn poison(&self) -> Result<(), Violation> {
        self.disk.is_well_used()?;
        let Some(server) = &self.server else {
            return Ok(());
        };
        let (phase, has_failed) = (server.phase(), self.disk.has_failed());
        if has_failed == (phase == Phase::Poisoned) {
            return Ok(());
        }
        let reason = server.store.health().poisoned();
        let what = match has_failed {
            true => format!("a write failed, the server is {}", phase.name()),
            false => format!("no write failed, the server is poisoned: {reason:?}"),
        };
        Err(Violation::new("poison", what))
    }

    fn pass(&mut self, time: Duration) {
        self.time.pass(time);
        self.wall_max = self.wall_max.max(self.clock.wall());
    }
}

/// A gateway, or a device.
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
    let identity = Identity::from_uris([uri.as_str()]).expect("a name and an id of the format");
    Client::new(identity, Sender { tenant, own_device })
}

/// The `listen` section of a server of this world; the rest of the configuration has no part in it.
fn listen(settings: &Settings) -> ListenConfig {
    let frames = settings.window_frames;
    let text = format!(
        "[listen]\ncertificate = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\nwindow_frames_device = {frames}\n\
         window_frames_gateway = {frames}\n[store]\ndirectory = \"d\"\n[[tenants]]\nname = \"tenant-0\"\n"
    );
    let config = Config::parse(&text, std::path::Path::new("/"));
    config.expect("every key of it is valid").listen
}
