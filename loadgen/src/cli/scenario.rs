//! The options of the named workloads.

use super::{
    EnvironmentArguments, FleetArguments, OutputArguments, compression, fraction, positive, seconds,
};

/// The named workloads. Each settles its fleet first if the fleet is not new: every device checks in once, unmeasured.
#[derive(Debug, clap::Subcommand)]
pub enum Scenario {
    /// A fleet in its everyday: every device each 8 hours, those managed by their sensor alone each 90 minutes.
    Steady(Box<SteadyArguments>),
    /// New devices: many check-ins in the first minutes, fewer in the first hours, by platform.
    EnrolmentStorm(Box<EnrolmentArguments>),
    /// Every connection is cut, and all devices come back with a check-in each.
    ReconnectStorm(Box<ReconnectArguments>),
    /// A steady fleet, a share of which falls ill: high risk, told at once and every 3 minutes until it is well.
    RiskOutbreak(Box<OutbreakArguments>),
    /// A tenant on a schedule before, during and after the flood of another one.
    NoisyTenant(Box<NoisyArguments>),
}

/// What all of them have.
#[derive(Debug, Clone, clap::Args)]
pub struct CommonArguments {
    /// Which server.
    #[command(flatten)]
    pub environment: EnvironmentArguments,
    /// Which fleet.
    #[command(flatten)]
    pub fleet: FleetArguments,
    /// What to write.
    #[command(flatten)]
    pub output: OutputArguments,
}

/// How the time of a scenario passes.
#[derive(Debug, Clone, clap::Args)]
pub struct PassArguments {
    /// Seconds of the scenario that pass in one second of the clock; 1 is real time. The report says it.
    #[arg(long, value_name = "FACTOR", default_value_t = 480.0, value_parser = compression)]
    pub compress: f64,
    /// A gateway that has a check-in waits so long for others to go into the same frame, in milliseconds.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub collect: u64,
}

/// The options of `scenario steady`.
#[derive(Debug, clap::Args)]
pub struct SteadyArguments {
    /// What all have.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Its time.
    #[command(flatten)]
    pub pass: PassArguments,
    /// How long the scenario is, in hours of its own time.
    #[arg(long, default_value_t = 8.0, value_parser = positive)]
    pub hours: f64,
}

/// The options of `scenario enrolment-storm`.
#[derive(Debug, clap::Args)]
pub struct EnrolmentArguments {
    /// What all have.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Its time.
    #[command(flatten)]
    pub pass: PassArguments,
    /// How long the scenario is, in hours of its own time.
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    pub hours: f64,
    /// Within how many minutes of the scenario all devices are enrolled, evenly.
    #[arg(long, value_name = "MINUTES", default_value_t = 30.0, value_parser = positive)]
    pub enrol_within: f64,
}

/// The options of `scenario reconnect-storm`.
#[derive(Debug, clap::Args)]
pub struct ReconnectArguments {
    /// What all have.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Within how many seconds all connections come back, evenly; 0 is all at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = not_negative)]
    pub within: f64,
    /// Check-ins that each device has to say when it comes back.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub check_ins_each: u64,
}

/// The options of `scenario risk-outbreak`.
#[derive(Debug, clap::Args)]
pub struct OutbreakArguments {
    /// What all have.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Its time.
    #[command(flatten)]
    pub pass: PassArguments,
    /// How long the scenario is, in hours of its own time.
    #[arg(long, default_value_t = 4.0, value_parser = positive)]
    pub hours: f64,
    /// When the first device falls ill, in minutes of the scenario.
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0, value_parser = positive)]
    pub begins: f64,
    /// How long it takes until the last one has, in minutes of the scenario.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0, value_parser = positive)]
    pub spread: f64,
    /// How many devices fall ill.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.3, value_parser = fraction)]
    pub share: f64,
    /// After how many minutes of the scenario a device is well again.
    #[arg(long, value_name = "MINUTES", default_value_t = 60.0, value_parser = positive)]
    pub ill: f64,
}

/// The options of `scenario noisy-tenant`. The tenant of --tenant is the quiet one.
#[derive(Debug, clap::Args)]
pub struct NoisyArguments {
    /// What all have.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Tenant that floods; the directory of --identities must hold certificates of its gateways too.
    #[arg(long)]
    pub noisy: String,
    /// Devices of the tenant that floods.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub noisy_devices: u64,
    /// Connections of the tenant that floods, window and frames full.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub noisy_gateways: u64,
    /// Check-ins a second that the quiet tenant sends.
    #[arg(long, default_value_t = 2000.0, value_parser = positive)]
    pub rate: f64,
    /// How long each of the three parts is: before, during and after the flood.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
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

    /// What all have.
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

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        _ => Err("it must be a number from 0 to 86400".to_owned()),
    }
}
