//! Capacity: the maximum load of Muster, the limits of the machine, and other systems at the same job.
//!
//! One run of several rounds. Each round measures every limit together with the figure that is compared with it, so
//! that changes in the speed of the machine affect both. Muster runs as in production: `muster serve`, `muster-loadgen`
//! and `muster-peers` are separate processes. Only short-lived connections and the reconnect storm are driven from this
//! process, with the client that devices use.
//!
//! Owner: the main thread. Bounds: one server at a time and the work of `Sizes`; only runs at a fixed rate have a fixed
//! duration. A run that is not verified aborts everything, because its figures would mean nothing. This module does not
//! compare figures with goals; docs/BENCHMARKS.md does.

mod connections;
pub(crate) mod environment;
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

/// A part of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Section {
    /// Gateways, with many devices per connection, and the limits of the machine for them.
    Gateways,
    /// Devices with one connection each, and the limits of the machine for them.
    Devices,
    /// The device table and the journal, each alone.
    Table,
    /// The job of the peers.
    Peers,
    /// Increasing rates, once after the rounds; requires gateways.
    Knee,
}

impl Section {
    /// All sections, in the order in which they run.
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
pub struct CapacityOptions {
    /// How much work a round does.
    pub size: Size,
    /// Number of rounds.
    pub rounds: u32,
    /// The sections to run.
    pub only: Vec<Section>,
    /// The directory for temporary data directories.
    pub directory: PathBuf,
    /// The directory with `muster`, `muster-loadgen` and `muster-peers`.
    pub programs: PathBuf,
}

impl CapacityOptions {
    /// All sections, with three rounds, or one for the quick size.
    pub fn new(size: Size, programs: PathBuf) -> Self {
        Self {
            size,
            rounds: size.pick(1, 3) as u32,
            only: Section::ALL.to_vec(),
            directory: scratch(),
            programs,
        }
    }
}

/// The directory for temporary data directories. Like that of the scripts, not /tmp: it may be in memory, where a sync
/// costs nothing.
pub(crate) fn scratch() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// Runs the sections and returns the outcome. `log` is called with a line for each step.
///
/// # Errors
/// If something cannot be measured, or a run of Muster or of a peer is not verified.
pub fn run(options: &CapacityOptions, log: &mut dyn FnMut(&str)) -> anyhow::Result<Outcome> {
    let started = clock::stamp();
    let mut log = |step: &str| {
        let seconds = clock::stamp().since(started).as_secs();
        log(&format!("{seconds:5} s  {step}"));
    };
    let machine = Machine::read();
    let sizes = Sizes::of(options.size);
    log("creating certificates of devices and gateways");
    let environment = Environment::create(options, sizes.devices_connected())?;
    let mut rounds = Rounds {
        environment,
        sizes,
        figures: Figures::default(),
        peers: Peers::default(),
    };
    for round in 1..=options.rounds {
        let mut log = |step: &str| log(&format!("round {round} of {}: {step}", options.rounds));
        rounds.run_one(&options.only, &mut log)?;
    }
    let has_knee = [Section::Gateways, Section::Knee]
        .iter()
        .all(|section| options.only.contains(section));
    let knee = if has_knee {
        log("gateways at increasing rates, to find the knee");
        knee::sweep(&rounds.environment, &rounds.sizes, &mut rounds.figures)?
    } else {
        Knee::default()
    };
    if options.only.len() < Section::ALL.len() {
        rounds
            .figures
            .note(format!("sections measured: only {:?}", options.only));
    }
    Ok(Outcome {
        size: options.size,
        rounds: options.rounds,
        seconds: clock::stamp().since(started).as_secs_f64(),
        machine,
        load_after: machine::load(),
        file_system: machine::file_system(&options.directory),
        sizes: rounds.sizes,
        figures: rounds.figures,
        peers: rounds.peers,
        knee,
    })
}

/// The state that is kept from round to round.
struct Rounds {
    environment: Environment,
    sizes: Sizes,
    figures: Figures,
    peers: Peers,
}

impl Rounds {
    fn run_one(&mut self, only: &[Section], log: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        for section in Section::ALL.iter().filter(|section| only.contains(section)) {
            match section {
                Section::Gateways => self.gateways(log).context("gateways")?,
                Section::Devices => self.devices(log).context("devices")?,
                Section::Table => {
                    log("the device table and the journal, each alone");
                    limits::measure(
                        &self.environment,
                        &[Name::Apply, Name::Journal],
                        &mut self.figures,
                    )?;
                }
                Section::Peers => self.peers(log).context("the job of the peers")?,
                Section::Knee => {}
            }
        }
        self.figures.end_round()
    }

    /// Gateways, beside a bare stream.
    fn gateways(&mut self, log: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let Self {
            environment,
            sizes,
            figures,
            ..
        } = self;
        log("a bare QUIC stream, and the disk");
        limits::measure(environment, &[Name::Quic], figures)?;
        let mut disk = limits::Disk::new();
        disk.sample(environment, sizes)?;
        for devices in sizes.fleets {
            log(&format!("gateways, {devices} devices, closed loop"));
            gateways::closed_loop(environment, sizes, devices, figures)?;
        }
        for load in [gateways::HALF, gateways::HEAVY] {
            let is_half = load == gateways::HALF;
            if is_half {
                disk.sample_paced(environment, sizes)?;
            }
            let (fleet, (_, percent)) = (sizes.fleet(), load);
            log(&format!(
                "gateways, {fleet} devices, open loop at {percent} % of that rate"
            ));
            gateways::open_loop(environment, sizes, load, figures)?;
            if is_half {
                disk.sample_paced(environment, sizes)?;
            }
        }
        disk.sample(environment, sizes)?;
        disk.add_figures(figures);
        Ok(())
    }

    /// Devices with one connection each, beside bare connections.
    fn devices(&mut self, log: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let Self {
            environment,
            sizes,
            figures,
            ..
        } = self;
        log("bare requests on persistent connections");
        limits::measure(environment, &[Name::Requests], figures)?;
        log("devices on persistent connections");
        connections::persistent(environment, sizes.size, figures)?;
        log("bare short-lived connections");
        limits::measure(environment, &[Name::Handshakes], figures)?;
        log("devices on short-lived connections");
        connections::short_lived(environment, sizes.size, figures)?;
        log(&format!(
            "{} idle connections, then a reconnect storm",
            sizes.idle
        ));
        storm::measure(environment, sizes, figures)
    }

    /// The job of the peers, by Muster and by the peers.
    fn peers(&mut self, log: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let (environment, sizes) = (&self.environment, &self.sizes);
        for job in Job::ALL {
            let check_ins = job.check_ins(sizes);
            log(&format!(
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
            self.figures.add(job.muster_rate_figure(), rate);
            self.peers
                .measure(environment, sizes, job, &mut self.figures, log)?;
        }
        Ok(())
    }
}
