//! The options that all workloads have in common: which server, which fleet, what to write.

use std::{net::SocketAddr, path::PathBuf};

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use super::{check_target, fraction};
use muster_testkit::{fleet::Shape, identities::Kind};

use crate::error::RunError;

/// Which server, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub struct EnvironmentArguments {
    /// UDP address of the server. A name that has addresses of both families is used with its IPv4 address.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::target)]
    pub target: SocketAddr,
    /// HTTP endpoint of the server for operators; only --no-verify goes without.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::ops_url, required_unless_present = "no_verify")]
    pub ops: Option<String>,
    /// Certificate of the authority that signed the server's.
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// Directory with certificates of gateways or devices, as `muster pki issue` writes them.
    #[arg(long, value_name = "DIRECTORY")]
    pub identities: PathBuf,
    /// Tenant to send for.
    #[arg(long)]
    pub tenant: String,
    /// Process of the server, to report its memory and the core time it used.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Threads of the generator. [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Send only; compare nothing.
    #[arg(long)]
    pub no_verify: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
}

/// Which fleet, on which connections.
#[derive(Debug, Clone, clap::Args)]
pub struct FleetArguments {
    /// Many devices on each connection, or one connection for each device.
    #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Kind::Gateway)]
    pub kind: Kind,
    /// Devices of the fleet. As devices there must be a certificate for each.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub devices: u64,
    /// As gateway: so many of the devices connect by themselves, side by side with the gateways.
    #[arg(long, default_value_t = 0)]
    pub direct: u64,
    /// Connections of gateways; they share the certificates found. [default: 2]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub gateways: Option<u64>,
    /// Check-ins in a frame. [default: 4096 as gateway, 1 as device]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: Option<u64>,
    /// Frames of a connection that may be unacknowledged; the server may allow fewer.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// The fleet; the same seed is the same fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Check-ins before which a device changes, mostly its risk, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.02, value_parser = fraction)]
    pub churn: f64,
    /// Devices that send an inventory first, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub inventory: f64,
}

/// What to write.
#[derive(Debug, Clone, clap::Args)]
pub struct OutputArguments {
    /// Print one JSON object on standard output instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Write a page with charts: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write all latencies as an HdrHistogram log, a line for each second, in microseconds.
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
}

impl FleetArguments {
    /// The fleet that is asked for, without disorder.
    pub const fn shape(&self) -> Shape {
        Shape {
            seed: self.seed,
            churn: self.churn,
            duplicates: 0.0,
            reorder: 0.0,
            inventory: self.inventory,
        }
    }

    /// Check-ins in a frame.
    pub fn frame(&self) -> usize {
        let default = match self.kind {
            Kind::Gateway => CHECK_INS_PER_FRAME_MAX,
            Kind::Device => 1,
        };
        self.frame
            .and_then(|frame| usize::try_from(frame).ok())
            .unwrap_or(default)
    }

    /// Connections of gateways.
    pub fn gateways(&self) -> u64 {
        match self.kind {
            // The fewest that show devices spread over several, and enough for two cores.
            Kind::Gateway => self
                .gateways
                .unwrap_or_else(|| 2.min(self.devices - self.direct)),
            Kind::Device => 0,
        }
    }

    /// Devices with a connection of their own.
    pub const fn direct(&self) -> u64 {
        match self.kind {
            Kind::Gateway => self.direct,
            Kind::Device => self.devices,
        }
    }

    /// Holds what one option alone cannot tell.
    ///
    /// # Errors
    /// [`RunError::Usage`].
    pub fn check(&self) -> Result<(), RunError> {
        let usage = |text: &str| Err(RunError::Usage(text.to_owned()));
        let is_gateway = self.kind == Kind::Gateway;
        if is_gateway && self.direct >= self.devices {
            return usage("--direct leaves the gateways no device");
        }
        if is_gateway && self.gateways() > self.devices - self.direct {
            return usage("there are more gateways than devices for them");
        }
        if !is_gateway && (self.gateways.is_some() || self.direct > 0) {
            return usage("--gateways and --direct go with --as gateway only");
        }
        Ok(())
    }
}

impl EnvironmentArguments {
    /// Holds the target to be this machine, or somebody's own.
    ///
    /// # Errors
    /// [`RunError::Usage`].
    pub fn check(&self) -> Result<(), RunError> {
        check_target(self.target, self.i_own_this_target)
    }
}
