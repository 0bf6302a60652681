//! Early data (0-RTT) of a returning client: served before the handshake completes, read once, and subject to the same
//! rules as later data.

use std::sync::Arc;

use muster_client::Progress;
use muster_wire::encode_check_ins;
use tokio::time::Instant;

use super::*;

const HANDSHAKES: &str = "muster_net_handshakes";

/// A connection that runs concurrently with the test.
type Visit = tokio::task::JoinHandle<Result<Progress, ClientError>>;

fn place_with(listen: &str) -> (Installation, Server) {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        listen: listen.to_owned(),
        ..Settings::default()
    });
    (place, server)
}

/// A client that has connected before, so that it may send early data the next time.
fn returning(place: &Installation, server: &Server, credentials: &Credentials) -> EarlyDataClient {
    let eager = EarlyDataClient::new(&place.pki, credentials);
    let (raw, is_early) = eager
        .dial(server.quic)
        .expect("the server accepts the client");
    assert!(!is_early, "the first connection cannot have early data");
    let mut session = raw.stream();
    session.write(&hello(1, 1));
    let reply = session.reply();
    assert!(matches!(reply, Reply::Hello(_)), "{reply:?}");
    session.goodbye();
    eager
}

/// A device with one completed connection, and a second one whose check-in the server has applied while none of its
/// responses reach the device.
fn half_open(
    place: &Installation,
    server: &Server,
    credentials: &Credentials,
) -> (Relay, Arc<Visitor>, Visit) {
    let relay = Relay::start(server.quic, u32::MAX);
    let visitor = Arc::new(Visitor::through(
        relay.address,
        server,
        &place.pki,
        credentials,
    ));
    visitor
        .check_in(check_in(1, 1))
        .expect("the server accepts the client");
    relay.set_server_packets_left(0);
    let again = Arc::clone(&visitor);
    let visit = spawn(async move { again.0.check_in_once(&[check_in(1, 2)]).await });
    eventually("the check-in is applied", || {
        (server.ops.seq("contoso", device(1)) == 2).then_some(())
    });
    (relay, visitor, visit)
}

