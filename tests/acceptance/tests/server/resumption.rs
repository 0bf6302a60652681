//! Connections that resume the TLS session of an earlier one: they have the same rights as full handshakes and no more.
//! An expired certificate, a removed tenant and a restart apply to them too.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use muster_client::{ClientError, Connector, Endpoint};
use muster_wire::{CheckInRecord, CloseCode};
use serde_json::Value;

use crate::harness::*;

mod early_data;

const RESUMED: &str = "muster_net_handshakes_resumed_total";

const EARLY: &str = "muster_net_connections_early_total";

/// A client that opens a new connection for every check-in.
struct Visitor(Connector);

impl Visitor {
    fn new(server: &Server, pki: &Pki, credentials: &Credentials) -> Self {
        Self::through(server.quic, server, pki, credentials)
    }

    /// Connects to the server through a relay at this address.
    fn through(relay: SocketAddr, server: &Server, pki: &Pki, credentials: &Credentials) -> Self {
        let mut config = server.client_config(pki, credentials);
        config.server = relay;
        let endpoint =
            wait(async { Endpoint::for_server(config.server) }).expect("a socket can be opened");
        Self(Connector::new(&endpoint, config).expect("good credentials"))
    }

    fn check_in(&self, check_in: CheckInRecord) -> Result<muster_client::Progress, ClientError> {
        wait(self.0.check_in_once(&[check_in]))
    }
}

fn check_in(number: u64, seq: u64) -> CheckInRecord {
    random_check_in(&mut Random::new(number, 0), device(number), seq)
}

fn resumed(server: &Server) -> f64 {
    server.ops.metrics().get(RESUMED)
}

#[test]
fn a_returning_client_resumes_and_speaks_only_for_itself() {
    let place = Installation::new();
    let server = place.start();
    let visitor = Visitor::new(&server, &place.pki, &place.pki.device("contoso", device(1)));
    for seq in 1..=4 {
        let progress = visitor
            .check_in(check_in(1, seq))
            .expect("the server accepts the client");
        assert_eq!((progress.accepted, progress.frames_acked), (1, 1));
        assert_eq!(
            resumed(&server),
            (seq - 1) as f64,
            "all but the first resume"
        );
    }
    let progress = visitor
        .check_in(check_in(2, 5))
        .expect("the server accepts the client");
    assert_eq!((progress.accepted, progress.rejected), (0, 1));
    assert_eq!(resumed(&server), 4.0);
    assert_eq!(server.ops.seq("contoso", device(1)), 4);
    assert_eq!(server.ops.device("contoso", device(2)), None);

    // Another identity does not resume that session.
    let other = Visitor::new(&server, &place.pki, &place.pki.device("contoso", device(2)));
    assert_eq!(
        other
            .check_in(check_in(2, 1))
            .expect("the server accepts the client")
            .accepted,
        1
    );
    assert_eq!(resumed(&server), 4.0);
    // One ticket of each is stored for the next connection.
    assert_eq!(server.ops.metrics().get("muster_net_tickets"), 2.0);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn an_expired_certificate_is_refused_in_resumed_and_full_handshakes() {
    let place = Installation::new();
    let server = place.start();
    let uri = format!("muster://contoso/device/{}", device(1));
    let soon = place.pki.short_lived(&uri, Duration::from_secs(4));
    let visitor = Visitor::new(&server, &place.pki, &soon);
    let mut seq = 0;
    let mut visit = || {
        seq += 1;
        visitor.check_in(check_in(1, seq))
    };
    visit().expect("the certificate is still valid");
    let error = eventually("the certificate expires", || visit().err());
    let expired = CloseCode::IdentityExpired;
    assert!(
        matches!(&error, ClientError::Refused { code } if *code == expired),
        "{error}"
    );
    let refused = server.ops.metrics();
    assert!(
        refused.get(RESUMED) >= 1.0,
        "the refused connection was resumed"
    );
    let closed = refused.by_label("muster_net_connections_closed_before_hello_total");
    assert_eq!(closed["identityExpired"], 1);
    // A client without a session is refused in a full handshake.
    let other = Visitor::new(&server, &place.pki, &soon);
    let error = other.check_in(check_in(1, 1_000)).unwrap_err();
    assert!(!matches!(error, ClientError::Refused { .. }), "{error}");
    server.stop();
}

#[test]
fn a_restart_forgets_all_tls_sessions() {
    let place = Installation::new();
    let server = place.start();
    let port = server.quic.port();
    let visitor = Visitor::new(&server, &place.pki, &place.pki.device("contoso", device(1)));
    for seq in [1, 2] {
        visitor
            .check_in(check_in(1, seq))
            .expect("the server accepts the client");
    }
    assert_eq!(resumed(&server), 1.0);
    server.stop();
    let server = place.start_with(&Settings {
        quic_port: port,
        ..Settings::default()
    });
    // The server cannot decrypt the early data; the client sends it again on the same connection.
    let progress = visitor
        .check_in(check_in(1, 3))
        .expect("the server accepts the client");
    assert_eq!((progress.accepted, progress.connections), (1, 1));
    let restarted = server.ops.metrics();
    assert_eq!(restarted.get("muster_session_records_received_total"), 1.0);
    assert_eq!(restarted.get(EARLY), 0.0);
    assert_eq!(resumed(&server), 0.0);
    server.stop();
}

#[test]
fn a_device_of_a_deleted_tenant_cannot_resume_its_tls_session() {
    let place = Installation::new();
    let server = place.start();
    // No device is created, so the tenant can be deleted.
    server.ops.put_in_force("fabrikam", &no_creation());
    let credentials = place.pki.device("fabrikam", device(1));
    let visitor = Visitor::new(&server, &place.pki, &credentials);
    let rejected = visitor
        .check_in(check_in(1, 1))
        .expect("the server accepts the client");
    assert_eq!(rejected.rejected, 1);
    let (deleted, body) = server
        .ops
        .change("DELETE", "/tenants/fabrikam", None, &Value::Null);
    assert_eq!(deleted.status, 204, "{body}");
    let error = visitor.check_in(check_in(1, 2)).unwrap_err();
    assert!(error.to_string().contains("unknownTenant"), "{error}");
    assert!(
        resumed(&server) >= 1.0,
        "the refused connection was resumed"
    );
    server.stop();
}

#[test]
fn without_memory_for_tickets_every_connection_needs_a_full_handshake() {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        listen: "tickets_max = \"0KiB\"".to_owned(),
        ..Settings::default()
    });
    let visitor = Visitor::new(&server, &place.pki, &place.pki.device("contoso", device(1)));
    for seq in 1..=3 {
        let progress = visitor
            .check_in(check_in(1, seq))
            .expect("the server accepts the client");
        assert_eq!(progress.accepted, 1);
    }
    let metrics = server.ops.metrics();
    assert_eq!(metrics.get(RESUMED), 0.0);
    assert_eq!(metrics.get("muster_net_tickets"), 0.0);
    server.stop();
}

