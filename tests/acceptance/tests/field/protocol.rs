//! A client written only from docs/reference/PROTOCOL.md, against a real server.

use muster_wire::limits::REJECTIONS_PER_ACK_MAX;
use muster_wire::{CheckInBytes, RejectReason};

use crate::harness::*;

/// The default window of a gateway, in frames.
const WINDOW: u64 = 64;

/// Sends a window of frames at once, of which 2 to 24 have ten bad records each, and asserts that each ack lists only
/// rejections of the frames that it covers. `bad` makes a record from its seq.
#[track_caller]
fn acks_list_their_own_rejections(
    session: &mut Session,
    round: u64,
    bad: impl Fn(u64) -> CheckInBytes,
) {
    const BAD: u64 = 10;
    let has_bad = |frame: u64| (2..=24).contains(&frame);
    let seq = |frame: u64, index: u64| (round * WINDOW + frame) * 100 + index;
    let mut bytes = Vec::new();
    for frame in 1..=WINDOW {
        let bad = (0..BAD)
            .filter(|_| has_bad(frame))
            .map(|index| bad(seq(frame, index)));
        let records: Vec<_> = std::iter::once(*known().as_bytes()).chain(bad).collect();
        bytes.extend(frame_of(&records));
    }
    session.write(&bytes);
    let before = round * WINDOW;
    let mut covered = before;
    let mut rejected = round * 23 * BAD;
    while covered < before + WINDOW {
        let Reply::Ack(ack) = session.reply() else {
            panic!("not an ack");
        };
        let frames = covered + 1..=ack.totals.frames;
        let expected: Vec<u64> = frames
            .clone()
            .filter(|frame| has_bad(frame - before))
            .flat_map(|frame| (0..BAD).map(move |index| seq(frame - before, index)))
            .collect();
        let new = ack.totals.rejected - rejected;
        assert_eq!(new, expected.len() as u64, "the count of frames {frames:?}");
        let listed: Vec<u64> = ack.rejections.iter().map(|one| one.seq).collect();
        assert_eq!(listed.len(), expected.len().min(REJECTIONS_PER_ACK_MAX));
        assert!(
            listed.iter().all(|seq| expected.contains(seq)),
            "an ack of the frames {frames:?} lists {listed:?}"
        );
        (covered, rejected) = (ack.totals.frames, ack.totals.rejected);
    }
}

/// X24: frames pipelined, 64 in flight, bad records in frames 2 to 24 -> an ack lists rejections of the frames it
/// covers.
#[test]
fn x24_an_ack_lists_the_rejections_of_the_frames_it_covers() {
    let victim = Victim::new(&Settings::default());
    let mut session = victim.session();
    for round in 0..20 {
        // The session rejects an unknown risk.
        acks_list_their_own_rejections(&mut session, round, |seq| {
            let mut record = *random_check_in(&mut Random::new(1, 0), device(901), seq).as_bytes();
            record[42] = 6;
            record
        });
    }
    session.goodbye();
    victim.causes.borrow_mut().insert("unknownRisk");
    victim.finish();
}

/// X24: frames pipelined, 64 in flight, bad records in frames 2 to 24 -> an ack lists rejections of the frames it
/// covers. Here shards refuse the records, not the session.
#[test]
fn x24_an_ack_lists_the_rejections_by_shards_of_the_frames_it_covers() {
    let place = Installation::new();
    let credentials = place.pki.gateway("contoso", "gw-1");
    let server = place.start();
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[known()]);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    session.goodbye();
    server.ops.put_in_force("contoso", &no_creation());
    let mut session = server.session(&place.pki, &credentials);
    for round in 0..20 {
        // These devices are in all shards.
        acks_list_their_own_rejections(&mut session, round, |seq| {
            *random_check_in(&mut Random::new(1, 0), device(1000 + seq % 10), seq).as_bytes()
        });
    }
    session.goodbye();
    server.ops.recount_is_verified();
}

/// The code and reason with which the server closes the connection.
#[track_caller]
fn end(session: &mut Session) -> (u64, String) {
    closed(session);
    match wait(session.raw.connection.closed()) {
        quinn::ConnectionError::ApplicationClosed(close) => {
            let reason = String::from_utf8(close.reason.to_vec()).expect("the reason is UTF-8");
            (close.error_code.into_inner(), reason)
        }
        other => panic!("closed without a code: {other}"),
    }
}

