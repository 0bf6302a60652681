//! The options of misbehaving peers.

use std::{net::SocketAddr, path::PathBuf};

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use super::seconds;
use crate::error::RunError;

/// The options of `handshake-flood`.
#[derive(Debug, clap::Args)]
pub struct HandshakeFloodArguments {
    /// UDP address of the server. A name that has addresses of both families is used with its IPv4 address.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::target)]
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
    /// UDP address of the server. A name that has addresses of both families is used with its IPv4 address.
    #[arg(long, value_name = "HOST:PORT", value_parser = super::target)]
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
    /// Number of connections, one device each; the directory must have a certificate for each.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub connections: u64,
    /// Check-ins in a frame. Each connection sends as many frames as the server's window allows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: u64,
    /// How long the devices stay connected, including the time to connect.
    #[arg(long, value_parser = seconds)]
    pub seconds: f64,
    /// The fleet; the same seed is the same fleet.
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
        "{target} is not this machine; a load test of somebody else's server is an attack. \
         Pass --i-own-this-target if it is yours"
    )))
}
