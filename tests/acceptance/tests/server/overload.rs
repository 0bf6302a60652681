//! Load beyond the limits of the server: each refusal has its code, and all records are accounted for.

use crate::harness::*;
use crate::stops::record_counts;

fn start(listen: &str) -> (Installation, Server) {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        listen: listen.to_owned(),
        ..Settings::default()
    });
    (place, server)
}

/// With a limit of one handshake every client must validate its address first, and an attempt during a handshake is
/// refused with QUIC's code.
#[test]
fn handshakes_beyond_the_limit_get_a_retry_or_are_refused() {
    let (place, server) = start("handshakes_max = 1\nhello_timeout = \"3s\"");
    let credentials = place.pki.gateway("contoso", "gw-1");
    // The Retry validates the address, but the handshake never completes.
    let mute = Relay::start(server.quic, 1);
    let stuck = Raw::dial_async(mute.address, &place.pki, Some(&credentials));
    let stuck = spawn(stuck);
    eventually("a handshake is in progress", || {
        (server.ops.metrics().get("muster_net_handshakes") == 1.0).then_some(())
    });
    // RFC 9000, 20.1: CONNECTION_REFUSED.
    let refused = Raw::dial(server.quic, &place.pki, Some(&credentials)).err();
    assert_eq!(refused, Some(Closed::Transport(2)));
    let metrics = server.ops.metrics();
    assert_eq!(
        metrics.by_label("muster_net_refused_total")["handshakes"],
        1
    );
    assert_eq!(metrics.get("muster_net_retries_total"), 1.0);
    eventually("the handshake times out", || {
        let metrics = server.ops.metrics();
        (metrics.by_label("muster_net_handshakes_failed_total")["other"] == 1).then_some(())
    });
    assert!(!stuck.is_finished(), "it never became a connection");
    stuck.abort();
    drop(mute);
    server.session(&place.pki, &credentials).goodbye();
    let metrics = server.ops.accounts_add_up();
    // The stuck client: a Retry, then a failure. The refused one. The served one: a Retry, then a session.
    assert_eq!(metrics.get("muster_net_attempts_total"), 5.0);
}

#[test]
fn a_tenant_at_its_share_of_connections_leaves_room_for_others() {
    // Three quarters of four.
    let (place, server) = start("connections_max = 4\nhandshakes_max = 4");
    let contoso = place.pki.gateway("contoso", "gw-1");
    let flood: Vec<_> = (0..3)
        .map(|_| server.session(&place.pki, &contoso))
        .collect();
    let beyond = Raw::dial(server.quic, &place.pki, Some(&contoso)).unwrap();
    assert_eq!(beyond.closed(), Closed::Application(0x33));
    let fabrikam = place.pki.gateway("fabrikam", "gw-1");
    let mut other = server.session(&place.pki, &fabrikam);
    other.check_ins(&[random_check_in(&mut Random::new(1, 0), device(1), 1)]);
    assert_eq!(other.acknowledged(1).0.accepted, 1);
    other.goodbye();
    for session in flood {
        session.goodbye();
    }
    server.session(&place.pki, &contoso).goodbye();
    let metrics = server.ops.accounts_add_up();
    assert_eq!(metrics.get("muster_net_tenant_share_exceeded_total"), 1.0);
    let before_hello = metrics.by_label("muster_net_connections_closed_before_hello_total");
    assert_eq!(before_hello["tooManyConnections"], 1);
    assert_eq!(metrics.get("muster_net_sessions_opened_total"), 5.0);
}

/// Acks accumulate until the buffers between the server and a client that reads none are full.
#[test]
fn a_client_that_never_reads_its_acks_is_closed() {
    let (place, server) = start("frame_timeout = \"300ms\"");
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let good = random_check_in(&mut Random::new(1, 0), device(1), 1);
    let mut bad = *good.as_bytes();
    bad[42] = 200;
    let mut frames = 0.0;
    // Each ack lists 64 rejections. Windows and buffers have room for a few hundred KiB.
    while session.raw.connection.close_reason().is_none() {
        session.records(&[bad; 64]);
        frames += 1.0;
        eventually("the frame is acknowledged or the session is closed", || {
            let is_closed = session.raw.connection.close_reason().is_some();
            let acks = server.ops.metrics().get("muster_session_acks_total");
            (is_closed || acks >= frames).then_some(())
        });
        assert!(frames < 5_000.0, "the server buffers without a limit");
    }
    assert_eq!(session.raw.closed(), Closed::Application(0x17));
    let metrics = server.ops.accounts_add_up();
    assert_eq!(
        metrics.by_label("muster_net_connections_closed_total")["frameTimeout"],
        1
    );
}

/// The server's Hello has a timeout like the client's, so that a client cannot hold a connection by not reading it.
#[test]
fn a_client_that_does_not_read_the_hello_is_closed_before_its_session_opens() {
    let (place, server) = start("hello_timeout = \"300ms\"\nidle_timeout = \"600s\"");
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut non_reading = Raw::dial_with_window(server.quic, &place.pki, &credentials, 0)
        .unwrap()
        .stream();
    non_reading.write(&hello(1, 1));
    assert_eq!(non_reading.raw.closed(), Closed::Application(0x16));
    server.session(&place.pki, &credentials).goodbye();
    let metrics = server.ops.accounts_add_up();
    let before_hello = metrics.by_label("muster_net_connections_closed_before_hello_total");
    assert_eq!(before_hello["helloTimeout"], 1);
    assert_eq!(metrics.get("muster_net_sessions_opened_total"), 1.0);
    assert_eq!(metrics.get("muster_net_sessions"), 0.0);
    assert_eq!(server.logged("helloTimeout"), 1);
}

#[test]
fn records_unacknowledged_because_of_a_full_disk_are_counted() {
    let place = Installation::new();
    let server = place.start_on_small_disk(&Settings::default(), 1 << 20);
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let filled = FilledDisk::fill(&mut session);
    let sent = (filled.sent.len() * FRAME_RECORDS) as u64;
    let metrics = server.ops.accounts_add_up();
    let lost = metrics.by_label("muster_session_records_unacknowledged_total");
    assert_eq!(lost["storeUnavailable"], FRAME_RECORDS as u64, "{lost:?}");
    assert_eq!(
        metrics.get("muster_session_records_received_total"),
        sent as f64
    );
    let refused = Raw::dial(
        server.quic,
        &place.pki,
        Some(&place.pki.gateway("contoso", "gw-2")),
    );
    assert_eq!(refused.err(), Some(Closed::Transport(2)));
    let metrics = server.ops.accounts_add_up();
    assert_eq!(metrics.by_label("muster_net_refused_total")["store"], 1);
    // The last lines of the log have the same numbers.

    server.terminate();
    let (_, log) = server.ended();
    let lost = FRAME_RECORDS as u64;
    assert_eq!(record_counts(&log), [sent, sent - lost, lost]);
}
