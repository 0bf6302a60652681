//! The configuration of a client: where the server is, who the client is, and its timeouts and limits.
//!
//! Bounds: values are checked once, by [`crate::Client::connect`] or [`crate::Connector::new`], before anything is
//! sent. What it does not do: read configuration files or environment variables; that is up to the agent.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crate::error::ClientError;

/// A longer timeout has no effect: the server closes a silent connection earlier.
const IDLE_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// PEM text, or the file that contains it. Debug output never shows the text, which may contain a private key.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file, read when the client connects.
    File(PathBuf),
    /// The text itself.
    Text(Vec<u8>),
}

impl fmt::Debug for Pem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(out, "File({})", path.display()),
            Self::Text(text) => write!(out, "Text({} bytes)", text.len()),
        }
    }
}

impl Pem {
    /// A file that contains PEM text.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// PEM text.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into())
    }
}

/// The configuration of a client; [`ClientConfig::new`] sets the defaults.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The server's UDP address.
    pub server: SocketAddr,
    /// The name that the server's certificate must contain. Default: the IP address of `server`.
    pub server_name: String,
    /// The certificate authorities that may sign the server's certificate. No others are trusted, not even those of
    /// the operating system.
    pub ca: Pem,
    /// The client's certificate and private key in one PEM text, as written by `muster pki issue`.
    pub identity: Pem,
    /// Whether to resume TLS sessions of earlier connections. A resumed handshake exchanges no certificates and costs
    /// 0.6 of a full one. Sessions are kept in memory by a [`crate::Connector`]. Default: true.
    pub resume: bool,
    /// Whether a resumed connection may carry a check-in as early data (0-RTT), one round trip before the handshake
    /// completes. The client sends it again if the server does not accept early data. An attacker who holds packets
    /// back can delay early data by up to a minute; replaying it has no effect. Default: true.
    pub early_data: bool,
    /// The maximum number of unacknowledged frames; the server may allow fewer. Frames are kept until they are
    /// acknowledged, so this bounds the memory of a client: 64 frames (the default) of 4096 check-ins take 12 MiB, of
    /// one check-in 4 KiB. At least 1.
    pub window_frames: u16,
    /// The connection counts as lost after this long without a packet from the server, or earlier if the server asks
    /// for less. QUIC acknowledges packets even while the server cannot acknowledge frames, so this is how fast the
    /// client notices a crash. More than zero, at most 10 minutes. Default: 10 s.
    pub idle_timeout: Duration,
    /// How often to send a keep-alive packet on an idle connection; less than `idle_timeout`. Default: never. An idle
    /// connection then closes, and the next frame opens a new one.
    pub keep_alive_interval: Option<Duration>,
    /// The longest delay before the first reconnect attempt; it doubles with every further attempt. The delay is
    /// random between zero and this value (full jitter), so that a fleet does not reconnect all at once. More than
    /// zero. Default: 100 ms.
    pub backoff_min: Duration,
    /// The upper limit of the doubled delay. Default: 60 s.
    pub backoff_max: Duration,
    /// The timeout of one connection attempt, up to the server's Hello. Default: 10 s.
    pub handshake_timeout: Duration,
    /// How long to keep trying to connect or reconnect before the client ends with [`ClientError::Unreachable`].
    /// Default: forever.
    pub offline_timeout: Option<Duration>,
    /// How long [`crate::Client::close`] waits for the last acks. Default: 10 s.
    pub close_timeout: Duration,
    /// The capacity of [`crate::Rejections`]; rejections beyond it are only counted. At least 1. Default: 1024.
    pub rejections_max: usize,
}

impl ClientConfig {
    /// A configuration for this server, certificate authority and identity, with the defaults for everything else.
    pub fn new(server: SocketAddr, ca: Pem, identity: Pem) -> Self {
        Self {
            server,
            server_name: server.ip().to_string(),
            ca,
            identity,
            resume: true,
            early_data: true,
            window_frames: 64,
            idle_timeout: Duration::from_secs(10),
            keep_alive_interval: None,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            offline_timeout: None,
            close_timeout: Duration::from_secs(10),
            rejections_max: 1024,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ClientError> {
        let keep_alive_is_late = self
            .keep_alive_interval
            .is_some_and(|interval| interval >= self.idle_timeout);
        let problem = if self.window_frames == 0 {
            "window_frames must be at least 1"
        } else if self.rejections_max == 0 {
            "rejections_max must be at least 1"
        } else if self.backoff_min.is_zero() {
            "backoff_min must be more than zero, or a server that refuses connections causes a busy loop"
        } else if self.backoff_min > self.backoff_max {
            "backoff_min must not be more than backoff_max"
        } else if self.handshake_timeout.is_zero() {
            "handshake_timeout must be more than zero"
        } else if self.idle_timeout.is_zero() || self.idle_timeout > IDLE_TIMEOUT_MAX {
            "idle_timeout must be more than zero and at most 10 minutes"
        } else if keep_alive_is_late {
            "keep_alive_interval must be less than idle_timeout"
        } else {
            return Ok(());
        };
        Err(ClientError::Configuration(problem.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> ClientConfig {
        let server = SocketAddr::from(([127, 0, 0, 1], 4433));
        ClientConfig::new(server, Pem::file("ca.pem"), Pem::text("secret"))
    }

    #[test]
    fn defaults_are_valid_and_use_the_address_as_the_server_name() {
        assert!(config().check().is_ok());
        assert_eq!(config().server_name, "127.0.0.1");
    }

    #[test]
    fn values_out_of_range_are_rejected() {
        let changes: [fn(&mut ClientConfig); 8] = [
            |config| config.window_frames = 0,
            |config| config.rejections_max = 0,
            |config| config.backoff_min = Duration::ZERO,
            |config| config.backoff_max = Duration::from_millis(1),
            |config| config.handshake_timeout = Duration::ZERO,
            |config| config.idle_timeout = Duration::ZERO,
            |config| config.idle_timeout = Duration::from_secs(601),
            |config| config.keep_alive_interval = Some(Duration::from_secs(10)),
        ];
        for change in changes {
            let mut config = config();
            change(&mut config);
            assert!(
                matches!(config.check(), Err(ClientError::Configuration(_))),
                "{config:?}"
            );
        }
    }

    #[test]
    fn debug_output_does_not_show_the_private_key() {
        assert!(!format!("{:?}", config()).contains("secret"));
    }
}