#[test]
fn a_check_in_is_served_before_the_handshake_is_complete() {
    let (place, server) = place_with("");
    let credentials = place.pki.device("contoso", device(1));
    let (relay, visitor, visit) = half_open(&place, &server, &credentials);
    let metrics = server.ops.metrics();
    assert_eq!((metrics.get(EARLY), metrics.get(HANDSHAKES)), (1.0, 1.0));
    relay.set_server_packets_left(u32::MAX);
    let progress = wait(visit)
        .expect("the task does not panic")
        .expect("the server accepts the client");
    assert_eq!((progress.accepted, progress.connections), (1, 1));
    assert_eq!(resumed(&server), 1.0);
    // The client did not close the connection before its next ticket had arrived.
    visitor
        .check_in(check_in(1, 3))
        .expect("the server accepts the client");
    assert_eq!(resumed(&server), 2.0);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn a_drain_does_not_wait_for_a_handshake_that_never_completes() {
    let (place, server) = place_with("hello_timeout = \"60s\"");
    let credentials = place.pki.device("contoso", device(1));
    let (relay, _visitor, visit) = half_open(&place, &server, &credentials);
    // Ends within the deadline, otherwise the log says so and the exit code is another one.
    server.stop();
    visit.abort();
    drop(relay);
}

#[test]
fn a_handshake_that_never_completes_is_closed_and_its_check_in_counts_once() {
    let (place, server) = place_with("hello_timeout = \"1s\"");
    let credentials = place.pki.device("contoso", device(1));
    let (_relay, _visitor, visit) = half_open(&place, &server, &credentials);
    let ended = eventually("the handshake has ended", || {
        let now = server.ops.metrics();
        let open = now.get("muster_net_connections_open");
        (now.get(HANDSHAKES) + open == 0.0).then_some(now)
    });
    let closed = ended.by_label("muster_net_connections_closed_total");
    assert!(closed["helloTimeout"] >= 1, "{closed:?}");
    // Aborted only now, because the client's close would have ended the handshake.
    visit.abort();
    // The device received no ack and sends the check-in again.
    let again = Visitor::new(&server, &place.pki, &credentials);
    let progress = again
        .check_in(check_in(1, 2))
        .expect("the server accepts the client");
    assert_eq!((progress.accepted, progress.duplicate), (0, 1));
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn early_data_is_refused_with_the_same_codes() {
    let (place, server) = place_with("connections_max = 2\nhandshakes_max = 2");
    let credentials = place.pki.device("contoso", device(1));
    let relay = Relay::start(server.quic, u32::MAX);
    let mut early_connections = 0.0;
    // Sends early data and expects this close code, which the client can read only after the handshake.
    let mut expect_refusal = |eager: EarlyDataClient, early_data: &[u8], code: CloseCode| {
        relay.set_server_packets_left(0);
        let (raw, is_early) = eager
            .dial(relay.address)
            .expect("a client that sends early data need not wait");
        assert!(is_early);
        let mut session = raw.stream();
        session.write(early_data);
        early_connections += 1.0;
        eventually("the early data is read", || {
            (server.ops.metrics().get(EARLY) == early_connections).then_some(())
        });
        relay.set_server_packets_left(u32::MAX);
        assert_eq!(
            session.raw.closed(),
            Closed::Application(code.code().into())
        );
    };
    let client = || returning(&place, &server, &credentials);
    let malformed = [hello(1, 1), vec![0xff; 64]].concat();
    expect_refusal(client(), &malformed, CloseCode::MalformedFrame);
    expect_refusal(client(), &hello(9, 9), CloseCode::UnsupportedVersion);
    let eager = client();
    let open = "muster_net_connections_open";
    eventually("the other connections have ended", || {
        (server.ops.metrics().get(open) == 0.0).then_some(())
    });
    let others = [1, 2].map(|_| Session::open(server.quic, &place.pki, &credentials));
    let mut early_data = hello(1, 1);
    encode_check_ins(&mut early_data, &[check_in(1, 7)]).expect("one check-in fits into a frame");
    expect_refusal(eager, &early_data, CloseCode::TooManyConnections);
    others.into_iter().for_each(Session::goodbye);
    assert_eq!(server.ops.device("contoso", device(1)), None);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn early_data_with_a_certificate_that_has_expired_since_is_refused() {
    let (place, server) = place_with("");
    let uri = format!("muster://contoso/device/{}", device(1));
    let length = Duration::from_secs(4);
    let soon = place.pki.short_lived(&uri, length);
    let relay = Relay::start(server.quic, u32::MAX);
    let visitor = Visitor::through(relay.address, &server, &place.pki, &soon);
    let began = Instant::now();
    visitor
        .check_in(check_in(1, 1))
        .expect("the certificate is still valid");
    eventually("the certificate expires", || {
        // The times of a certificate are whole seconds.
        (began.elapsed() > length + Duration::from_secs(1)).then_some(())
    });
    relay.set_server_packets_left(0);
    let visit = spawn(async move { visitor.0.check_in_once(&[check_in(1, 2)]).await });
    eventually("the early data is read", || {
        (server.ops.metrics().get(EARLY) == 1.0).then_some(())
    });
    relay.set_server_packets_left(u32::MAX);
    let error = wait(visit).expect("the task does not panic").unwrap_err();
    let expired = CloseCode::IdentityExpired;
    assert!(
        matches!(&error, ClientError::Refused { code } if *code == expired),
        "{error}"
    );
    assert_eq!(server.ops.seq("contoso", device(1)), 1);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn a_client_that_leaves_right_after_its_handshake_is_counted_as_a_connection() {
    let (place, server) = place_with("");
    let credentials = place.pki.device("contoso", device(1));
    for _ in 0..20 {
        drop(
            Raw::dial(server.quic, &place.pki, Some(&credentials))
                .expect("the server accepts the client"),
        );
    }
    let closed = "muster_net_connections_closed_total";
    let ended = eventually("all connections have ended", || {
        let now = server.ops.metrics();
        (now.get(closed) + now.get("muster_net_handshakes_failed_total") == 20.0).then_some(now)
    });
    assert_eq!(ended.get("muster_net_connections_total"), 20.0);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn early_data_can_be_disabled_in_the_server() {
    let (place, server) = place_with("early_data = false");
    let eager = returning(&place, &server, &place.pki.gateway("contoso", "gw-1"));
    for seq in 1..=2 {
        let (raw, is_early) = eager
            .dial(server.quic)
            .expect("the server accepts the client");
        assert!(!is_early, "the ticket does not allow early data");
        let mut session = raw.stream();
        session.write(&hello(1, 1));
        assert!(matches!(session.reply(), Reply::Hello(_)));
        session.check_ins(&[check_in(1, seq)]);
        assert_eq!(session.acknowledged(1).0.accepted, 1);
        session.goodbye();
    }
    let metrics = server.ops.metrics();
    assert_eq!((metrics.get(RESUMED), metrics.get(EARLY)), (2.0, 0.0));
    server.stop();
}

#[test]
fn early_data_can_be_disabled_in_the_client() {
    let (place, server) = place_with("");
    let credentials = place.pki.device("contoso", device(1));
    let mut config = server.client_config(&place.pki, &credentials);
    config.early_data = false;
    let endpoint =
        wait(async { Endpoint::for_server(config.server) }).expect("a socket can be opened");
    let visitor = Visitor(Connector::new(&endpoint, config).expect("good credentials"));
    for seq in 1..=2 {
        visitor
            .check_in(check_in(1, seq))
            .expect("the server accepts the client");
    }
    let metrics = server.ops.metrics();
    assert_eq!((metrics.get(RESUMED), metrics.get(EARLY)), (1.0, 0.0));
    server.stop();
}
