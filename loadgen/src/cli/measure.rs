//! The options of what is measured by many runs or without a server: knee, ceiling, comparison.

use std::path::PathBuf;

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use super::{EnvironmentArguments, FleetArguments, OutputArguments, positive, seconds};
use muster_testkit::identities::Kind;

/// The options of `knee`.
#[derive(Debug, clap::Args)]
pub struct KneeArguments {
    /// Which server.
    #[command(flatten)]
    pub environment: EnvironmentArguments,
    /// Which fleet.
    #[command(flatten)]
    pub fleet: FleetArguments,
    /// What to write.
    #[command(flatten)]
    pub output: OutputArguments,
    /// The first rate that is offered, in check-ins a second; it is doubled from there.
    #[arg(long, value_name = "RATE", default_value_t = 10_000.0, value_parser = positive)]
    pub from: f64,
    /// The highest rate that is offered.
    #[arg(long, value_name = "RATE", default_value_t = 100_000_000.0, value_parser = positive)]
    pub to: f64,
    /// The p99 from the time a frame was due to its ack that is still good, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 50.0, value_parser = positive)]
    pub p99_max: f64,
    /// How long each rate is offered.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub point_seconds: f64,
    /// How close the highest good rate and the lowest bad one must come, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.05, value_parser = super::fraction)]
    pub precision: f64,
    /// After how long no further rate is tried.
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0, value_parser = seconds)]
    pub time_max: f64,
}

/// The options of `ceiling`.
#[derive(Debug, clap::Args)]
pub struct CeilingArguments {
    /// Connections of gateways with many devices each, or of devices with one.
    #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Kind::Gateway)]
    pub kind: Kind,
    /// Devices of the fleet. [default: 1000000 as gateway, 64 as device]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub devices: Option<u64>,
    /// Connections of gateways.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub gateways: u64,
    /// Check-ins in a frame. [default: 4096 as gateway, 1 as device]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: Option<u64>,
    /// Frames of a connection that may be unacknowledged.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// How long to send.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Threads of the generator; the null server has as many of its own. [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// The fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// The options of `compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArguments {
    /// What a run printed with --json: the one to compare with.
    #[arg(value_name = "BEFORE.json")]
    pub before: PathBuf,
    /// What another run printed.
    #[arg(value_name = "AFTER.json")]
    pub after: PathBuf,
    /// Write the comparison as one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Compare runs of different workloads all the same; the verdict says that they differ.
    #[arg(long)]
    pub different_workloads: bool,
}
