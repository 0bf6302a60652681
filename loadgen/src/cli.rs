//! The command line.
//!
//! Arguments that can be checked on their own are checked here; `run` checks the rest.

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
    CommonArguments, EnrolmentArguments, NoisyArguments, OutbreakArguments, ReconnectArguments,
    Scenario, SteadyArguments, TimingArguments,
};

const AFTER_HELP: &str = "\
Exit codes: 0 verified, 1 internal error, 2 wrong usage, 3 the tenant's settings make verification impossible,
4 certificate or key unusable, 7 the server's counts differ, 8 server not reachable,
10 tenant unknown, 11 refused by the server, 12 server cannot answer now, 13 file cannot be read or written.";

/// The number of check-ins of a run that ends by time, more than any run can send.
pub const CHECK_INS_MAX: u64 = 1_000_000_000_000;

/// Simulates a fleet of devices that check in with a Muster server, and verifies the server's counts.
#[derive(Debug, Parser)]
#[command(name = "muster-loadgen", version, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send check-ins to a server and compare its counts with the expected counts.
    Run(Box<RunArguments>),
    /// Run a named workload that resembles a real situation, in compressed time.
    #[command(subcommand)]
    Scenario(Scenario),
    /// Find the highest rate at which the p99 latency stays below a limit.
    Knee(Box<KneeArguments>),
    /// Compare two runs by their --json output.
    Compare(CompareArguments),
    /// Measure how fast check-ins are generated on one core, without a server.
    Rate(RateArguments),
    /// Measure how fast the generator sends to a null server, which acknowledges and discards every frame.
    Ceiling(CeilingArguments),
    /// Start handshakes and complete none of them, to test the server's limits.
    HandshakeFlood(HandshakeFloodArguments),
    /// Connect devices that send a window of frames and never read an ack, to test the server's limits.
    NonReading(NonReadingArguments),
}

/// The options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArguments {
    /// The server.
    #[command(flatten)]
    pub environment: EnvironmentArguments,
    /// The fleet.
    #[command(flatten)]
    pub fleet: FleetArguments,
    /// The output.
    #[command(flatten)]
    pub output: OutputArguments,
    /// Total check-ins to send, duplicates included; with --seconds or --ramp, the maximum.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), required_unless_present = "ramp")]
    pub check_ins: Option<u64>,
    /// Check-ins per second, on a fixed schedule (open loop). [default: as many as the server takes]
    #[arg(long, value_parser = parse_positive)]
    pub rate: Option<f64>,
    /// Increase the check-ins per second from one rate to another, in equal steps (open loop).
    #[arg(long, value_name = "FROM..TO", value_parser = parse_range, conflicts_with_all = ["rate", "seconds"])]
    pub ramp: Option<(f64, f64)>,
    /// Number of steps of --ramp, both ends included.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), requires = "ramp")]
    pub steps: u32,
    /// Duration of each step of --ramp.
    #[arg(long, default_value_t = 5.0, value_parser = parse_seconds, requires = "ramp")]
    pub step_seconds: f64,
    /// Stop generating check-ins after this time. Frames generated before are still sent and awaited; check-ins that
    /// were due by --rate but not generated because of back-pressure are reported as held back. [default: until all are
    /// sent]
    #[arg(long, value_parser = parse_seconds)]
    pub seconds: Option<f64>,
    /// Fraction of check-ins that are sent twice.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = parse_fraction)]
    pub duplicates: f64,
    /// Fraction of check-ins that are sent only after the next check-in of the same device.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = parse_fraction)]
    pub reorder: f64,
}

/// The options of `rate`.
#[derive(Debug, clap::Args)]
pub struct RateArguments {
    /// Devices of the fleet.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub devices: u64,
    /// Number of check-ins to generate.
    #[arg(long, default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub check_ins: u64,
    /// Seed of the fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl RunArguments {
    /// The parameters of the fleet.
    pub const fn shape(&self) -> Shape {
        Shape {
            duplicates: self.duplicates,
            reorder: self.reorder,
            ..self.fleet.shape()
        }
    }

    /// The maximum number of check-ins to send.
    pub fn check_ins(&self) -> u64 {
        self.check_ins.unwrap_or(CHECK_INS_MAX)
    }

    /// The offered load.
    pub fn profile(&self) -> Profile {
        match self.ramp {
            Some((from, to)) => ramp(from, to, self.steps, self.step_seconds),
            None => Profile::of_rate(self.rate),
        }
    }

    /// Checks constraints between options.
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

/// Resolves `HOST:PORT`. The client uses one address. An IPv4 address is preferred, so that the name localhost reaches
/// a server that listens only on 127.0.0.1, the default.
fn parse_target(text: &str) -> Result<SocketAddr, String> {
    let found = text
        .to_socket_addrs()
        .map_err(|error| format!("{error}; use for example 127.0.0.1:7440 or localhost:7440"))?;
    let found: Vec<SocketAddr> = found.collect();
    let ipv4 = found.iter().find(|address| address.is_ipv4());
    let address = ipv4.or(found.first()).copied();
    address.ok_or_else(|| "the name has no address".to_owned())
}

/// Parses the address of the operations endpoint, with or without the scheme.
fn parse_ops_url(text: &str) -> Result<String, String> {
    let authority = text
        .strip_prefix("http://")
        .unwrap_or(text)
        .trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
        return Err("use for example 127.0.0.1:7441 or http://127.0.0.1:7441".to_owned());
    }
    Ok(format!("http://{authority}"))
}

fn parse_fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("must be a fraction from 0 to 1".to_owned()),
    }
}

fn parse_positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // The upper limit keeps the interval between two frames above a nanosecond.
        Ok(value) if (0.001..=1e9).contains(&value) => Ok(value),
        _ => Err("must be a number from 0.001 to 1000000000".to_owned()),
    }
}

fn parse_compression(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // A higher factor would compress a day to less than a millisecond.
        Ok(value) if (1.0..=1e8).contains(&value) => Ok(value),
        _ => Err("must be a number from 1 to 100000000".to_owned()),
    }
}

fn parse_range(text: &str) -> Result<(f64, f64), String> {
    let Some((from, to)) = text.split_once("..") else {
        return Err("must be two rates, for example 1000..20000".to_owned());
    };
    Ok((parse_positive(from)?, parse_positive(to)?))
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // A week is longer than any run and well within the range of a clock.
        Ok(value) if (0.001..=604_800.0).contains(&value) => Ok(value),
        _ => Err("must be a number from 0.001 to 604800".to_owned()),
    }
}

#[cfg(test)]
mod tests;
