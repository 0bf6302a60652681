//! A flood of QUIC handshakes that are started and never completed.
//!
//! Each attempt sends the Initial packet of a new connection, with its own keys and connection id, and then forgets the
//! connection. A second thread classifies each attempt by the first datagram that comes back: asked to retry, refused,
//! continued by the server, or unanswered. The counts can be compared with the server's metrics.
//!
//! Bounds: one byte per attempt, one connection at a time. All attempts come from one socket, and so from one address:
//! this floods the server's handshakes, not its table of addresses. What it does not do: validate its address, or
//! decrypt an answer.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use muster_wire::ALPN;
use quinn_proto::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, EndpointEvent,
    crypto::rustls::QuicClientConfig,
};
use rustls::{
    RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    cli::{HandshakeFloodArguments, check_target},
    error::RunError,
};

mod answer;

use answer::{Answer, Answers, ID_BYTES};

/// How long to wait for further answers once the last attempt was sent.
const QUIET: Duration = Duration::from_secs(2);

/// Larger than any datagram that QUIC sends before it has discovered the path MTU.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// How the attempts were answered. Each attempt is counted once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FloodResult {
    /// Handshakes started.
    pub attempts: u64,
    /// Answered with Retry, to validate the address.
    pub retries: u64,
    /// Refused with CONNECTION_CLOSE.
    pub refusals: u64,
    /// Continued: the server sent its part of the handshake.
    pub continued: u64,
    /// Dropped, or not answered in time.
    pub unanswered: u64,
    /// Time from the first packet to the last.
    pub seconds: f64,
}

impl FloodResult {
    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "attempts": self.attempts,
            "retries": self.retries,
            "refusals": self.refusals,
            "continued": self.continued,
            "unanswered": self.unanswered,
            "seconds": self.seconds,
        })
    }

    /// The result as one sentence.
    pub fn to_text(&self) -> String {
        format!(
            "{} handshakes started in {:.3} s: {} answered with retry, {} refused, {} continued, {} unanswered",
            self.attempts,
            self.seconds,
            self.retries,
            self.refusals,
            self.continued,
            self.unanswered,
        )
    }
}

/// Starts the handshakes, and waits until the server sends no more answers.
///
/// # Errors
/// [`RunError::Usage`] for a target that is not this machine, [`RunError::Internal`] if packets cannot be sent.
pub fn run(arguments: &HandshakeFloodArguments) -> Result<FloodResult, RunError> {
    let target = arguments.target;
    check_target(target, arguments.i_own_this_target)?;
    let local: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).map_err(internal)?;
    socket.set_read_timeout(Some(QUIET)).map_err(internal)?;
    let is_sending = AtomicBool::new(true);
    let (seconds, answers) = thread::scope(|scope| {
        let listener = scope.spawn(|| listen(&socket, target, arguments.attempts, &is_sending));
        let sent = send(&socket, target, arguments.attempts);
        is_sending.store(false, Ordering::Relaxed);
        let answers = listener
            .join()
            .map_err(|_| RunError::Internal("the listener ended early".to_owned()))?;
        Ok::<_, RunError>((sent?, answers))
    })?;
    let (retries, refusals, continued) = (
        answers.count(Answer::Retry),
        answers.count(Answer::Refusal),
        answers.count(Answer::Continued),
    );
    Ok(FloodResult {
        attempts: arguments.attempts,
        retries,
        refusals,
        continued,
        unanswered: arguments.attempts - retries - refusals - continued,
        seconds,
    })
}

/// Sends the Initial packet of each attempt; returns how long that took.
fn send(socket: &UdpSocket, target: SocketAddr, attempts: u64) -> Result<f64, RunError> {
    let config = client_config()?;
    let mut endpoint = Endpoint::new(Arc::new(endpoint_config()), None, false, None);
    let mut packet = Vec::with_capacity(DATAGRAM_BYTES_MAX);
    let start = Instant::now();
    for _ in 0..attempts {
        let now = Instant::now().into_std();
        let (handle, mut connection) = endpoint
            .connect(now, config.clone(), target, "localhost")
            .map_err(internal)?;
        packet.clear();
        if let Some(transmit) = connection.poll_transmit(now, 1, &mut packet) {
            let bytes = packet.get(..transmit.size).unwrap_or(&packet);
            socket.send_to(bytes, target).map_err(internal)?;
        }
        endpoint.handle_event(handle, EndpointEvent::drained());
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Receives answers until all attempts were sent and no answer arrived for [`QUIET`].
fn listen(
    socket: &UdpSocket,
    target: SocketAddr,
    attempts: u64,
    is_sending: &AtomicBool,
) -> Answers {
    let mut answers = Answers::new(attempts);
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    loop {
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) if from == target => answers.record(&datagram[..length]),
            Ok(_) => {}
            Err(error) if is_timeout(error.kind()) => {
                if !is_sending.load(Ordering::Relaxed) {
                    return answers;
                }
            }
            // Other errors of an unconnected socket are about an earlier packet.
            Err(_) if is_sending.load(Ordering::Relaxed) => {}
            Err(_) => return answers,
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn internal(error: impl std::fmt::Display) -> RunError {
    RunError::Internal(format!("cannot start a handshake: {error}"))
}

/// Without root certificates and without a client certificate: no handshake gets that far.
fn client_config() -> Result<ClientConfig, RunError> {
    let provider = CryptoProvider {
        // The shortest key share, so that an attempt is one packet.
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(internal)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let quic = QuicClientConfig::try_from(tls).map_err(internal)?;
    Ok(ClientConfig::new(Arc::new(quic)))
}

fn endpoint_config() -> EndpointConfig {
    let numbers = Arc::new(AtomicU64::new(0));
    let mut config = EndpointConfig::default();
    config.cid_generator(move || Box::new(ConnectionNumbers(Arc::clone(&numbers))));
    config
}

/// Numbers the connections and uses the number as the connection id, which an answer repeats.
struct ConnectionNumbers(Arc<AtomicU64>);

impl ConnectionIdGenerator for ConnectionNumbers {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes())
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
