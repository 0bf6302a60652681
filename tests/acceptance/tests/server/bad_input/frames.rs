//! Bytes that violate the protocol.

use std::net::UdpSocket;

use muster_wire::{CloseCode, Goodbye, encode_ack, encode_busy, encode_goodbye};

use crate::harness::*;

/// A header with arbitrary fields.
fn header(kind: u8, flags: u8, count: u16, length: u32) -> Vec<u8> {
    let mut bytes = vec![kind, flags];
    bytes.extend(count.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes
}

/// A frame with a payload of zeros.
fn zeros(kind: u8, flags: u8, count: u16, length: u32) -> Vec<u8> {
    let mut bytes = header(kind, flags, count, length);
    bytes.resize(8 + length as usize, 0);
    bytes
}

fn goodbye() -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
    bytes
}

#[test]
fn versions_that_the_server_does_not_speak_are_refused() {
    let victim = Victim::new(&Settings::default());
    for (oldest, newest) in [(9, 9), (2, u16::MAX)] {
        victim.closes_unopened("unsupportedVersion", 0x10, |session| {
            session.write(&hello(oldest, newest));
        });
    }
    // A client that also supports our version is accepted.
    let raw = Raw::dial(
        victim.server.quic,
        &victim.place.pki,
        Some(&victim.place.pki.gateway("contoso", "gw-1")),
    );
    let mut session = raw.unwrap().stream();
    session.write(&hello(1, 9));
    assert!(matches!(session.reply(), Reply::Hello(hello) if hello.version == 1));
    session.goodbye();
    victim.finish();
}

#[test]
fn invalid_frames_are_malformed() {
    let victim = Victim::new(&Settings::default());
    for bytes in [
        zeros(0, 0, 0, 8),
        zeros(7, 0, 0, 8),
        zeros(255, 0, 1, 48),
        zeros(2, 1, 1, 48), // flags
        zeros(2, 0, 2, 48), // the length does not match the count
        zeros(2, 0, 1, 47),
        zeros(3, 0, 1, 87), // shorter than any inventory
        zeros(6, 0, 0, 7),
        b"GET / HTTP/1.1\r\nHost: muster\r\n\r\n".to_vec(),
        vec![0xff; 4000],
    ] {
        victim.closes("malformedFrame", 0x11, |session| session.write(&bytes));
    }
    for bytes in [
        zeros(1, 0, 0, 16), // no magic
        hello(0, 1),
        hello(2, 1),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ] {
        victim.closes_unopened("malformedFrame", 0x11, |session| session.write(&bytes));
    }
    victim.finish();
}

#[test]
fn frames_over_a_limit_are_refused_from_their_header() {
    let victim = Victim::new(&Settings::default());
    for bytes in [
        header(2, 0, 5000, 5000 * 48),
        header(2, 0, 1, 1 << 20),
        header(2, 0, 4097, 4097 * 48),
        header(2, 0, 1, u32::MAX),
        header(3, 0, 1, 8193),
        header(3, 0, 2, 1000),
        header(6, 0, 1, 8),
        header(6, 0, 0, 9),
    ] {
        victim.closes("frameTooLarge", 0x12, |session| session.write(&bytes));
    }
    victim.finish();
}

#[test]
fn frames_without_records_are_refused() {
    let victim = Victim::new(&Settings::default());
    victim.closes("emptyFrame", 0x15, |session| {
        session.write(&header(2, 0, 0, 0))
    });
    victim.closes("emptyFrame", 0x15, |session| {
        session.write(&header(3, 0, 0, 88))
    });
    victim.finish();
}

#[test]
fn unexpected_frames_are_refused() {
    let victim = Victim::new(&Settings::default());
    let record = random_check_in(&mut Random::new(1, 0), device(900), 1);
    victim.closes_unopened("unexpectedFrame", 0x13, |session| {
        session.check_ins(&[record])
    });
    victim.closes_unopened("unexpectedFrame", 0x13, |session| session.write(&goodbye()));
    victim.closes("unexpectedFrame", 0x13, |session| {
        session.write(&hello(1, 1))
    });
    let (mut ack, mut busy) = (Vec::new(), Vec::new());
    encode_ack(&mut ack, &muster_wire::AckTotals::default(), &[]);
    encode_busy(&mut busy, muster_wire::Busy { retry_after_ms: 1 });
    for bytes in [ack, busy] {
        victim.closes("unexpectedFrame", 0x13, |session| session.write(&bytes));
    }
    victim.finish();
}

#[test]
fn a_truncated_frame_leaves_nothing_behind() {
    let victim = Victim::new(&Settings::default());
    let fleet: Vec<_> = (900..910)
        .map(|number| random_check_in(&mut Random::new(number, 0), device(number), 1))
        .collect();
    let bytes = frame(&fleet).to_vec();
    for length in [1, 7, 8, 50, 8 + 48, 300, bytes.len() - 1] {
        victim.closes("truncatedFrame", 0x14, |session| {
            session.write(&bytes[..length]);
            session.finish();
        });
    }
    // The stream is reset instead of finished.
    victim.closes("truncatedFrame", 0x14, |session| {
        session.write(&bytes[..300]);
        let _ = session.send.reset(0_u32.into());
    });
    victim.closes_unopened("truncatedFrame", 0x14, |session| session.finish());
    victim.closes_unopened("truncatedFrame", 0x14, |session| {
        session.write(&hello(1, 1)[..10]);
        session.finish();
    });
    assert_eq!(victim.server.ops.device("contoso", device(900)), None);
    victim.finish();
}

#[test]
fn more_frames_than_the_window_allows_are_refused() {
    let listen = "window_frames_gateway = 2".to_owned();
    let victim = Victim::new(&Settings {
        listen,
        ..Settings::default()
    });
    // A known check-in, because frames within the window may take effect.
    let known = random_check_in(&mut Random::new(1, 0), device(0), 1);
    victim.closes("windowExceeded", 0x18, |session| {
        session.write(&frame(&[known]).repeat(20));
    });
    victim.finish();
}

#[test]
fn a_client_can_open_one_stream_and_nothing_else() {
    let victim = Victim::new(&Settings::default());
    let mut session = victim.session();
    let connection = session.raw.connection.clone();
    let short = std::time::Duration::from_millis(100);
    // The server gives no credit for further streams: a client that follows QUIC waits, another one is closed by QUIC
    // itself.

    wait(async {
        assert!(
            tokio::time::timeout(short, connection.open_bi())
                .await
                .is_err()
        );
        assert!(
            tokio::time::timeout(short, connection.open_uni())
                .await
                .is_err()
        );
    });
    assert!(
        connection
            .send_datagram(bytes::Bytes::from_static(b"roll call"))
            .is_err()
    );
    let check_in = random_check_in(&mut Random::new(5, 0), device(0), 7);
    session.check_ins(&[check_in]);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    victim.oracle.borrow_mut().check_in("contoso", &check_in);
    session.goodbye();
    victim.finish();
}

#[test]
fn packets_that_are_not_quic_are_dropped() {
    let victim = Victim::new(&Settings::default());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = Random::new(8, 0);
    for length in (0..1400).step_by(7) {
        let bytes: Vec<u8> = (0..length).map(|_| random.bits() as u8).collect();
        socket.send_to(&bytes, victim.server.quic).unwrap();
    }
    victim.finish();
}
