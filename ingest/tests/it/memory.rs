//! What a connection costs the server in memory, measured: the figures behind `ingest/src/memory.rs`.
//!
//! Ignored, because each takes half a minute and says nothing of right or wrong; scripts/connections runs
//! them, docs/BENCHMARKS.md has what they printed. They hold all the same what `memory.rs` assumes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use muster_ingest::memory::{CONNECTION_IDLE, HANDSHAKE};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};

use crate::harness::*;

/// Enough that pages of the allocator and buffers that all share do not show.
const CONNECTIONS: u64 = 2_000;

/// Nobody leaves by himself. Retry is asked for from half of the handshakes on, so there is room for twice as many.
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

/// Prints and judges what so many more connections have cost.
#[track_caller]
fn judge(what: &str, before: u64, after: u64, assumed: u64) {
    let each = after.saturating_sub(before) / CONNECTIONS;
    eprintln!(
        "{CONNECTIONS} {what}: {before} B, then {after} B: {each} B each, {assumed} B assumed"
    );
    assert!(each > 0, "nothing was measured");
    assert!(each <= assumed, "{each} B each, {assumed} B assumed");
}

/// A client that keeps its connections for as long as the server does.
fn config(pki: &Pki, credentials: &Credentials) -> quinn::ClientConfig {
    let tls = QuicClientConfig::try_from(client_tls(pki, credentials)).expect("TLS 1.3");
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    let mut transport = quinn::TransportConfig::default();
    transport.max_idle_timeout(None);
    config.transport_config(Arc::new(transport));
    config
}

/// A device that has checked in and got its ack, all by one socket of one process.
async fn checked_in(
    endpoint: &Endpoint,
    server: SocketAddr,
    config: quinn::ClientConfig,
    number: u64,
) -> (Connection, SendStream, RecvStream) {
    let connecting = endpoint.connect_with(config, server, "localhost");
    let connection = connecting.expect("settings").await.expect("it connects");
    let (mut send, mut receive) = connection.open_bi().await.expect("one stream");
    let check_in = random_check_in(&mut Random::new(number % 100, 0), device(number), 1);
    send.write_all(&hello(1, 1)).await.expect("it is read");
    send.write_all(&frame(&[check_in]))
        .await
        .expect("it is read");
    // The Hello of the server and its ack: headers of 8 bytes before 32 and 48.
    let mut said = [0; 8 + 32 + 8 + 48];
    receive.read_exact(&mut said).await.expect("an ack");
    (connection, send, receive)
}

#[test]
#[ignore = "a measurement"]
fn memory_of_an_idle_connection() {
    let (place, server) = start();
    let endpoint = wait(async { Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()) });
    let endpoint = endpoint.expect("a socket");
    let connect = |numbers: std::ops::Range<u64>| -> Vec<_> {
        let one = |number| {
            let credentials = place.pki.device("contoso", device(number));
            let config = config(&place.pki, &credentials);
            wait(checked_in(&endpoint, server.quic, config, number))
        };
        numbers.map(one).collect()
    };
    // The first touch what all of them share.
    let first = connect(0..100);
    let before = resident(&server);
    let idle = connect(100..100 + CONNECTIONS);
    let sessions = (first.len() + idle.len()) as u64;
    assert_eq!(server.ops.sessions(), sessions);
    judge(
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
    let endpoint = endpoint.expect("a socket");
    let credentials = place.pki.device("contoso", device(1));
    // Nothing comes back: every handshake stays at the first answer, with all that the server keeps to send it again.
    let one_way = Relay::before(server.quic, 0);
    let mut under_way = Vec::new();
    let mut begin = |count: u64| {
        // Few at a time, so that no socket overflows: what is lost would only come later.
        for _ in 0..count {
            let config = config(&place.pki, &credentials);
            let dialled =
                wait(async { endpoint.connect_with(config, one_way.address, "localhost") });
            under_way.push(dialled.expect("settings"));
            let wanted = under_way.len() as f64;
            if under_way.len() % 50 == 0 {
                eventually("the handshakes are under way", || {
                    let now = server.ops.metrics().get("muster_net_handshakes");
                    (now == wanted).then_some(())
                });
            }
        }
    };
    begin(100);
    let before = resident(&server);
    begin(CONNECTIONS);
    judge("handshakes under way", before, resident(&server), HANDSHAKE);
}
