//! Clients that exhaust resources: frames byte by byte, many connections, many streams, unread acks, endless key
//! updates, changes of address. They do not exceed the limits, each close is counted, and the sessions of others
//! continue.

use std::net::UdpSocket;

use crate::harness::*;

/// Maximum increase of the server's resident memory in a test: far more than any of them needs, far less than without a
/// limit.
const MEMORY_MAX: f64 = 192.0 * 1024.0 * 1024.0;

/// A session that was open before the flood and must continue.
struct Bystander {
    session: Session,
    frames: u64,
    memory: f64,
}

impl Bystander {
    fn new(victim: &Victim) -> Self {
        let mut bystander = Self {
            session: victim.session(),
            frames: 0,
            memory: victim
                .server
                .ops
                .metrics()
                .get("muster_process_resident_memory_bytes"),
        };
        bystander.continues(victim);
        bystander
    }

    /// Sends one more check-in, which must be acknowledged.
    #[track_caller]
    fn continues(&mut self, victim: &Victim) {
        self.frames += 1;
        let check_in = random_check_in(&mut Random::new(self.frames, 0), device(5000), self.frames);
        self.session.check_ins(&[check_in]);
        assert_eq!(
            self.session.acknowledged(self.frames).0.accepted,
            self.frames
        );
        victim.oracle.borrow_mut().check_in("contoso", &check_in);
    }

    /// Asserts that no other session is left, that this one still works, and that memory has not grown.
    #[track_caller]
    fn finish(mut self, victim: &Victim) {
        self.continues(victim);
        let ops = &victim.server.ops;
        eventually("all other sessions have ended", || {
            (ops.sessions() == 1).then_some(())
        });
        let memory = ops.metrics().get("muster_process_resident_memory_bytes");
        assert!(
            memory < self.memory + MEMORY_MAX,
            "{} bytes, then {memory}",
            self.memory
        );
        self.session.goodbye();
    }
}

fn with(listen: &str) -> Victim {
    Victim::new(&Settings {
        listen: listen.to_owned(),
        ..Settings::default()
    })
}

fn check_in(number: u64, seq: u64) -> muster_wire::CheckInRecord {
    random_check_in(&mut Random::new(number, 0), device(number), seq)
}

