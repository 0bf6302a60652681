//! Connections that begin with the TLS session of an earlier one: they are as good as whole handshakes, and no
//! better. What ended the right to come in, a certificate's time, a tenant, a restart, ends it for them too.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use muster_client::{ClientError, Connector, Endpoint};
use muster_wire::{CheckInRecord, CloseCode};

use crate::harness::*;

mod early_data;

const TAKEN: &str = "muster_net_handshakes_resumed_total";

const EARLY: &str = "muster_net_connections_early_total";

/// Something that checks in now and then, each time by a connection of its own.
struct Visitor(Connector);

impl Visitor {
    fn new(server: &Server, pki: &Pki, credentials: &Credentials) -> Self {
        Self::by(server.quic, server, pki, credentials)
    }

    /// Speaks to the server through this address.
    fn by(through: SocketAddr, server: &Server, pki: &Pki, credentials: &Credentials) -> Self {
        let mut config = server.client_config(pki, credentials);
        config.server = through;
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

fn taken(server: &Server) -> f64 {
    server.ops.metrics().get(TAKEN)
}

#[test]
fn who_comes_back_resumes_and_speaks_for_nobody_but_itself() {
    let place = Installation::new();
    let server = place.start();
    let visitor = Visitor::new(&server, &place.pki, &place.pki.device("contoso", device(1)));
    for seq in 1..=4 {
        let progress = visitor.check_in(check_in(1, seq)).expect("it may come in");
        assert_eq!((progress.accepted, progress.frames_acked), (1, 1));
        assert_eq!(taken(&server), (seq - 1) as f64, "all but the first resume");
    }
    let progress = visitor.check_in(check_in(2, 5)).expect("it may come in");
    assert_eq!((progress.accepted, progress.rejected), (0, 1));
    assert_eq!(taken(&server), 4.0);
    assert_eq!(server.ops.seq("contoso", device(1)), 4);
    assert_eq!(server.ops.device("contoso", device(2)), None);

    // Another identity over the same socket begins with nothing.
    let other = Visitor::new(&server, &place.pki, &place.pki.device("contoso", device(2)));
    assert_eq!(other.check_in(check_in(2, 1)).expect("it may").accepted, 1);
    assert_eq!(taken(&server), 4.0);
    // One ticket of each is left, for when they come back.
    assert_eq!(server.ops.metrics().get("muster_net_tickets"), 2.0);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn a_certificate_that_expires_between_two_connections_ends_both_kinds() {
    let place = Installation::new();
    let server = place.start();
    let uri = format!("muster://contoso/device/{}", device(1));
    let soon = place.pki.short_lived(&uri, Duration::from_secs(4));
    let visitor = Visitor::new(&server, &place.pki, &soon);
    let mut seq = 0;
    let mut came_in = || {
        seq += 1;
        visitor.check_in(check_in(1, seq))
    };
    came_in().expect("it is valid yet");
    let error = eventually("the certificate expires", || came_in().err());
    let expired = CloseCode::IdentityExpired;
    assert!(
        matches!(&error, ClientError::Refused { code } if *code == expired),
        "{error}"
    );
    let refused = server.ops.metrics();
    assert!(refused.get(TAKEN) >= 1.0, "the refused one was resumed");
    let closed = refused.by_label("muster_net_connections_closed_before_hello_total");
    assert_eq!(closed["identityExpired"], 1);
    // And by a whole handshake, which somebody without a session makes.
    let stranger = Visitor::new(&server, &place.pki, &soon);
    let error = stranger.check_in(check_in(1, 1_000)).unwrap_err();
    assert!(!matches!(error, ClientError::Refused { .. }), "{error}");
    server.stop();
}

#[test]
fn a_restart_forgets_all_sessions_so_a_tenant_that_is_gone_stays_out() {
    let place = Installation::new();
    let server = place.start();
    let port = server.quic.port();
    let visitors = ["contoso", "fabrikam"].map(|tenant| {
        let credentials = place.pki.device(tenant, device(1));
        let visitor = Visitor::new(&server, &place.pki, &credentials);
        for seq in [1, 2] {
            visitor.check_in(check_in(1, seq)).expect("it may come in");
        }
        visitor
    });
    assert_eq!(taken(&server), 2.0);
    server.stop();
    let server = place.start_with(&Settings {
        quic_port: port,
        tenants: "[[tenants]]\nname = \"contoso\"\n".to_owned(),
        ..Settings::default()
    });
    let [contoso, fabrikam] = &visitors;
    // What it says with its first packet nobody can read; it says it again on the same connection.
    let progress = contoso.check_in(check_in(1, 3)).expect("it may come in");
    assert_eq!((progress.accepted, progress.connections), (1, 1));
    let restarted = server.ops.metrics();
    assert_eq!(restarted.get("muster_session_records_received_total"), 1.0);
    assert_eq!(restarted.get(EARLY), 0.0);
    let error = fabrikam.check_in(check_in(1, 3)).unwrap_err();
    assert!(error.to_string().contains("unknownTenant"), "{error}");
    assert_eq!(taken(&server), 0.0);
    // Not by a ticket of this server either: it got one with the handshake that told it so.
    let error = fabrikam.check_in(check_in(1, 3)).unwrap_err();
    assert!(error.to_string().contains("unknownTenant"), "{error}");
    assert!(
        server
            .ops
            .metrics()
            .get("muster_net_handshakes_resumed_total")
            <= 1.0
    );
    server.stop();
}

#[test]
fn without_memory_for_tickets_every_connection_is_a_whole_handshake() {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        listen: "tickets_max = \"0KiB\"".to_owned(),
        ..Settings::default()
    });
    let visitor = Visitor::new(&server, &place.pki, &place.pki.device("contoso", device(1)));
    for seq in 1..=3 {
        let progress = visitor.check_in(check_in(1, seq)).expect("it may come in");
        assert_eq!(progress.accepted, 1);
    }
    let metrics = server.ops.metrics();
    assert_eq!(metrics.get(TAKEN), 0.0);
    assert_eq!(metrics.get("muster_net_tickets"), 0.0);
    server.stop();
}

#[test]
fn a_visit_that_was_recorded_and_is_sent_again_does_nothing() {
    let place = Installation::new();
    let server = place.start();
    let relay = Relay::before(server.quic, u32::MAX);
    let credentials = place.pki.device("contoso", device(1));
    let visitor = Visitor::by(relay.address, &server, &place.pki, &credentials);
    visitor.check_in(check_in(1, 1)).expect("it may come in");
    relay.take_said();
    visitor.check_in(check_in(1, 2)).expect("it may come in");
    let recorded = relay.take_said();
    assert!(recorded.len() >= 3, "hello, check-in, the end");
    let before = server.ops.metrics();
    assert_eq!(before.get(TAKEN), 1.0, "it was resumed");
    let attempts = "muster_net_attempts_total";
    let attacker = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    eventually("the server takes the copy for an attempt", || {
        // For as long as it remembers the connection, copies are packets of that, and dropped.
        for datagram in &recorded {
            attacker.send_to(datagram, server.quic).expect("loopback");
        }
        (server.ops.metrics().get(attempts) > before.get(attempts)).then_some(())
    });
    // Whoever comes after that is served, and nothing that was replayed was read.
    visitor.check_in(check_in(1, 3)).expect("it may come in");
    let after = server.ops.metrics();
    assert_eq!(after.get(TAKEN), 2.0, "the ticket is gone for its copies");
    for once_more in [
        "muster_net_connections_total",
        "muster_session_records_received_total",
    ] {
        assert_eq!(after.get(once_more), before.get(once_more) + 1.0);
    }
    assert_eq!(server.ops.seq("contoso", device(1)), 3);
    server.stop();
}
