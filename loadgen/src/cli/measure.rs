//! The options of knee, ceiling and comparison.

use std::path::PathBuf;

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use super::{EnvironmentArguments, FleetArguments, OutputArguments, parse_positive, parse_seconds};
use muster_testkit::identities::Kind;

/// The options of `knee`.
#[derive(Debug, clap::Args)]
pub struct KneeArguments {
    /// The server.
    #[command(flatten)]
    pub environment: EnvironmentArguments,
    /// The fleet.
    #[command(flatten)]
    pub fleet: FleetArguments,
    /// The output.
    #[command(flatten)]
    pub output: OutputArguments,
    /// First rate to offer, in check-ins per second; it is doubled until the p99 exceeds --p99-max.
    #[arg(long, value_name = "RATE", default_value_t = 10_000.0, value_parser = parse_positive)]
    pub from: f64,
    /// Highest rate to offer.
    #[arg(long, value_name = "RATE", default_value_t = 100_000_000.0, value_parser = parse_positive)]
    pub to: f64,
    /// Highest acceptable p99 latency, from when a frame was due to its ack, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 50.0, value_parser = parse_positive)]
    pub p99_max: f64,
    /// Duration of each rate.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = parse_seconds)]
    pub point_seconds: f64,
    /// Stop when the lowest rate that exceeded --p99-max is within this fraction of the highest that did not.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.05, value_parser = super::parse_fraction)]
    pub precision: f64,
    /// Try no further rate after this time.
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = parse_seconds)]
    pub time_max: f64,
}

/// The options of `ceiling`.
#[derive(Debug, clap::Args)]
pub struct CeilingArguments {
    /// Gateway connections with many devices each, or one connection per device.
    #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Kind::Gateway)]
    pub kind: Kind,
    /// Devices of the fleet. [default: 1000000 as gateway, 64 as device]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub devices: Option<u64>,
    /// Number of gateway connections.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub gateways: u64,
    /// Check-ins per frame. [default: 4096 as gateway, 1 as device]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: Option<u64>,
    /// Maximum number of unacknowledged frames of a connection.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// How long to send.
    #[arg(long, default_value_t = 5.0, value_parser = parse_seconds)]
    pub seconds: f64,
    /// Threads of the generator; the null server has the same number. [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Seed of the fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object on standard output instead of text.
    #[arg(long)]
    pub json: bool,
}

/// The options of `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArguments {
    /// The --json output of the run to compare with.
    #[arg(value_name = "BEFORE.json")]
    pub before: PathBuf,
    /// The --json output of the other run.
    #[arg(value_name = "AFTER.json")]
    pub after: PathBuf,
    /// Write the comparison as a single self-contained HTML file.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Compare runs even if their workloads differ; the verdict then says so.
    #[arg(long)]
    pub different_workloads: bool,
}
