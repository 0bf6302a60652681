//! Capacity: what Muster holds, what the machine can do at all, and what other systems do at the same job.
//!
//! All in one run, round after round, and in every round a limit is measured right beside what is held against it:
//! a machine whose pace changes by the minute changes both. Muster runs as its users run it: `muster serve`,
//! `muster-loadgen` and `muster-peers` are processes of their own; only single connections are driven from here,
//! with the client that devices use.
//!
//! Owner: the main thread. Bounds: one server at a time, the work of `Sizes`; nothing ends by a clock but the
//! runs at a fixed rate. A run that is not verified ends everything: its figures would mean nothing. What it does
//! not do: judge. Goals are in the issue, figures of quiet machines in docs/BENCHMARKS.md.

mod connections;
mod environment;
mod figures;
mod gateways;
mod knee;
mod limits;
mod load;
mod outcome;
mod peers;
mod sizes;
mod storm;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use muster_ingest::clock;

use crate::machine::{self, Machine};
use crate::parts::{Name, Size};
use environment::Environment;
use figures::Figures;
use knee::Knee;
use load::Load;
use outcome::Outcome;
use peers::{Job, Peers};
use sizes::Sizes;

/// What belongs together in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Section {
    /// Many devices on each connection, and the limits of that.
    Gateways,
    /// A connection for each device, and the limits of that.
    Devices,
    /// The device table and the journal, each alone.
    Table,
    /// The job of the peers.
    Peers,
    /// Rising rates, once after the rounds; only with gateways.
    Knee,
}

impl Section {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [
        Self::Gateways,
        Self::Devices,
        Self::Table,
        Self::Peers,
        Self::Knee,
    ];
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How much work.
    pub size: Size,
    /// How often everything is measured.
    pub rounds: u32,
    /// What of it.
    pub only: Vec<Section>,
    /// Where data directories are made.
    pub directory: PathBuf,
    /// Where `muster`, `muster-loadgen` and `muster-peers` are.
    pub programs: PathBuf,
}

impl Plan {
    /// Three rounds, or a quick one.
    pub fn new(size: Size, programs: PathBuf) -> Self {
        Self {
            size,
            rounds: size.pick(1, 3) as u32,
            only: Section::ALL.to_vec(),
            // As the scripts: /tmp may lie in memory, where a sync costs nothing.
            directory: std::env::var_os("TMPDIR")
                .map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from),
            programs,
        }
    }
}

/// Runs the plan; returns the table and the object of the run. `say` gets a line for each step.
///
/// # Errors
/// If something cannot be measured, or a run of Muster or of a peer was not verified.
pub fn run(plan: &Plan, say: &mut dyn FnMut(&str)) -> anyhow::Result<Outcome> {
    let began = clock::stamp();
    let mut say = |what: &str| {
        let seconds = clock::stamp().since(began).as_secs();
        say(&format!("{seconds:5} s  {what}"));
    };
    let machine = Machine::read();
    let sizes = Sizes::of(plan.size);
    say("certificates of devices and gateways");
    let environment = Environment::make(plan, sizes.devices_connected())?;
    let mut rounds = Rounds {
        environment,
        sizes,
        figures: Figures::default(),
        peers: Peers::default(),
    };
    for round in 1..=plan.rounds {
        let mut step = |what: &str| say(&format!("round {round} of {}: {what}", plan.rounds));
        rounds.one(&plan.only, &mut step)?;
    }
    let knee = match [Section::Gateways, Section::Knee].map(|section| plan.only.contains(&section))
    {
        [true, true] => {
            say("at rates from a third of the highest to beyond it");
            knee::sweep(&rounds.environment, &rounds.sizes, &mut rounds.figures)?
        }
        _ => Knee::default(),
    };
    if plan.only.len() < Section::ALL.len() {
        rounds
            .figures
            .note(format!("only {:?} was measured", plan.only));
    }
    Ok(Outcome {
        size: plan.size,
        rounds: plan.rounds,
        seconds: clock::stamp().since(began).as_secs_f64(),
        machine,
        load_after: machine::load(),
        file_system: machine::file_system(&plan.directory),
        sizes: rounds.sizes,
        figures: rounds.figures,
        peers: rounds.peers,
        knee,
    })
}

/// What goes from round to round.
struct Rounds {
    environment: Environment,
    sizes: Sizes,
    figures: Figures,
    peers: Peers,
}

impl Rounds {
    fn one(&mut self, only: &[Section], say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        for section in Section::ALL.iter().filter(|section| only.contains(section)) {
            match section {
                Section::Gateways => self.gateways(say).context("gateways")?,
                Section::Devices => self.devices(say).context("devices")?,
                Section::Table => {
                    say("the device table and the journal, each alone");
                    limits::measure(
                        &self.environment,
                        &[Name::Apply, Name::Journal],
                        &mut self.figures,
                    )?;
                }
                Section::Peers => self.others(say).context("the job of the peers")?,
                Section::Knee => {}
            }
        }
        self.figures.end_round()
    }

    /// Many devices on each connection, beside a bare stream.
    fn gateways(&mut self, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let Self {
            environment,
            sizes,
            figures,
            ..
        } = self;
        say("a bare QUIC stream, and the disk");
        limits::measure(environment, &[Name::Quic], figures)?;
        let mut disk = limits::Disk::new();
        disk.sample(environment, sizes)?;
        for devices in sizes.fleets {
            say(&format!("gateways, {devices} devices, as fast as it goes"));
            gateways::fastest(environment, sizes, devices, figures)?;
        }
        for load in [gateways::HALF, gateways::HEAVY] {
            let is_half = load == gateways::HALF;
            if is_half {
                disk.sample_at_a_pace(environment, sizes)?;
            }
            let (fleet, (_, percent)) = (sizes.fleet(), load);
            say(&format!("gateways, {fleet} devices, {percent} % of that"));
            gateways::at_rate(environment, sizes, load, figures)?;
            if is_half {
                disk.sample_at_a_pace(environment, sizes)?;
            }
        }
        disk.sample(environment, sizes)?;
        disk.figures(figures);
        Ok(())
    }

    /// A connection for each device, beside bare connections.
    fn devices(&mut self, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let Self {
            environment,
            sizes,
            figures,
            ..
        } = self;
        say("bare requests on connections that stay open");
        limits::measure(environment, &[Name::Requests], figures)?;
        say("devices on connections that stay open");
        connections::persistent(environment, sizes.size, figures)?;
        say("bare connections that come and go");
        limits::measure(environment, &[Name::Handshakes], figures)?;
        say("devices that come and go");
        connections::come_and_go(environment, sizes.size, figures)?;
        say(&format!(
            "{} idle connections, gone and back all at once",
            sizes.idle
        ));
        storm::measure(environment, sizes, figures)
    }

    /// The job of the peers, done by them and by Muster.
    fn others(&mut self, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let (environment, sizes) = (&self.environment, &self.sizes);
        for job in Job::ALL {
            let check_ins = job.check_ins(sizes);
            say(&format!(
                "Muster at the job of the peers, {check_ins} check-ins"
            ));
            let load = Load {
                duplicates: peers::DUPLICATES,
                ..Load::through_gateways(sizes.peer_devices, check_ins)
            };
            let server = environment.serve()?;
            let report = load.run(environment, &server, &mut || Ok(()))?;
            server.stop()?;
            let rate = report.check_ins_per_second;
            self.figures.add(job.rate_of_muster(), rate);
            self.peers
                .measure(environment, sizes, job, &mut self.figures, say)?;
        }
        Ok(())
    }
}
