//! Peers that hold on to what they can get: a byte at a time, many connections, many streams, acks that
//! nobody reads, keys that change without end, another address. They get no further than the bounds, each end
//! is counted, and the session of somebody else goes on all the while.

use std::net::UdpSocket;

use crate::harness::*;

/// Bytes of resident memory that a test here may cost the server: far more than any of them does, far less
/// than without a bound.
const MEMORY_MAX: f64 = 192.0 * 1024.0 * 1024.0;

/// A session that was there before and must go on.
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
        bystander.goes_on(victim);
        bystander
    }

    /// One more check-in is durable.
    #[track_caller]
    fn goes_on(&mut self, victim: &Victim) {
        self.frames += 1;
        let check_in = random_check_in(&mut Random::new(self.frames, 0), device(5000), self.frames);
        self.session.check_ins(&[check_in]);
        assert_eq!(
            self.session.acknowledged(self.frames).0.accepted,
            self.frames
        );
        victim.oracle.borrow_mut().check_in("contoso", &check_in);
    }

    /// Its session is the last one, it has missed nothing, and memory is where it was.
    #[track_caller]
    fn finish(mut self, victim: &Victim) {
        self.goes_on(victim);
        let ops = &victim.server.ops;
        eventually("everybody else is gone", || {
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
fn a_frame_that_comes_a_byte_at_a_time_is_closed_and_so_are_many() {
    let victim = with("frame_timeout = \"1s\"");
    let mut bystander = Bystander::new(&victim);
    let fleet: Vec<_> = (900..990).map(|number| check_in(number, 1)).collect();
    let bytes = frame(&fleet).to_vec();
    let mut slow: Vec<_> = (0..30).map(|_| victim.session()).collect();
    // Each byte is new, none of them is late; only the frame as a whole is. A question to the operators'
    // endpoint is what passes the time.
    let mut bytes = bytes.iter();
    while victim.server.ops.metrics().by_label(CLOSED)["frameTimeout"] == 0 {
        let byte = bytes.next().expect("closed before the frame is complete");
        slow.iter_mut().for_each(|session| session.write(&[*byte]));
        bystander.goes_on(&victim);
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
fn a_hello_that_comes_a_byte_at_a_time_is_closed() {
    let victim = with("hello_timeout = \"2s\"");
    let mut bystander = Bystander::new(&victim);
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let dial = || Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials));
    let mut slow: Vec<_> = (0..10)
        .map(|_| dial().expect("the server accepts the connection").stream())
        .collect();
    // All but the last byte, and no hurry.
    for byte in &hello(1, 1)[..23] {
        slow.iter_mut().for_each(|session| session.write(&[*byte]));
        bystander.goes_on(&victim);
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
fn acks_that_nobody_reads_end_the_session_and_no_other() {
    let victim = with("frame_timeout = \"500ms\"");
    let mut bystander = Bystander::new(&victim);
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let raw = Raw::dial_with_window(victim.server.quic, &victim.place.pki, &credentials, 1024);
    let mut non_reading = raw.expect("the server accepts the connection").stream();
    non_reading.write(&hello(1, 1));
    // Each of these frames is answered by 2 KiB of rejections, and the peer takes 1 KiB in all. It keeps to its
    // window of frames: each goes out once the one before has been read.
    let mut bad = *check_in(901, 1).as_bytes();
    bad[42] = 6;
    let ops = &victim.server.ops;
    let frames = || ops.metrics().get("muster_session_frames_total");
    let is_closed = || ops.metrics().by_label(CLOSED)["frameTimeout"] == 1;
    for _ in 0..1000 {
        let before = frames();
        non_reading.records(&[bad; 64]);
        eventually("it is read, or the session is closed", || {
            (frames() > before || is_closed()).then_some(())
        });
        if is_closed() {
            break;
        }
        bystander.goes_on(&victim);
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
fn a_peer_that_stops_the_acks_is_closed_and_what_it_sent_counts_once() {
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
fn connections_without_end_from_one_address_end_at_the_limit() {
    let victim = with(
        "connections_max = 20\nconnections_tenant_max = 20\nhandshakes_max = 20\nhello_timeout = \"2s\"",
    );
    let mut bystander = Bystander::new(&victim);
    eventually("the first client is gone", || {
        (victim.server.ops.sessions() == 1).then_some(())
    });
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let dial = || Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials));
    // Nineteen places, and nobody says Hello; what comes beyond is told so at once.
    let held: Vec<_> = (0..19)
        .map(|_| dial().expect("the server accepts the connection"))
        .collect();
    let mut refused = 0;
    for _ in 0..50 {
        let closed = dial().map_or_else(|closed| closed, |raw| raw.closed());
        refused += u64::from(closed == Closed::Application(0x33));
        bystander.goes_on(&victim);
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
fn hellos_without_end_leave_nothing_behind() {
    let victim = with("");
    let mut bystander = Bystander::new(&victim);
    let before = victim
        .server
        .ops
        .metrics()
        .get("muster_net_connections_total");
    // Gone without a word after Hello; and several Hellos in one stream are one and a fault.
    for _ in 0..100 {
        drop(victim.session());
        bystander.goes_on(&victim);
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
fn streams_that_are_reset_at_once_close_their_connection() {
    let victim = with("");
    let mut bystander = Bystander::new(&victim);
    for length in [0, 1, 8, 20, 56] {
        victim.closes("truncatedFrame", 0x14, |session| {
            session.write(&frame(&[check_in(902, 1); 2])[..length]);
            let _ = session.send.reset(7_u32.into());
        });
        bystander.goes_on(&victim);
    }
    assert_eq!(victim.server.ops.device("contoso", device(902)), None);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn keys_that_change_without_end_change_nothing_else() {
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
    // Faster than they can be confirmed is against QUIC: that connection may end, and no other.
    for _ in 0..1000 {
        session.raw.connection.force_key_update();
    }
    drop(session);
    bystander.goes_on(&victim);
    bystander.finish(&victim);
    victim.finish();
}

#[test]
fn a_client_that_moves_to_another_address_stays_who_it_is() {
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
