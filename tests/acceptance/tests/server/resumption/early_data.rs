//! What a client that comes back says with its first packet (early data, 0-RTT): served before the handshake is
//! complete, read once, and held to everything that later words are held to.

use std::sync::Arc;

use muster_client::Progress;
use muster_wire::encode_check_ins;
use tokio::time::Instant;

use super::*;

const HANDSHAKES: &str = "muster_net_handshakes";

/// A visit that goes on beside the test.
type Visit = tokio::task::JoinHandle<Result<Progress, ClientError>>;

fn place_with(listen: &str) -> (Installation, Server) {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        listen: listen.to_owned(),
        ..Settings::default()
    });
    (place, server)
}

/// A client by hand that has been there, so that it may speak early the next time.
fn returning(place: &Installation, server: &Server, credentials: &Credentials) -> Eager {
    let eager = Eager::new(&place.pki, credentials);
    let (raw, is_early) = eager.dial(server.quic).expect("it may come in");
    assert!(!is_early, "a stranger has nothing to do it with");
    let mut session = raw.stream();
    session.write(&hello(1, 1));
    let reply = session.reply();
    assert!(matches!(reply, Reply::Hello(_)), "{reply:?}");
    session.goodbye();
    eager
}

/// A device whose first visit is over, and the second one, of which the server has applied the check-in while nothing that
/// it answers comes through.
fn half_way(
    place: &Installation,
    server: &Server,
    credentials: &Credentials,
) -> (Relay, Arc<Visitor>, Visit) {
    let relay = Relay::before(server.quic, u32::MAX);
    let visitor = Arc::new(Visitor::by(relay.address, server, &place.pki, credentials));
    visitor.check_in(check_in(1, 1)).expect("it may come in");
    relay.let_answers(0);
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
    let (relay, visitor, visit) = half_way(&place, &server, &credentials);
    let metrics = server.ops.metrics();
    assert_eq!((metrics.get(EARLY), metrics.get(HANDSHAKES)), (1.0, 1.0));
    relay.let_answers(u32::MAX);
    let progress = wait(visit).expect("no panic there").expect("it came in");
    assert_eq!((progress.accepted, progress.connections), (1, 1));
    assert_eq!(taken(&server), 1.0);
    // It did not leave before its next ticket came.
    visitor.check_in(check_in(1, 3)).expect("it may come in");
    assert_eq!(taken(&server), 2.0);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn a_drain_waits_for_such_a_handshake_no_longer_than_for_a_farewell() {
    let (place, server) = place_with("hello_timeout = \"60s\"");
    let credentials = place.pki.device("contoso", device(1));
    let (relay, _visitor, visit) = half_way(&place, &server, &credentials);
    // Within its deadline, of which sessions have half: else it says so and ends with another code.
    server.stop();
    visit.abort();
    drop(relay);
}

#[test]
fn a_handshake_that_never_ends_gives_its_place_back_and_its_check_in_counts_once() {
    let (place, server) = place_with("hello_timeout = \"1s\"");
    let credentials = place.pki.device("contoso", device(1));
    let (_relay, _visitor, visit) = half_way(&place, &server, &credentials);
    let ended = eventually("nothing is left of the handshake", || {
        let now = server.ops.metrics();
        let open = now.get("muster_net_connections_open");
        (now.get(HANDSHAKES) + open == 0.0).then_some(now)
    });
    let closed = ended.by_label("muster_net_connections_closed_total");
    assert!(closed["helloTimeout"] >= 1, "{closed:?}");
    // The client goes after that, not before: it would have ended the handshake by its leaving.
    visit.abort();
    // The device never heard that it is durable, and says it again.
    let again = Visitor::new(&server, &place.pki, &credentials);
    let progress = again.check_in(check_in(1, 2)).expect("it may come in");
    assert_eq!((progress.accepted, progress.duplicate), (0, 1));
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn who_speaks_early_is_refused_by_the_same_codes() {
    let (place, server) = place_with("connections_max = 2\nhandshakes_max = 2");
    let credentials = place.pki.device("contoso", device(1));
    let relay = Relay::before(server.quic, u32::MAX);
    let mut spoken = 0.0;
    // Says this early, and is closed with that code, which it can read only after the handshake.
    let mut is_refused = |eager: Eager, words: &[u8], code: CloseCode| {
        relay.let_answers(0);
        let (raw, is_early) = eager.dial(relay.address).expect("nobody has refused it");
        assert!(is_early);
        let mut session = raw.stream();
        session.write(words);
        spoken += 1.0;
        eventually("it is read", || {
            (server.ops.metrics().get(EARLY) == spoken).then_some(())
        });
        relay.let_answers(u32::MAX);
        assert_eq!(
            session.raw.closed(),
            Closed::Application(code.code().into())
        );
    };
    let came = || returning(&place, &server, &credentials);
    let no_frame = [hello(1, 1), vec![0xff; 64]].concat();
    is_refused(came(), &no_frame, CloseCode::MalformedFrame);
    is_refused(came(), &hello(9, 9), CloseCode::UnsupportedVersion);
    let eager = came();
    let open = "muster_net_connections_open";
    eventually("the others are gone", || {
        (server.ops.metrics().get(open) == 0.0).then_some(())
    });
    let occupants = [1, 2].map(|_| Session::open(server.quic, &place.pki, &credentials));
    let mut words = hello(1, 1);
    encode_check_ins(&mut words, &[check_in(1, 7)]).expect("a frame");
    is_refused(eager, &words, CloseCode::TooManyConnections);
    occupants.into_iter().for_each(Session::goodbye);
    assert_eq!(server.ops.device("contoso", device(1)), None);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn a_certificate_that_has_expired_since_is_refused() {
    let (place, server) = place_with("");
    let uri = format!("muster://contoso/device/{}", device(1));
    let length = Duration::from_secs(4);
    let soon = place.pki.short_lived(&uri, length);
    let relay = Relay::before(server.quic, u32::MAX);
    let visitor = Visitor::by(relay.address, &server, &place.pki, &soon);
    let began = Instant::now();
    visitor.check_in(check_in(1, 1)).expect("it is valid yet");
    eventually("the certificate expires", || {
        // Certificates count in whole seconds.
        (began.elapsed() > length + Duration::from_secs(1)).then_some(())
    });
    relay.let_answers(0);
    let visit = spawn(async move { visitor.0.check_in_once(&[check_in(1, 2)]).await });
    eventually("it is read", || {
        (server.ops.metrics().get(EARLY) == 1.0).then_some(())
    });
    relay.let_answers(u32::MAX);
    let error = wait(visit).expect("no panic there").unwrap_err();
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
fn who_leaves_right_after_its_handshake_was_a_connection() {
    let (place, server) = place_with("");
    let credentials = place.pki.device("contoso", device(1));
    for _ in 0..20 {
        drop(Raw::dial(server.quic, &place.pki, Some(&credentials)).expect("it may come in"));
    }
    let closed = "muster_net_connections_closed_total";
    let ended = eventually("all are gone", || {
        let now = server.ops.metrics();
        (now.get(closed) + now.get("muster_net_handshakes_failed_total") == 20.0).then_some(now)
    });
    assert_eq!(ended.get("muster_net_connections_total"), 20.0);
    server.ops.accounts_add_up();
    server.stop();
}

#[test]
fn it_is_a_setting_of_the_server() {
    let (place, server) = place_with("early_data = false");
    let eager = returning(&place, &server, &place.pki.gateway("contoso", "gw-1"));
    for seq in 1..=2 {
        let (raw, is_early) = eager.dial(server.quic).expect("it may come in");
        assert!(!is_early, "no ticket allows it");
        let mut session = raw.stream();
        session.write(&hello(1, 1));
        assert!(matches!(session.reply(), Reply::Hello(_)));
        session.check_ins(&[check_in(1, seq)]);
        assert_eq!(session.acknowledged(1).0.accepted, 1);
        session.goodbye();
    }
    let metrics = server.ops.metrics();
    assert_eq!((metrics.get(TAKEN), metrics.get(EARLY)), (2.0, 0.0));
    server.stop();
}

#[test]
fn it_is_a_setting_of_the_client() {
    let (place, server) = place_with("");
    let credentials = place.pki.device("contoso", device(1));
    let mut config = server.client_config(&place.pki, &credentials);
    config.early_data = false;
    let endpoint =
        wait(async { Endpoint::for_server(config.server) }).expect("a socket can be opened");
    let visitor = Visitor(Connector::new(&endpoint, config).expect("good credentials"));
    for seq in 1..=2 {
        visitor.check_in(check_in(1, seq)).expect("it may come in");
    }
    let metrics = server.ops.metrics();
    assert_eq!((metrics.get(TAKEN), metrics.get(EARLY)), (1.0, 0.0));
    server.stop();
}
