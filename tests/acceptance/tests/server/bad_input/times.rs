//! Clients that stop in the middle, and those that never pause.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::*;

#[test]
fn a_client_that_sends_no_hello_is_closed() {
    // Ample for other clients, even on a busy machine.
    let listen = "hello_timeout = \"2s\"".to_owned();
    let victim = Victim::new(&Settings {
        listen,
        ..Settings::default()
    });
    let credentials = victim.place.pki.gateway("contoso", "gw-1");
    let dial = || Raw::dial(victim.server.quic, &victim.place.pki, Some(&credentials)).unwrap();
    // Both at the same time, because each takes as long as the timeout.
    let silent = dial();
    let mut half = dial().stream();
    half.write(&hello(1, 1)[..20]);
    assert_eq!(closed(&mut half), Closed::Application(0x16));
    assert_eq!(silent.closed(), Closed::Application(0x16));
    assert_eq!(
        victim.server.ops.metrics().by_label(CLOSED)["helloTimeout"],
        2
    );
    victim.causes.borrow_mut().insert("helloTimeout");
    victim.finish();
}

#[test]
fn a_frame_that_is_never_completed_is_closed() {
    let listen = "frame_timeout = \"300ms\"".to_owned();
    let victim = Victim::new(&Settings {
        listen,
        ..Settings::default()
    });
    let fleet: Vec<_> = (900..910)
        .map(|number| random_check_in(&mut Random::new(number, 0), device(number), 1))
        .collect();
    let bytes = frame(&fleet).to_vec();
    // Silent between frames for longer than the timeout, which is allowed.
    let mut patient = victim.session();
    for length in [3, 100] {
        victim.closes("frameTimeout", 0x17, |session| {
            session.write(&bytes[..length]);
        });
    }
    patient.check_ins(&fleet);
    assert_eq!(patient.acknowledged(1).0.accepted, 10);
    victim.oracle.borrow_mut().check_ins("contoso", &fleet);
    patient.goodbye();
    victim.finish();
}

#[test]
fn a_client_that_never_pauses_does_not_count_as_stalled() {
    const FRAME_TIMEOUT: Duration = Duration::from_secs(1);
    let listen = format!("frame_timeout = \"{}s\"", FRAME_TIMEOUT.as_secs());
    let victim = Victim::new(&Settings {
        listen,
        ..Settings::default()
    });
    let check_in = |seq| random_check_in(&mut Random::new(seq, 0), device(900), seq);
    let mut session = victim.session();
    let began = Instant::now();
    let mut sent = 0;
    // Whenever the server has read everything, it is in the middle of a frame, but never of the same one for long.

    while began.elapsed() < 3 * FRAME_TIMEOUT {
        let (this, next) = (frame(&[check_in(sent + 1)]), frame(&[check_in(sent + 2)]));
        let from = if sent == 0 { 0 } else { this.len() / 2 };
        session.write(&[&this[from..], &next[..next.len() / 2]].concat());
        sent += 1;
        assert_eq!(session.acknowledged(sent).0.accepted, sent);
    }
    let last = frame(&[check_in(sent + 1)]);
    session.write(&last[last.len() / 2..]);
    assert_eq!(session.acknowledged(sent + 1).0.accepted, sent + 1);
    for seq in 1..=sent + 1 {
        let mut oracle = victim.oracle.borrow_mut();
        oracle.check_in("contoso", &check_in(seq));
    }
    session.goodbye();
    victim.finish();
}
