//! The options of the peers that behave badly on purpose.

use std::{net::SocketAddr, path::PathBuf};

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;

use super::seconds;
use crate::error::RunError;

/// The options of `knock`.
#[derive(Debug, clap::Args)]
pub struct KnockArguments {
    /// UDP address of the server.
    #[arg(long, value_name = "IP:PORT")]
    pub target: SocketAddr,
    /// Handshakes to begin, as fast as it goes.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub attempts: u64,
    /// Print one JSON object on standard output instead of a sentence.
    #[arg(long)]
    pub json: bool,
    /// Allow a target that is not this machine.
    #[arg(long)]
    pub i_own_this_target: bool,
}

/// The options of `deaf`.
#[derive(Debug, clap::Args)]
pub struct DeafArguments {
    /// UDP address of the server.
    #[arg(long, value_name = "IP:PORT")]
    pub target: SocketAddr,
    /// Certificate of the authority that signed the server's.
    #[arg(long, value_name = "FILE")]
    pub ca: PathBuf,
    /// Directory with certificates of devices, as `muster pki issue` writes them.
    #[arg(long, value_name = "DIRECTORY")]
    pub identities: PathBuf,
    /// Tenant to send for.
    #[arg(long)]
    pub tenant: String,
    /// Connections, of a device each; there must be a certificate for each.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub connections: u64,
    /// Check-ins in a frame; each connection sends as many frames as the server lets it have unacknowledged.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=CHECK_INS_PER_FRAME_MAX as u64))]
    pub frame: u64,
    /// How long to stay, connecting included.
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

/// Holds a target to be this machine, or somebody's own.
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
