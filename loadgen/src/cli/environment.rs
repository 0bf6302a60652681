//! The options that all workloads share: the server, the fleet, and the output.

use std::{net::SocketAddr, path::PathBuf};

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use super::{check_target, parse_fraction};
use muster_testkit::{fleet::Shape, identities::Kind};

use crate::error::RunError;

/// The server, and the identities to connect with.
#[derive(Debug, Clone, clap::Args)]
pub struct EnvironmentArguments {
    /// UDP address of the server. If a name has IPv4 and IPv6 addresses, IPv4 is used.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::parse_target)]
    pub target: SocketAddr,
    /// HTTP address of the server's operations endpoint (ops.address); required unless --no-verify is given.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::parse_ops_url, required_unless_present = "no_verify")]
    pub ops: Option<String>,
    /// CA certificate that signed the server's certificate.
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// Directory with certificates of gateways or devices, as written by `muster pki issue`.
    #[arg(long, value_name = "DIRECTORY")]
    pub identities: PathBuf,
    /// Tenant of the fleet.
    #[arg(long)]
    pub tenant: String,
    /// Process id of the server, to report its memory and CPU time.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Threads of the generator. [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Send only; do not compare counts.
    #[arg(long)]
    pub no_verify: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
}

/// The fleet and its connections.
#[derive(Debug, Clone, clap::Args)]
pub struct FleetArguments {
    /// Many devices on each connection, or one connection per device.
    #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Kind::Gateway)]
    pub kind: Kind,
    /// Devices of the fleet. With --as device, each needs a certificate.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub devices: u64,
    /// With --as gateway: how many of the devices connect directly instead of through a gateway.
    #[arg(long, default_value_t = 0)]
    pub direct: u64,
    /// Number of gateway connections. They share the certificates found. [default: 2]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub gateways: Option<u64>,
    /// Check-ins per frame. [default: 4096 as gateway, 1 as device]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: Option<u64>,
    /// Maximum number of unacknowledged frames of a connection; the server may allow fewer.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// Seed of the fleet; the same seed gives the same fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Fraction of check-ins before which the device changes its state, mostly its risk.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.02, value_parser = parse_fraction)]
    pub churn: f64,
    /// Fraction of devices that send an inventory before their check-ins.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = parse_fraction)]
    pub inventory: f64,
}

/// The output.
#[derive(Debug, Clone, clap::Args)]
pub struct OutputArguments {
    /// Print one JSON object on standard output instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Write an HTML report with charts, as a single self-contained file.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write all latencies as an HdrHistogram log, one line per second, in microseconds.
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
}

impl FleetArguments {
    /// The parameters of the fleet, without duplicates or reordering.
    pub const fn shape(&self) -> Shape {
        Shape {
            seed: self.seed,
            churn: self.churn,
            duplicates: 0.0,
            reorder: 0.0,
            inventory: self.inventory,
        }
    }

    /// Check-ins per frame.
    pub fn frame(&self) -> usize {
        let default = match self.kind {
            Kind::Gateway => CHECK_INS_PER_FRAME_MAX,
            Kind::Device => 1,
        };
        self.frame
            .and_then(|frame| usize::try_from(frame).ok())
            .unwrap_or(default)
    }

    /// The number of gateway connections.
    pub fn gateways(&self) -> u64 {
        match self.kind {
            // The minimum that spreads devices over several connections, and enough for two cores.
            Kind::Gateway => self
                .gateways
                .unwrap_or_else(|| 2.min(self.devices - self.direct)),
            Kind::Device => 0,
        }
    }

    /// The number of devices with their own connection.
    pub const fn direct(&self) -> u64 {
        match self.kind {
            Kind::Gateway => self.direct,
            Kind::Device => self.devices,
        }
    }

    /// Checks constraints between options.
    ///
    /// # Errors
    /// [`RunError::Usage`].
    pub fn check(&self) -> Result<(), RunError> {
        let usage = |text: &str| Err(RunError::Usage(text.to_owned()));
        let is_gateway = self.kind == Kind::Gateway;
        if is_gateway && self.direct >= self.devices {
            return usage("--direct leaves no device for the gateways");
        }
        if is_gateway && self.gateways() > self.devices - self.direct {
            return usage("there are more gateways than devices behind them");
        }
        if !is_gateway && (self.gateways.is_some() || self.direct > 0) {
            return usage("--gateways and --direct require --as gateway");
        }
        Ok(())
    }
}

impl EnvironmentArguments {
    /// Checks that the target is this machine, or that the caller owns it.
    ///
    /// # Errors
    /// [`RunError::Usage`].
    pub fn check(&self) -> Result<(), RunError> {
        check_target(self.target, self.i_own_this_target)
    }
}
