//! The options of the named workloads.

use super::{
    EnvironmentArguments, FleetArguments, OutputArguments, parse_compression, parse_fraction,
    parse_positive, parse_seconds,
};

/// The named workloads. Except for a fleet of new devices, each starts with a warm-up: every device checks in once.
#[derive(Debug, clap::Subcommand)]
pub enum Scenario {
    /// Normal load: every device checks in every 8 hours, or every 90 minutes if it is managed only by its sensor.
    Steady(Box<SteadyArguments>),
    /// New devices: many check-ins in the first minutes, fewer in the first hours, depending on the platform.
    EnrolmentStorm(Box<EnrolmentArguments>),
    /// All connections are lost, and all devices reconnect with a check-in each.
    ReconnectStorm(Box<ReconnectArguments>),
    /// A steady fleet in which a share is infected and reports high risk at once and then every 3 minutes until
    /// recovery.
    RiskOutbreak(Box<OutbreakArguments>),
    /// A tenant at a constant rate before, during and after the flood of another tenant.
    NoisyTenant(Box<NoisyArguments>),
}

/// The options that all scenarios share.
#[derive(Debug, Clone, clap::Args)]
pub struct CommonArguments {
    /// The server.
    #[command(flatten)]
    pub environment: EnvironmentArguments,
    /// The fleet.
    #[command(flatten)]
    pub fleet: FleetArguments,
    /// The output.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// The mapping of scenario time to wall clock time.
#[derive(Debug, Clone, clap::Args)]
pub struct TimingArguments {
    /// Seconds of scenario time per second of wall clock time; 1 is real time. The factor is part of the report.
    #[arg(long, value_name = "FACTOR", default_value_t = 480.0, value_parser = parse_compression)]
    pub compress: f64,
    /// How long a gateway with a check-in waits for further ones for the same frame, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub collect: u64,
}

/// The options of `scenario steady`.
#[derive(Debug, clap::Args)]
pub struct SteadyArguments {
    /// The shared options.
    #[command(flatten)]
    pub common: CommonArguments,
    /// The timing.
    #[command(flatten)]
    pub timing: TimingArguments,
    /// Duration of the scenario, in hours of scenario time.
    #[arg(long, default_value_t = 8.0, value_parser = parse_positive)]
    pub hours: f64,
}

/// The options of `scenario enrolment-storm`.
#[derive(Debug, clap::Args)]
pub struct EnrolmentArguments {
    /// The shared options.
    #[command(flatten)]
    pub common: CommonArguments,
    /// The timing.
    #[command(flatten)]
    pub timing: TimingArguments,
    /// Duration of the scenario, in hours of scenario time.
    #[arg(long, default_value_t = 3.0, value_parser = parse_positive)]
    pub hours: f64,
    /// Period in which all devices are enrolled, spread evenly, in minutes of scenario time.
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0, value_parser = parse_positive)]
    pub enrol_within: f64,
}

/// The options of `scenario reconnect-storm`.
#[derive(Debug, clap::Args)]
pub struct ReconnectArguments {
    /// The shared options.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Period in which all connections are reopened, spread evenly; 0 is all at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = parse_not_negative)]
    pub within: f64,
    /// Check-ins that each device sends after it reconnects.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub check_ins_each: u64,
}

/// The options of `scenario risk-outbreak`.
#[derive(Debug, clap::Args)]
pub struct OutbreakArguments {
    /// The shared options.
    #[command(flatten)]
    pub common: CommonArguments,
    /// The timing.
    #[command(flatten)]
    pub timing: TimingArguments,
    /// Duration of the scenario, in hours of scenario time.
    #[arg(long, default_value_t = 4.0, value_parser = parse_positive)]
    pub hours: f64,
    /// When the first device is infected, in minutes of scenario time.
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0, value_parser = parse_positive)]
    pub start: f64,
    /// Time from the first infection to the last, in minutes of scenario time.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0, value_parser = parse_positive)]
    pub spread: f64,
    /// Fraction of the devices that are infected.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.3, value_parser = parse_fraction)]
    pub share: f64,
    /// Time after which an infected device recovers, in minutes of scenario time.
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0, value_parser = parse_positive)]
    pub recovery: f64,
}

/// The options of `scenario noisy-tenant`. The tenant of --tenant is the quiet one.
#[derive(Debug, clap::Args)]
pub struct NoisyArguments {
    /// The shared options.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Tenant that floods the server; the directory of --identities must also hold certificates of its gateways.
    #[arg(long)]
    pub noisy: String,
    /// Devices of the tenant that floods.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub noisy_devices: u64,
    /// Connections of the tenant that floods; it sends full frames and keeps its windows full.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub noisy_gateways: u64,
    /// Check-ins per second that the quiet tenant sends.
    #[arg(long, default_value_t = 2000.0, value_parser = parse_positive)]
    pub rate: f64,
    /// Duration of each of the three parts: before, during and after the flood.
    #[arg(long, default_value_t = 10.0, value_parser = parse_seconds)]
    pub part_seconds: f64,
}

impl Scenario {
    /// The name on the command line and in reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Steady(_) => "steady",
            Self::EnrolmentStorm(_) => "enrolment-storm",
            Self::ReconnectStorm(_) => "reconnect-storm",
            Self::RiskOutbreak(_) => "risk-outbreak",
            Self::NoisyTenant(_) => "noisy-tenant",
        }
    }

    /// The shared options.
    pub const fn common(&self) -> &CommonArguments {
        match self {
            Self::Steady(arguments) => &arguments.common,
            Self::EnrolmentStorm(arguments) => &arguments.common,
            Self::ReconnectStorm(arguments) => &arguments.common,
            Self::RiskOutbreak(arguments) => &arguments.common,
            Self::NoisyTenant(arguments) => &arguments.common,
        }
    }
}

fn parse_not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        _ => Err("must be a number from 0 to 86400".to_owned()),
    }
}
