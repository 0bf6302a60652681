//! A stop that a second signal cuts short, and the record counts that the log of every stop ends with.

use serde_json::Value;

use crate::harness::*;

/// The record counts in the log of a stopped server: received, acknowledged, unacknowledged.
#[track_caller]
pub(crate) fn record_counts(log: &[Value]) -> [u64; 3] {
    let mut lines = log
        .iter()
        .filter(|line| line["message"] == "sessions ended");
    let (Some(line), None) = (lines.next(), lines.next()) else {
        panic!("not exactly one line of record counts: {log:#?}")
    };
    ["received", "acknowledged", "unacknowledged"]
        .map(|count| line[count].as_u64().expect("a number"))
}

fn with_deadline(deadline: &str, quic_port: u16) -> Settings {
    Settings {
        quic_port,
        listen: "frame_timeout = \"300s\"".to_owned(),
        more: format!("[shutdown]\ndeadline = \"{deadline}\""),
        ..Settings::default()
    }
}

/// The drain waits for a client that does not read the Goodbye.
#[test]
fn a_second_signal_aborts_a_drain_at_once_and_costs_only_a_replay() {
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
        let _session = server.session_that_does_not_read(&place.pki, &credentials);

        server.signal(first);
        server.has_logged("draining");
        server.signal(second);
        // SIGABRT, long before half of the deadline, when the server would close the session.
        let (signal, log) = server.ended_by_signal();
        assert_eq!(signal, 6, "{log:#?}");
        let last = log.last().expect("the log is not empty");
        assert_eq!(last["message"], "second signal: aborting", "{log:#?}");
        assert_eq!(last["signal"], format!("SIG{second}"));

        let server = place.start();
        assert_eq!(server.ops.cells(), oracle.cells());
        server.stop();
    }
}

#[test]
fn a_stop_under_load_accounts_for_every_record() {
    // With enough time, then with so little that sessions are closed before they are done.
    for deadline in ["60s", "100ms"] {
        let place = Installation::new();
        let server = place.start_with(&with_deadline(deadline, 0));
        let port = server.quic.port();
        let senders: Vec<_> = (1..=4)
            .map(|number| Sender::start(&server, &place.pki, "contoso", number))
            .collect();
        eventually("every sender gets acks", || {
            let mut all = senders.iter();
            all.all(|sender| sender.frames_acked() >= 50).then_some(())
        });
        let log = server.stop();
        let [received, acknowledged, unacknowledged] = record_counts(&log);
        assert_eq!(received, acknowledged + unacknowledged, "{deadline}");
        // Frames of 20. The server may have sent acks that clients did not receive, but not the reverse.
        let acks_received: u64 = senders
            .iter()
            .map(|sender| sender.frames_acked() * 20)
            .sum();
        assert!(
            acknowledged >= acks_received && acks_received > 0,
            "{acknowledged}, {acks_received}"
        );
        if deadline == "60s" {
            assert_eq!(
                unacknowledged, 0,
                "everything that was read is acknowledged: {log:#?}"
            );
        }
        let server = place.start_with(&with_deadline(deadline, port));
        let mut oracle = Oracle::new();
        for sender in senders {
            sender.finish(&mut oracle);
        }
        assert_eq!(server.ops.cells(), oracle.cells());
    }
}
