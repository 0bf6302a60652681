//! The options of misbehaving clients.

use std::{net::SocketAddr, path::PathBuf};

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use super::parse_seconds;
use crate::error::RunError;

/// The options of `handshake-flood`.
#[derive(Debug, clap::Args)]
pub struct HandshakeFloodArguments {
    /// UDP address of the server. If a name has IPv4 and IPv6 addresses, IPv4 is used.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::parse_target)]
    pub target: SocketAddr,
    /// Handshakes to start, as fast as possible.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub attempts: u64,
    /// Print one JSON object on standard output instead of a sentence.
    #[arg(long)]
    pub json: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
}

/// The options of `non-reading`.
#[derive(Debug, clap::Args)]
pub struct NonReadingArguments {
    /// UDP address of the server. If a name has IPv4 and IPv6 addresses, IPv4 is used.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::parse_target)]
    pub target: SocketAddr,
    /// CA certificate that signed the server's certificate.
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// Directory with device certificates, as written by `muster pki issue`.
    #[arg(long, value_name = "DIRECTORY")]
    pub identities: PathBuf,
    /// Tenant of the devices.
    #[arg(long)]
    pub tenant: String,
    /// Number of connections, with one device each; the directory must have a certificate for each.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub connections: u64,
    /// Check-ins per frame. Each connection sends as many frames as the server's window allows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: u64,
    /// How long to run, including the time to connect.
    #[arg(long, value_parser = parse_seconds)]
    pub seconds: f64,
    /// Seed of the fleet; the same seed gives the same fleet.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object on standard output instead of a sentence.
    #[arg(long)]
    pub json: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
}

/// Refuses a target that is neither this machine nor the caller's own.
///
/// # Errors
/// [`RunError::Usage`].
pub fn check_target(target: SocketAddr, is_own: bool) -> Result<(), RunError> {
    if target.ip().is_loopback() || is_own {
        return Ok(());
    }
    Err(RunError::Usage(format!(
        "{target} is not this machine, and a load test of a server that you do not own is an attack; \
         pass --i-own-this-target if it is yours"
    )))
}