#[test]
fn sessions_that_send_a_frame_byte_by_byte_are_closed() {
    let victim = with("frame_timeout = \"1s\"");
    let mut bystander = Bystander::new(&victim);
    let fleet: Vec<_> = (900..990).map(|number| check_in(number, 1)).collect();
    let bytes = frame(&fleet).to_vec();
    let mut slow: Vec<_> = (0..30).map(|_| victim.session()).collect();
    // No byte is late, only the frame as a whole. The requests to the operations endpoint pass the time.
    let mut bytes = bytes.iter();
    while victim.server.ops.metrics().by_label(CLOSED)["frameTimeout"] == 0 {
        let byte = bytes.next().expect("closed before the frame is complete");
        slow.iter_mut().for_each(|session| session.write(&[*byte]));
        bystander.continues(&victim);
    }
    for session in &mut slow {
        assert_eq!(closed(session), Closed::Application(0x17));
    }
    assert_eq!(
        victim.server.ops.metrics().by_label(CLOSED)["frameTimeout"],
        30
    );
    assert_eq!(victim.server.ops.device("contoso", device(900)), None);
    victim.causes.borrow_mut().insert("frameTimeout");
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn connections_that_send_hello_byte_by_byte_are_closed() {
    let victim = with("hello_timeout = \"2s\"");
    let mut bystander = Bystander::new(&victim);
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let dial = || Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials));
    let mut slow: Vec<_> = (0..10)
        .map(|_| dial().expect("the server accepts the connection").stream())
        .collect();
    // All but the last byte, slowly.
    for byte in &hello(1, 1)[..23] {
        slow.iter_mut().for_each(|session| session.write(&[*byte]));
        bystander.continues(&victim);
    }
    for session in &mut slow {
        assert_eq!(closed(session), Closed::Application(0x16));
    }
    assert_eq!(
        victim.server.ops.metrics().by_label(CLOSED)["helloTimeout"],
        10
    );
    victim.causes.borrow_mut().insert("helloTimeout");
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn a_client_that_does_not_read_acks_is_closed_and_no_other_is() {
    let victim = with("frame_timeout = \"500ms\"");
    let mut bystander = Bystander::new(&victim);
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let raw = Raw::dial_with_window(victim.server.quic, &victim.place.pki, &credentials, 1024);
    let mut non_reading = raw.expect("the server accepts the connection").stream();
    non_reading.write(&hello(1, 1));
    // Each of these frames is answered with 2 KiB of rejections, and the client reads 1 KiB in total. It stays within
    // its window: each frame is sent once the previous one has been read.
    let mut bad = *check_in(901, 1).as_bytes();
    bad[42] = 6;
    let ops = &victim.server.ops;
    let frames = || ops.metrics().get("muster_session_frames_total");
    let is_closed = || ops.metrics().by_label(CLOSED)["frameTimeout"] == 1;
    for _ in 0..1000 {
        let before = frames();
        non_reading.records(&[bad; 64]);
        eventually("the frame is read or the session is closed", || {
            (frames() > before || is_closed()).then_some(())
        });
        if is_closed() {
            break;
        }
        bystander.continues(&victim);
    }
    assert_eq!(non_reading.raw.closed(), Closed::Application(0x17));
    victim
        .causes
        .borrow_mut()
        .extend(["frameTimeout", "unknownRisk"]);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn a_client_that_stops_the_ack_stream_is_closed_and_its_check_ins_count_once() {
    let victim = with("");
    let bystander = Bystander::new(&victim);
    let known = check_in(0, 5);
    for _ in 0..20 {
        let mut session = victim.session();
        session.stop_reading();
        session.check_ins(&[known]);
        assert_eq!(session.raw.closed(), Closed::Application(0x19));
    }
    victim.oracle.borrow_mut().check_in("contoso", &known);
    let closed = victim.server.ops.metrics().by_label(CLOSED);
    assert_eq!(closed["streamStopped"], 20, "{closed:?}");
    victim.causes.borrow_mut().insert("streamStopped");
    assert_eq!(victim.server.ops.seq("contoso", device(0)), 5);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn endless_connections_from_one_address_stop_at_the_limit() {
    let victim = with(
        "connections_max = 20\nconnections_tenant_max = 20\nhandshakes_max = 20\nhello_timeout = \"2s\"",
    );
    let mut bystander = Bystander::new(&victim);
    eventually("the first client has disconnected", || {
        (victim.server.ops.sessions() == 1).then_some(())
    });
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let dial = || Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials));
    // Nineteen connections without a Hello fill the limit; further ones are refused at once.
    let held: Vec<_> = (0..19)
        .map(|_| dial().expect("the server accepts the connection"))
        .collect();
    let mut refused = 0;
    for _ in 0..50 {
        let closed = dial().map_or_else(|closed| closed, |raw| raw.closed());
        refused += u64::from(closed == Closed::Application(0x33));
        bystander.continues(&victim);
    }
    let counted = victim.server.ops.metrics().by_label(CLOSED);
    assert!(refused > 0, "{counted:?}");
    assert_eq!(counted["tooManyConnections"], refused);
    for raw in held {
        assert_eq!(raw.closed(), Closed::Application(0x16));
    }
    victim
        .causes
        .borrow_mut()
        .extend(["tooManyConnections", "helloTimeout"]);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn endless_hellos_leave_nothing_behind() {
    let victim = with("");
    let mut bystander = Bystander::new(&victim);
    let before = victim
        .server
        .ops
        .metrics()
        .get("muster_net_connections_total");
    // Connections dropped right after Hello; then several Hellos on one stream, of which the second is an error.
    for _ in 0..100 {
        drop(victim.session());
        bystander.continues(&victim);
    }
    victim.closes("unexpectedFrame", 0x13, |session| {
        session.write(&hello(1, 1).repeat(100))
    });
    let connections = victim
        .server
        .ops
        .metrics()
        .get("muster_net_connections_total");
    assert_eq!(connections, before + 102.0);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn a_stream_reset_at_any_point_closes_the_connection() {
    let victim = with("");
    let mut bystander = Bystander::new(&victim);
    for length in [0, 1, 8, 20, 56] {
        victim.closes("truncatedFrame", 0x14, |session| {
            session.write(&frame(&[check_in(902, 1); 2])[..length]);
            let _ = session.send.reset(7_u32.into());
        });
        bystander.continues(&victim);
    }
    assert_eq!(victim.server.ops.device("contoso", device(902)), None);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn endless_key_updates_affect_nothing_else() {
    let victim = with("");
    let mut bystander = Bystander::new(&victim);
    let mut session = victim.session();
    for seq in 1..=200 {
        session.raw.connection.force_key_update();
        let check_in = check_in(903, seq);
        session.check_ins(&[check_in]);
        assert_eq!(session.acknowledged(seq).0.accepted, seq);
        victim.oracle.borrow_mut().check_in("contoso", &check_in);
    }
    // Key updates before the previous one is confirmed violate QUIC: that connection may end, but no other.
    for _ in 0..1000 {
        session.raw.connection.force_key_update();
    }
    drop(session);
    bystander.continues(&victim);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn a_client_that_migrates_to_another_address_keeps_its_identity() {
    let victim = with("");
    let bystander = Bystander::new(&victim);
    let own = device(904);
    let credentials = victim.place.pki.device("contoso", own);
    let mut session = victim.server.session(&victim.place.pki, &credentials);
    for seq in 1..=5 {
        session
            .raw
            .rebind(UdpSocket::bind("127.0.0.1:0").expect("a free port"));
        let own_check_in = random_check_in(&mut Random::new(seq, 0), own, seq);
        let foreign = check_in(3, 1_000 + seq);
        session.check_ins(&[own_check_in, foreign]);
        let (totals, rejections) = session.acknowledged(seq);
        assert_eq!((totals.accepted, totals.rejected), (seq, seq));
        assert_eq!(
            rejections[0].reason(),
            Some(muster_wire::RejectReason::IdentityMismatch)
        );
        victim
            .oracle
            .borrow_mut()
            .check_in("contoso", &own_check_in);
    }
    session.goodbye();
    victim.causes.borrow_mut().insert("identityMismatch");
    bystander.finish(&victim);
    victim.finish();
}
