//! A flood of handshakes that are begun and never gone on with.
//!
//! Each attempt is the first packet of a QUIC connection of its own, with keys and ids of its own, as a client
//! would send it; then the connection is forgotten. A second thread looks at what comes back: by the first
//! answer, each attempt was asked to retry, refused, taken up, or not answered at all. So a server's accounts
//! can be compared with what was offered.
//!
//! Bounds: a byte for each attempt, one connection at a time. One socket, so one address: this floods the
//! handshakes of a server, not its table of addresses. What it does not do: prove its address, or decrypt an
//! answer.

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
    cli::{KnockArguments, check_target},
    error::RunError,
};

mod answer;

use answer::{Answer, Answers, ID_BYTES};

/// Silence after which no further answer is waited for.
const QUIET: Duration = Duration::from_secs(2);

/// Larger than any datagram that QUIC sends on a path it does not know yet.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// What became of the attempts. Each is in one of the accounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knocks {
    /// Handshakes begun.
    pub attempts: u64,
    /// Asked to prove the address.
    pub retries: u64,
    /// Refused.
    pub refusals: u64,
    /// Taken up: the server went on with its part.
    pub taken_up: u64,
    /// Not answered: dropped on the way, or not answered in time.
    pub unanswered: u64,
    /// From the first packet to the last.
    pub seconds: f64,
}

impl Knocks {
    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "attempts": self.attempts,
            "retries": self.retries,
            "refusals": self.refusals,
            "taken_up": self.taken_up,
            "unanswered": self.unanswered,
            "seconds": self.seconds,
        })
    }

    /// The sentence for people.
    pub fn to_text(&self) -> String {
        format!(
            "{} handshakes begun in {:.3} s: {} asked to retry, {} refused, {} taken up, {} not answered",
            self.attempts,
            self.seconds,
            self.retries,
            self.refusals,
            self.taken_up,
            self.unanswered,
        )
    }
}

/// Begins handshakes, and waits until the server is quiet.
///
/// # Errors
/// [`RunError::Usage`] for a target elsewhere, [`RunError::Internal`] if nothing can be sent.
pub fn knock(arguments: &KnockArguments) -> Result<Knocks, RunError> {
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
        let ended = || RunError::Internal("the listener ended early".to_owned());
        let answers = listener.join().map_err(|_| ended())?;
        Ok::<_, RunError>((sent?, answers))
    })?;
    let (retries, refusals, taken_up) = (
        answers.count(Answer::Retry),
        answers.count(Answer::Refusal),
        answers.count(Answer::TakenUp),
    );
    Ok(Knocks {
        attempts: arguments.attempts,
        retries,
        refusals,
        taken_up,
        unanswered: arguments.attempts - retries - refusals - taken_up,
        seconds,
    })
}

/// Sends the first packet of each attempt; returns how long that took.
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

/// Takes in answers until all was sent and nothing comes any more.
fn listen(
    socket: &UdpSocket,
    target: SocketAddr,
    attempts: u64,
    is_sending: &AtomicBool,
) -> Answers {
    let mut answers = Answers::of(attempts);
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    loop {
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) if from == target => answers.note(&datagram[..length]),
            Ok(_) => {}
            Err(error) if is_timeout(error.kind()) => {
                if !is_sending.load(Ordering::Relaxed) {
                    return answers;
                }
            }
            // Whatever else a socket without a connection says, it is about a packet before.
            Err(_) if is_sending.load(Ordering::Relaxed) => {}
            Err(_) => return answers,
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn internal(error: impl std::fmt::Display) -> RunError {
    RunError::Internal(format!("no handshake can be begun: {error}"))
}

/// Nobody is trusted, and no certificate shown: no handshake comes that far.
fn client_config() -> Result<ClientConfig, RunError> {
    let provider = CryptoProvider {
        // One short key, so that an attempt is one packet.
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
    config.cid_generator(move || Box::new(Numbers(Arc::clone(&numbers))));
    config
}

/// Gives each connection its number for an id, by which its answer is known again.
struct Numbers(Arc<AtomicU64>);

impl ConnectionIdGenerator for Numbers {
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
