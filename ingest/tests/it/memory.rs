//! Measures the memory of a connection in the server: the figures in `ingest/src/memory.rs`.
//!
//! Ignored, because each takes half a minute and is a measurement; scripts/connections runs them, docs/BENCHMARKS.md
//! has their results. They fail if a figure in `memory.rs` is too low.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use muster_ingest::memory::{CONNECTION_IDLE, HANDSHAKE};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};

use crate::harness::*;

/// Enough to make pages of the allocator and shared buffers negligible.
const CONNECTIONS: u64 = 2_000;

/// No connection times out. From half of `handshakes_max` on clients get a Retry, so it is twice what is needed.
const LISTEN: &str = "handshakes_max = 8000\nhello_timeout = \"300s\"\nidle_timeout = \"600s\"";

fn start() -> (Installation, Server) {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        listen: LISTEN.to_owned(),
        ..Settings::default()
    });
    (place, server)
}

fn resident(server: &Server) -> u64 {
    let metrics = server.ops.metrics();
    metrics.get("muster_process_resident_memory_bytes") as u64
}

/// Prints the memory of each connection and compares it with the assumed figure.
#[track_caller]
fn check(what: &str, before: u64, after: u64, assumed: u64) {
    let each = after.saturating_sub(before) / CONNECTIONS;
    eprintln!(
        "{CONNECTIONS} {what}: {before} B, then {after} B: {each} B each, {assumed} B assumed"
    );
    assert!(each > 0, "nothing was measured");
    assert!(each <= assumed, "{each} B each, {assumed} B assumed");
}

/// A client whose connections have no idle timeout.
fn config(pki: &Pki, credentials: &Credentials) -> quinn::ClientConfig {
    let tls = QuicClientConfig::try_from(client_tls(pki, credentials)).expect("TLS 1.3");
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(None);
    config.transport_config(Arc::new(transport));
    config
}

/// Connects a device, sends a check-in and receives its ack, over the shared socket.
async fn checked_in(
    endpoint: &Endpoint,
    server: SocketAddr,
    config: quinn::ClientConfig,
    number: u64,
) -> (Connection, SendStream, RecvStream) {
    let connecting = endpoint.connect_with(config, server, "localhost");
    let connection = connecting
        .expect("the configuration is valid")
        .await
        .expect("the server accepts the connection");
    let (mut send, mut receive) = connection.open_bi().await.expect("one stream is allowed");
    let check_in = random_check_in(&mut Random::new(number % 100, 0), device(number), 1);
    send.write_all(&hello(1, 1))
        .await
        .expect("the connection is open");
    send.write_all(&frame(&[check_in]))
        .await
        .expect("the connection is open");
    // The server's Hello and Ack: headers of 8 bytes before 32 and 48.
    let mut replies = [0; 8 + 32 + 8 + 48];
    receive
        .read_exact(&mut replies)
        .await
        .expect("the server acknowledges the check-in");
    (connection, send, receive)
}

#[test]
#[ignore = "a measurement"]
fn memory_of_an_idle_connection() {
    let (place, server) = start();
    let endpoint = wait(async { Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()) });
    let endpoint = endpoint.expect("a socket can be opened");
    let connect = |numbers: std::ops::Range<u64>| -> Vec<_> {
        let one = |number| {
            let credentials = place.pki.device("contoso", device(number));
            let config = config(&place.pki, &credentials);
            wait(checked_in(&endpoint, server.quic, config, number))
        };
        numbers.map(one).collect()
    };
    // The first connections allocate the memory that all of them share.
    let first = connect(0..100);
    let before = resident(&server);
    let idle = connect(100..100 + CONNECTIONS);
    let sessions = (first.len() + idle.len()) as u64;
    assert_eq!(server.ops.sessions(), sessions);
    check(
        "idle connections",
        before,
        resident(&server),
        CONNECTION_IDLE,
    );
}

#[test]
#[ignore = "a measurement"]
fn memory_of_a_handshake_under_way() {
    let (place, server) = start();
    let endpoint = wait(async { Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()) });
    let endpoint = endpoint.expect("a socket can be opened");
    let credentials = place.pki.device("contoso", device(1));
    // Nothing is returned: every handshake stays at the server's first flight, which it keeps for retransmission.
    let one_way = Relay::start(server.quic, 0);
    let mut in_progress = Vec::new();
    let mut begin = |count: u64| {
        // A few at a time, so that no socket buffer overflows: lost packets would be retransmitted later.
        for _ in 0..count {
            let config = config(&place.pki, &credentials);
            let dialled =
                wait(async { endpoint.connect_with(config, one_way.address, "localhost") });
            in_progress.push(dialled.expect("the configuration is valid"));
            let wanted = in_progress.len() as f64;
            if in_progress.len() % 50 == 0 {
                eventually("the handshakes are in progress", || {
                    let now = server.ops.metrics().get("muster_net_handshakes");
                    (now == wanted).then_some(())
                });
            }
        }
    };
    begin(100);
    let before = resident(&server);
    begin(CONNECTIONS);
    check(
        "handshakes in progress",
        before,
        resident(&server),
        HANDSHAKE,
    );
}
