//! A stop that somebody cuts short, and the last word of every stop on what sessions received.

use muster_wire::limits::{HEADER_BYTES, SERVER_HELLO_BYTES};
use serde_json::Value;

use crate::harness::*;

/// What the log of a stopped server says of all records: received, acknowledged, unacknowledged.
#[track_caller]
pub(crate) fn accounts(log: &[Value]) -> [u64; 3] {
    let mut lines = log
        .iter()
        .filter(|line| line["message"] == "sessions ended");
    let (Some(line), None) = (lines.next(), lines.next()) else {
        panic!("not one line of accounts: {log:#?}")
    };
    ["received", "acknowledged", "unacknowledged"]
        .map(|account| line[account].as_u64().expect("a number"))
}

fn with_deadline(deadline: &str, quic_port: u16) -> Settings {
    let tenants = Settings::default().tenants;
    Settings {
        quic_port,
        listen: "frame_timeout = \"300s\"".to_owned(),
        tenants: format!("[shutdown]\ndeadline = \"{deadline}\"\n{tenants}"),
        ..Settings::default()
    }
}

/// The drain waits for a peer that takes the Hello and not a byte more, so not the Goodbye either.
#[test]
fn a_second_signal_ends_a_drain_at_once_and_costs_a_replay_only() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let place = Installation::new();
        let server = place.start_with(&with_deadline("600s", 0));
        let (mut random, mut oracle) = (Random::new(1, 0), Oracle::new());
        let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
        let fleet: Vec<_> = (0..20)
            .map(|number| random_check_in(&mut random, device(number), 1))
            .collect();
        session.check_ins(&fleet);
        session.acknowledged(1);
        session.goodbye();
        oracle.check_ins("contoso", &fleet);
        let credentials = place.pki.gateway("contoso", "gw-2");
        let window = (HEADER_BYTES + SERVER_HELLO_BYTES) as u32;
        let mut non_reading = Raw::dial_with_window(server.quic, &place.pki, &credentials, window)
            .expect("it connects")
            .stream();
        non_reading.write(&hello(1, 1));
        eventually("the session is open", || {
            (server.ops.sessions() == 1).then_some(())
        });

        server.signal(first);
        eventually("it drains", || {
            let log = server.log();
            log.iter()
                .any(|line| line["message"] == "draining")
                .then_some(())
        });
        server.signal(second);
        // SIGABRT, long before half of the deadline, at which the peer would be closed on.
        let (signal, log) = server.ended_by_signal();
        assert_eq!(signal, 6, "{log:#?}");
        let last = log.last().expect("it said something");
        assert_eq!(last["message"], "second signal, aborting", "{log:#?}");
        assert_eq!(last["signal"], format!("SIG{second}"));

        let server = place.start();
        assert_eq!(server.ops.cells(), oracle.cells());
        server.stop();
    }
}

#[test]
fn a_stop_in_mid_load_accounts_for_every_record() {
    // In good time, then in such haste that sessions are closed on.
    for deadline in ["60s", "100ms"] {
        let place = Installation::new();
        let server = place.start_with(&with_deadline(deadline, 0));
        let port = server.quic.port();
        let senders: Vec<_> = (1..=4)
            .map(|number| Sender::begin(&server, &place.pki, "contoso", number))
            .collect();
        eventually("every sender gets acks", || {
            let mut all = senders.iter();
            all.all(|sender| sender.frames_acked() >= 50).then_some(())
        });
        let log = server.stop();
        let [received, acknowledged, unacknowledged] = accounts(&log);
        assert_eq!(received, acknowledged + unacknowledged, "{deadline}");
        // Frames of 20. What a client was told is among what the server has said.
        let told: u64 = senders
            .iter()
            .map(|sender| sender.frames_acked() * 20)
            .sum();
        assert!(acknowledged >= told && told > 0, "{acknowledged}, {told}");
        if deadline == "60s" {
            assert_eq!(unacknowledged, 0, "what is read is acknowledged: {log:#?}");
        }
        let server = place.start_with(&with_deadline(deadline, port));
        let mut oracle = Oracle::new();
        for sender in senders {
            sender.finish(&mut oracle);
        }
        assert_eq!(server.ops.cells(), oracle.cells());
    }
}
