//! The command line.
//!
//! What can be judged from the arguments alone is judged here; the rest is up to `run`.

use std::net::{SocketAddr, ToSocketAddrs};

use clap::{Parser, Subcommand};

use muster_testkit::fleet::Shape;

use crate::{
    error::RunError,
    profile::{Profile, ramp},
};

mod environment;
mod measure;
mod misbehaving;
mod scenario;

pub use environment::{EnvironmentArguments, FleetArguments, OutputArguments};
pub use measure::{CeilingArguments, CompareArguments, KneeArguments};
pub use misbehaving::{HandshakeFloodArguments, NonReadingArguments, check_target};
pub use scenario::{
    CommonArguments, EnrolmentArguments, NoisyArguments, OutbreakArguments, PassArguments,
    ReconnectArguments, Scenario, SteadyArguments,
};

const AFTER_HELP: &str = "\
Exit codes: 0 verified, 1 internal, 2 usage, 3 the tenant's settings rule a prediction out,
4 certificate or key unusable, 7 the server's counts differ, 8 server not reachable,
10 tenant unknown, 11 refused by the server, 12 server cannot answer now, 13 file cannot be read or written.";

/// What ends by its time alone has so many check-ins to send: more than anybody waits for.
pub const CHECK_INS_MAX: u64 = 1_000_000_000_000;

/// Simulates a fleet of devices that check in with a Muster server, and verifies its counts.
#[derive(Debug, Parser)]
#[command(name = "muster-loadgen", version, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send check-ins to a server and compare its counts with the prediction.
    Run(Box<RunArguments>),
    /// Send a named workload: what fleets really do, in compressed time.
    #[command(subcommand)]
    Scenario(Scenario),
    /// Find the highest rate that a server takes with good latencies.
    Knee(Box<KneeArguments>),
    /// Compare two runs, by what they printed with --json.
    Compare(CompareArguments),
    /// Measure how fast check-ins are made here, on one core and without a server.
    Rate(RateArguments),
    /// Measure how fast this generator sends to a null server, which acknowledges and discards every frame.
    Ceiling(CeilingArguments),
    /// Start handshakes and complete none, to show how a server bounds them.
    HandshakeFlood(HandshakeFloodArguments),
    /// Connect devices that send a window of frames and never read an ack.
    NonReading(NonReadingArguments),
}

/// The options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArguments {
    /// Which server.
    #[command(flatten)]
    pub environment: EnvironmentArguments,
    /// Which fleet.
    #[command(flatten)]
    pub fleet: FleetArguments,
    /// What to write.
    #[command(flatten)]
    pub output: OutputArguments,
    /// Check-ins to send in all, duplicates included; at most so many with --seconds or --ramp.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), required_unless_present = "ramp")]
    pub check_ins: Option<u64>,
    /// Check-ins a second, on a fixed schedule (open loop). [default: as many as the server takes]
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Check-ins a second from one rate to another, in equal steps (open loop).
    #[arg(long, value_name = "FROM..TO", value_parser = range, conflicts_with_all = ["rate", "seconds"])]
    pub ramp: Option<(f64, f64)>,
    /// Steps of --ramp, both ends included.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), requires = "ramp")]
    pub steps: u32,
    /// How long each step of --ramp is.
    #[arg(long, default_value_t = 5.0, value_parser = seconds, requires = "ramp")]
    pub step_seconds: f64,
    /// Make no check-ins after so many seconds. Frames made by then are still sent and awaited; what
    /// --rate had due and the server's pressure kept from being made is reported as held back.
    /// [default: until all were sent]
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Check-ins that are sent twice, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub duplicates: f64,
    /// Check-ins that are overtaken by the next one of their device, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub reorder: f64,
}

/// The options of `rate`.
#[derive(Debug, clap::Args)]
pub struct RateArguments {
    /// Devices of the fleet.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub devices: u64,
    /// Check-ins to make.
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub check_ins: u64,
    /// The fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl RunArguments {
    /// The fleet that is asked for.
    pub const fn shape(&self) -> Shape {
        Shape {
            duplicates: self.duplicates,
            reorder: self.reorder,
            ..self.fleet.shape()
        }
    }

    /// Check-ins to send, at most.
    pub fn check_ins(&self) -> u64 {
        self.check_ins.unwrap_or(CHECK_INS_MAX)
    }

    /// How much is offered.
    pub fn profile(&self) -> Profile {
        match self.ramp {
            Some((from, to)) => ramp(from, to, self.steps, self.step_seconds),
            None => Profile::of_rate(self.rate),
        }
    }

    /// Holds what one option alone cannot tell.
    ///
    /// # Errors
    /// [`RunError::Usage`].
    pub fn check(&self) -> Result<(), RunError> {
        if self.duplicates + self.reorder > 1.0 {
            let text = "--duplicates and --reorder together are above 1";
            return Err(RunError::Usage(text.to_owned()));
        }
        Ok(())
    }
}

/// The address of `HOST:PORT`. The client speaks to one address; a server that listens on 127.0.0.1 alone, the default,
/// is reached by the name localhost.
fn target(text: &str) -> Result<SocketAddr, String> {
    let found = text
        .to_socket_addrs()
        .map_err(|error| format!("{error}; it must be like 127.0.0.1:7440 or localhost:7440"))?;
    let found: Vec<SocketAddr> = found.collect();
    let ipv4 = found.iter().find(|address| address.is_ipv4());
    let address = ipv4.or(found.first()).copied();
    address.ok_or_else(|| "the name has no address".to_owned())
}

/// The endpoint for operators, which may be given without its scheme.
fn ops_url(text: &str) -> Result<String, String> {
    let authority = text
        .strip_prefix("http://")
        .unwrap_or(text)
        .trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
        return Err("it must be like 127.0.0.1:7441 or http://127.0.0.1:7441".to_owned());
    }
    Ok(format!("http://{authority}"))
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("it must be a fraction from 0 to 1".to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // The upper end keeps the time between two frames above a nanosecond.
        Ok(value) if (0.001..=1e9).contains(&value) => Ok(value),
        _ => Err("it must be a number from 0.001 to 1000000000".to_owned()),
    }
}

fn compression(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // More would put the check-ins of a day into a millisecond.
        Ok(value) if (1.0..=1e8).contains(&value) => Ok(value),
        _ => Err("it must be a number from 1 to 100000000".to_owned()),
    }
}

fn range(text: &str) -> Result<(f64, f64), String> {
    let Some((from, to)) = text.split_once("..") else {
        return Err("it must be two rates, as in 1000..20000".to_owned());
    };
    Ok((positive(from)?, positive(to)?))
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // A week is longer than any run, and far from what a clock cannot hold.
        Ok(value) if (0.001..=604_800.0).contains(&value) => Ok(value),
        _ => Err("it must be a number from 0.001 to 604800".to_owned()),
    }
}

#[cfg(test)]
mod tests;
