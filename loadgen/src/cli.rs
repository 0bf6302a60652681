//! The command line.
//!
//! What can be judged from the arguments alone is judged here; the rest is up to `run`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use crate::{error::RunError, fleet::Shape, identities::Kind};

mod rude;

pub use rude::{DeafArguments, KnockArguments, check_target};

const AFTER_HELP: &str = "\
Exit codes: 0 verified, 1 internal, 2 usage, 3 the tenant's settings rule a prediction out,
4 certificate or key unusable, 7 the server's counts differ, 8 server not reachable.";

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
    /// Measure how fast check-ins are made here, on one core and without a server.
    Rate(RateArguments),
    /// Begin handshakes and never go on with one, to see that a server refuses them politely.
    Knock(KnockArguments),
    /// Connect devices that send a window of frames and never read an ack.
    Deaf(DeafArguments),
}

/// The options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArguments {
    /// UDP address of the server.
    #[arg(long, value_name = "IP:PORT")]
    pub target: SocketAddr,
    /// HTTP endpoint of the server for operators; only --no-verify goes without.
    #[arg(long, value_name = "URL", required_unless_present = "no_verify")]
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
    /// Many devices on each connection, or one connection for each device.
    #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Kind::Gateway)]
    pub kind: Kind,
    /// Devices of the fleet. As devices there must be a certificate for each.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub devices: u64,
    /// As gateway: so many of the devices connect by themselves, side by side with the gateways.
    #[arg(long, default_value_t = 0)]
    pub direct: u64,
    /// Check-ins to send in all, duplicates included; at most so many with --seconds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub check_ins: u64,
    /// Connections of gateways; they share the certificates found. [default: 2]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub gateways: Option<u64>,
    /// Check-ins in a frame. [default: 4096 as gateway, 1 as device]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: Option<u64>,
    /// Frames of a connection that may be unacknowledged; the server may allow fewer.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub window: u16,
    /// Check-ins a second, on a fixed schedule (open loop). [default: as many as the server takes]
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Make no check-ins after so many seconds. Frames made by then are still sent and awaited; what
    /// --rate had due and the server's pressure kept from being made is reported as held back.
    /// [default: until all were sent]
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// The fleet; the same seed is the same fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Check-ins that are sent twice, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub duplicates: f64,
    /// Check-ins that are overtaken by the next one of their device, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub reorder: f64,
    /// Check-ins before which a device changes, mostly its risk, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.02, value_parser = fraction)]
    pub churn: f64,
    /// Devices that send an inventory first, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub inventory: f64,
    /// Process of the server, to report its memory.
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Threads of the generator. [default: one for each core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print one JSON object on standard output instead of tables.
    #[arg(long)]
    pub json: bool,
    /// Send only; compare nothing.
    #[arg(long)]
    pub no_verify: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
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
            seed: self.seed,
            churn: self.churn,
            duplicates: self.duplicates,
            reorder: self.reorder,
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
        let usage = |text: String| Err(RunError::Usage(text));
        check_target(self.target, self.i_own_this_target)?;
        if self.duplicates + self.reorder > 1.0 {
            return usage("--duplicates and --reorder together are above 1".to_owned());
        }
        let is_gateway = self.kind == Kind::Gateway;
        if is_gateway && self.direct >= self.devices {
            return usage("--direct leaves the gateways no device".to_owned());
        }
        if is_gateway && self.gateways() > self.devices - self.direct {
            return usage("there are more gateways than devices for them".to_owned());
        }
        if !is_gateway && (self.gateways.is_some() || self.direct > 0) {
            return usage("--gateways and --direct go with --as gateway only".to_owned());
        }
        Ok(())
    }
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

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        // A week is longer than any run, and far from what a clock cannot hold.
        Ok(value) if (0.001..=604_800.0).contains(&value) => Ok(value),
        _ => Err("it must be a number from 0.001 to 604800".to_owned()),
    }
}

#[cfg(test)]
mod tests;