/// A connection on which nothing was sent.
fn silent(victim: &Victim) -> Session {
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let raw = Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials));
    raw.expect("the server accepts the connection").stream()
}

/// X25: STOP_SENDING with 20 frames pending; RESET_STREAM before Hello -> the documented code; the document says what
/// these do. Here STOP_SENDING.
#[test]
fn x25_a_client_that_stops_the_stream_of_acks_is_closed_with_stream_stopped() {
    let victim = Victim::new(&Settings::default());
    let stopped = (0x19, "streamStopped".to_owned());
    let pending = frame(&[known()]).repeat(20);
    victim.refuses(CLOSED, "streamStopped", || {
        let mut session = victim.session();
        session.stop_reading();
        session.write(&pending);
        assert_eq!(end(&mut session), stopped);
    });
    // The same before the server's first frame.
    victim.refuses(CLOSED, "streamStopped", || {
        let mut session = silent(&victim);
        session.stop_reading();
        session.write(&hello(1, 1));
        assert_eq!(end(&mut session), stopped);
    });
    victim.finish();
}

/// X25: STOP_SENDING with 20 frames pending; RESET_STREAM before Hello -> the documented code; the document says what
/// these do. Here RESET_STREAM.
#[test]
fn x25_a_stream_that_is_reset_is_closed_with_truncated_frame() {
    let victim = Victim::new(&Settings::default());
    let truncated = (0x14, "truncatedFrame".to_owned());
    for bytes in [0, 10] {
        victim.refuses(CLOSED, "truncatedFrame", || {
            let mut session = silent(&victim);
            session.write(&hello(1, 1)[..bytes]);
            let _ = session.send.reset(7_u32.into());
            assert_eq!(end(&mut session), truncated);
        });
    }
    // After Hello: between two frames, within one, and with frames pending.
    let one = frame(&[known()]);
    for bytes in [Vec::new(), one[..30].to_vec(), one.repeat(20)] {
        victim.refuses(CLOSED, "truncatedFrame", || {
            let mut session = victim.session();
            session.write(&bytes);
            let _ = session.send.reset(0_u32.into());
            assert_eq!(end(&mut session), truncated);
        });
    }
    victim.finish();
}

/// X26: inventory slot `ab ff 63 64 ff ff ff ff` -> refused. The kind: bytes that no field needs.
#[test]
fn x26_an_inventory_in_a_non_canonical_form_is_refused() {
    let victim = Victim::new(&Settings::default());
    let good = inventory_of(device(3), &["ab"])
        .to_bytes()
        .expect("a valid inventory");
    let (root, name) = (good.len() - 88, good.len() - 88 + 32);
    let with = |at: usize, bytes: &[u8]| {
        let mut archive = good.clone();
        archive[at..at + bytes.len()].copy_from_slice(bytes);
        archive
    };
    let archives = [
        // The slot in the row above, with the letters a and b, and with the byte 0xab.
        with(name, b"ab\xffcd\xff\xff\xff"),
        with(name, b"\xab\xff\x63\x64\xff\xff\xff\xff"),
        // The tag's slot, and the padding before it and before the root.
        with(24, b"ab\xffcd\xff\xff\xff"),
        with(22, &[1]),
        [&[0; 8], &good[..]].concat(),
    ];
    assert_eq!((root, &good[24..26]), (32, &b"ab"[..]));
    for archive in archives {
        victim.refuses(REJECTED, "invalidInventory", || {
            let mut session = victim.session();
            session.write(&inventory_frame(&archive));
            let (totals, rejections) = session.acknowledged(1);
            assert_eq!((totals.accepted, totals.rejected), (0, 1));
            assert_eq!(rejections[0].reason(), Some(RejectReason::InvalidInventory));
            session.goodbye();
        });
    }
    let stored = victim
        .server
        .ops
        .device("contoso", device(3))
        .expect("the device is known");
    assert!(stored["inventory"].is_null(), "{stored:#}");
    // The canonical form is accepted.

    let mut session = victim.session();
    session.write(&inventory_frame(&good));
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    session.goodbye();
    let inventory = inventory_of(device(3), &["ab"]);
    victim.oracle.borrow_mut().inventory("contoso", &inventory);
    victim.finish();
}