#[test]
fn a_replayed_connection_has_no_effect() {
    let place = Installation::new();
    let server = place.start();
    let relay = Relay::start(server.quic, u32::MAX);
    let credentials = place.pki.device("contoso", device(1));
    let visitor = Visitor::through(relay.address, &server, &place.pki, &credentials);
    visitor
        .check_in(check_in(1, 1))
        .expect("the server accepts the client");
    relay.take_client_packets();
    visitor
        .check_in(check_in(1, 2))
        .expect("the server accepts the client");
    let recorded = relay.take_client_packets();
    assert!(recorded.len() >= 3, "Hello, check-in and the close");
    let before = server.ops.metrics();
    assert_eq!(before.get(RESUMED), 1.0, "the connection was resumed");
    let attempts = "muster_net_attempts_total";
    let attacker = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    eventually("the server takes the copy for an attempt", || {
        // While the server still has the connection, copies are duplicate packets of it and dropped.
        for datagram in &recorded {
            attacker
                .send_to(datagram, server.quic)
                .expect("a loopback address");
        }
        (server.ops.metrics().get(attempts) > before.get(attempts)).then_some(())
    });
    // The next connection is served, and nothing that was replayed was read.
    visitor
        .check_in(check_in(1, 3))
        .expect("the server accepts the client");
    let after = server.ops.metrics();
    assert_eq!(after.get(RESUMED), 2.0, "the replay has no ticket");
    for counter in [
        "muster_net_connections_total",
        "muster_session_records_received_total",
    ] {
        assert_eq!(after.get(counter), before.get(counter) + 1.0);
    }
    assert_eq!(server.ops.seq("contoso", device(1)), 3);
    server.stop();
}
