//! What a client is told: where the server is, who the client is, and how patient to be.
//!
//! Bounds: the ranges are checked once, by [`crate::Client::connect`], before anything is sent.
//! What it does not do: no files of settings and no environment; an agent has its own.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use crate::error::ClientError;

/// Longer silence helps nobody: the server drops the connection before.
const IDLE_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// PEM text, or the file that holds it. Debug output never shows the text, which may be a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The file to read at connect.
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
    /// A file that holds PEM text.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// PEM text.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Text(text.into())
    }
}

/// The settings of a client. [`ClientConfig::new`] fills in every default.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The server's UDP address.
    pub server: SocketAddr,
    /// The name the server's certificate must carry. Default: the IP address of `server`.
    pub server_name: String,
    /// The authorities that may sign the server's certificate; no other is trusted, those of the
    /// operating system included.
    pub ca: Pem,
    /// The client's certificate and its private key in one text, as `muster pki issue` writes them.
    pub identity: Pem,
    /// Whether a connection may begin with the TLS session of an earlier one: without certificates, at 0.6
    /// of the cost. Sessions are kept in memory, by [`crate::Connector`]. Default: yes.
    pub resume: bool,
    /// Whether a connection that resumes a session says what it has to say with its first packet (early data, 0-RTT),
    /// a round trip before the handshake is complete. What the server cannot take that early is said again. Whoever
    /// can hold packets back can let it arrive a minute late; twice it does not count. Default: yes.
    pub early_data: bool,
    /// Frames that may be sent and not yet acknowledged, at most; the server may allow fewer. They
    /// are kept for a resend, so this bounds the memory of a client: 64 frames (the default) of
    /// 4096 check-ins are 12 MiB, of one check-in 4 KiB. At least 1.
    pub window_frames: u16,
    /// Silence of the server after which a connection counts as lost; the server may ask for less.
    /// A server that is alive answers at once, even one that cannot acknowledge yet, so this is how
    /// fast a crash is noticed. Default: 10 s.
    pub idle_timeout: Duration,
    /// Send something this often, so that a connection without check-ins stays open. Default: not
    /// at all; a lost connection is opened again when there is something to send.
    pub keep_alive: Option<Duration>,
    /// The longest wait before the first attempt after a loss, doubled by every further one. The
    /// wait is drawn between zero and that (full jitter), so that a fleet does not return at once.
    /// Default: 100 ms.
    pub back_off_min: Duration,
    /// Where the doubling ends. Default: 60 s.
    pub back_off_max: Duration,
    /// How long one attempt to connect may take, up to the server's Hello. Default: 10 s.
    pub handshake_timeout: Duration,
    /// How long the client may be without a connection while it needs one, before it gives up with
    /// [`ClientError::Unreachable`]. Default: forever.
    pub offline_max: Option<Duration>,
    /// How long [`crate::Client::close`] waits for the last acknowledgements. Default: 10 s.
    pub close_timeout: Duration,
    /// Rejections kept for [`crate::Rejections`]; further ones are only counted. Default: 1024. At
    /// least 1.
    pub rejections_max: usize,
}

impl ClientConfig {
    /// The default settings for this server, its authority and this identity.
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
            keep_alive: None,
            back_off_min: Duration::from_millis(100),
            back_off_max: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            offline_max: None,
            close_timeout: Duration::from_secs(10),
            rejections_max: 1024,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ClientError> {
        let fault = if self.window_frames == 0 {
            "window_frames is 0"
        } else if self.rejections_max == 0 {
            "rejections_max is 0"
        } else if self.back_off_min.is_zero() {
            "back_off_min is 0, which would make a busy loop of a server that refuses"
        } else if self.back_off_min > self.back_off_max {
            "back_off_min is above back_off_max"
        } else if self.handshake_timeout.is_zero() {
            "handshake_timeout is 0"
        } else if self.idle_timeout.is_zero() || self.idle_timeout > IDLE_TIMEOUT_MAX {
            "idle_timeout is not between 0 and 10 minutes"
        } else if self
            .keep_alive
            .is_some_and(|interval| interval >= self.idle_timeout)
        {
            "keep_alive is not below idle_timeout, so it would keep nothing alive"
        } else {
            return Ok(());
        };
        Err(ClientError::Configuration(fault.to_owned()))
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
    fn defaults_are_valid_and_name_the_server_by_address() {
        assert!(config().check().is_ok());
        assert_eq!(config().server_name, "127.0.0.1");
    }

    #[test]
    fn values_that_cannot_work_are_refused() {
        let changes: [fn(&mut ClientConfig); 8] = [
            |config| config.window_frames = 0,
            |config| config.rejections_max = 0,
            |config| config.back_off_min = Duration::ZERO,
            |config| config.back_off_max = Duration::from_millis(1),
            |config| config.handshake_timeout = Duration::ZERO,
            |config| config.idle_timeout = Duration::ZERO,
            |config| config.idle_timeout = Duration::from_secs(601),
            |config| config.keep_alive = Some(Duration::from_secs(10)),
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
    fn debug_output_hides_the_key() {
        assert!(!format!("{:?}", config()).contains("secret"));
    }
}
