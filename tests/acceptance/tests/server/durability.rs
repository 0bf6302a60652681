//! Acknowledged check-ins survive every way in which a server can end.

use muster_client::Client;
use serde_json::Value;

use crate::harness::*;

/// Clients consider a connection lost after a second of silence, so that they reconnect quickly even if no reset
/// reaches them after a restart.
fn settings() -> Settings {
    Settings {
        listen: "idle_timeout = \"1s\"".to_owned(),
        ..Settings::default()
    }
}

/// The same settings with the port of the previous server, to which its clients reconnect.
fn settings_at(port: u16) -> Settings {
    Settings {
        quic_port: port,
        ..settings()
    }
}

fn senders(server: &Server, place: &Installation) -> Vec<Sender> {
    let tenants = ["contoso", "fabrikam", "contoso", "fabrikam"];
    let numbered = (1..).zip(tenants);
    numbered
        .map(|(number, tenant)| Sender::start(server, &place.pki, tenant, number))
        .collect()
}

/// Waits until every sender has this many more frames acknowledged.
#[track_caller]
fn acknowledge(senders: &[Sender], frames: u64) {
    let before: Vec<u64> = senders.iter().map(Sender::frames_acked).collect();
    eventually("every sender gets acks", || {
        let mut all = senders.iter().zip(&before);
        all.all(|(sender, before)| sender.frames_acked() >= before + frames)
            .then_some(())
    });
}

#[track_caller]
fn everything_acknowledged_is_stored(server: &Server, senders: &[Sender]) {
    for sender in senders {
        for (device, seq) in sender.acknowledged() {
            let stored = server.ops.seq(sender.tenant, device);
            assert!(
                stored >= seq,
                "{device}: {seq} was acknowledged, but {stored} is stored"
            );
        }
    }
}

/// Stops the senders and compares the counts with what they sent.
#[track_caller]
fn counts_are_exact(server: &Server, senders: Vec<Sender>) {
    let mut oracle = Oracle::new();
    for sender in senders {
        sender.finish(&mut oracle);
    }
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();
}

fn recovered(log: &[Value]) -> &Value {
    let mut lines = log.iter().filter(|line| line["message"] == "recovered");
    lines.next().expect("a server logs its recovery")
}

#[test]
fn a_kill_under_load_loses_nothing_acknowledged() {
    let place = Installation::new();
    let server = place.start_with(&settings());
    let port = server.quic.port();
    let senders = senders(&server, &place);
    acknowledge(&senders, 50);
    server.kill();

    let report = place.recount();
    assert_eq!(report["verified"], true, "{report:#}");
    assert!(report["devices"].as_u64() > Some(0));

    // On another port, so that no client can reconnect.
    let server = place.start_with(&settings());
    // The metric has the replayed bytes from the start, before the first check-in.
    let replayed = recovered(&server.log())["journal_bytes"].as_u64();
    let live = server.ops.metrics().get("muster_writer_journal_live_bytes");
    assert!(
        replayed > Some(0) && replayed == Some(live as u64),
        "{replayed:?}, {live}"
    );
    everything_acknowledged_is_stored(&server, &senders);
    server.ops.recount_is_verified();
    server.kill();

    let server = place.start_with(&settings_at(port));
    acknowledge(&senders, 50);
    assert!(senders.iter().all(|sender| sender.connections() >= 2));
    counts_are_exact(&server, senders);
}

#[test]
fn counts_stay_exact_after_several_kills() {
    let place = Installation::new();
    let mut server = place.start_with(&settings());
    let port = server.quic.port();
    let senders = senders(&server, &place);
    for _ in 0..3 {
        acknowledge(&senders, 10);
        server.kill();
        server = place.start_with(&settings_at(port));
    }
    acknowledge(&senders, 10);
    counts_are_exact(&server, senders);
}

#[test]
fn a_stop_under_load_sends_goodbye_and_leaves_nothing_to_replay() {
    let place = Installation::new();
    let server = place.start_with(&settings());
    let port = server.quic.port();
    let senders = senders(&server, &place);
    let mut idle = server.session(&place.pki, &place.pki.gateway("contoso", "idle"));
    acknowledge(&senders, 50);
    server.terminate();

    let Reply::Goodbye(goodbye) = idle.reply() else {
        panic!("not a Goodbye")
    };
    assert_eq!(goodbye.code, 0x30, "draining");
    assert!(goodbye.retry_after_ms > 0);
    assert!(matches!(
        idle.reply(),
        Reply::EndOfStream | Reply::Closed(_)
    ));
    assert_eq!(idle.raw.closed(), Closed::Application(0x30));
    let (code, log) = server.ended();
    assert_eq!(code, 0, "{log:#?}");
    let messages = log.iter().filter_map(|line| line["message"].as_str());
    assert!(
        messages.clone().any(|message| message == "stopped"),
        "{log:#?}"
    );
    assert!(
        !messages.clone().any(|message| message.contains("deadline")),
        "{log:#?}"
    );
    assert_eq!(place.recount()["verified"], true);

    let server = place.start_with(&settings());
    assert_eq!(recovered(&server.log())["journal_bytes"], 0);
    everything_acknowledged_is_stored(&server, &senders);
    server.stop();

    let server = place.start_with(&settings_at(port));
    counts_are_exact(&server, senders);
}

#[test]
fn a_stop_that_exceeds_its_deadline_loses_nothing_acknowledged() {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        more: "[shutdown]\ndeadline = \"100ms\"".to_owned(),
        ..settings()
    });
    let port = server.quic.port();
    let senders = senders(&server, &place);
    acknowledge(&senders, 50);
    server.stop();
    assert_eq!(place.recount()["verified"], true);

    let server = place.start_with(&settings());
    everything_acknowledged_is_stored(&server, &senders);
    server.stop();
    let server = place.start_with(&settings_at(port));
    counts_are_exact(&server, senders);
}

#[test]
fn checkpoints_under_load_change_neither_counts_nor_recovery() {
    let place = Installation::new();
    let store = "checkpoint_journal_bytes = \"64KiB\"\ngroup_bytes_max = \"64KiB\"".to_owned();
    let settings = Settings {
        store,
        ..settings()
    };
    let server = place.start_with(&settings);
    let port = server.quic.port();
    let senders = senders(&server, &place);
    eventually("both threads have ended three checkpoints", || {
        let checkpoints = server
            .ops
            .metrics()
            .by_label("muster_shard_checkpoints_total");
        (checkpoints.len() == 2 && checkpoints.values().all(|count| *count >= 3)).then_some(())
    });
    eventually("the journal is trimmed", || {
        (server.ops.metrics().get("muster_writer_trims_total") > 0.0).then_some(())
    });
    server.ops.recount_is_verified();
    server.kill();
    assert_eq!(place.recount()["verified"], true);

    let server = place.start_with(&Settings {
        quic_port: port,
        ..settings
    });
    let replayed = recovered(&server.log())["journal_bytes"].as_u64();
    assert!(
        replayed < Some(8 << 20),
        "the journal was trimmed: {replayed:?}"
    );
    acknowledge(&senders, 10);
    counts_are_exact(&server, senders);
}

#[test]
fn a_server_without_devices_stops_and_starts_again() {
    let place = Installation::new();
    for _ in 0..2 {
        let server = place.start();
        assert_eq!(server.ops.total()["devices"], 0);
        assert_eq!(recovered(&server.log())["devices"], 0);
        server.stop();
    }
    assert_eq!(place.recount()["verified"], true);
}

/// Asserts that a poisoned server answers from memory, but does not recount.
#[track_caller]
fn reads_continue(server: &Server) {
    let (status, body) = server.ops.get("/counts");
    assert!(
        status == 200 && body.contains("contoso"),
        "{status}: {body}"
    );
    let (status, body) = server.ops.recount();
    assert!(
        status == 503 && body["code"] == "storePoisoned",
        "{status}: {body}"
    );
}

#[test]
fn a_full_disk_stops_acks_but_not_reads_and_a_restart_has_everything_acknowledged() {
    let place = Installation::new();
    let server = place.start_on_small_disk(&settings(), 1 << 20);
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    let FilledDisk { sent, acked, end } = FilledDisk::fill(&mut session);
    assert!(
        acked > 0 && acked == sent.len() - 1,
        "{acked} of {}",
        sent.len()
    );
    assert_eq!(
        end,
        Reply::Closed(Closed::Application(0x32)),
        "storeUnavailable"
    );

    let (status, body) = server.ops.get("/ready");
    assert_eq!(status, 503);
    assert!(
        body.contains("poisoned") && body.contains("write or sync"),
        "{body}"
    );
    assert_eq!(server.ops.get("/live").0, 200);
    reads_continue(&server);
    let metrics = server.ops.metrics();
    assert_eq!(metrics.get("muster_store_poisoned"), 1.0);
    assert_eq!(metrics.get("muster_session_acks_total"), acked as f64);
    assert!(
        Raw::dial(server.quic, &place.pki, Some(&credentials)).is_err(),
        "new connections are refused"
    );
    let errors = server
        .log()
        .into_iter()
        .filter(|line| line["level"] == "ERROR")
        .count();
    assert_eq!(errors, 1, "the failure is logged once");
    server.kill();

    assert_eq!(place.recount()["verified"], true);
    let server = place.start_with(&settings());
    for number in 0..500 {
        assert!(server.ops.seq("contoso", device(number)) >= acked as u64);
    }
    // The unacknowledged frame is sent again, and every check-in counts once.
    let client: Client = server.client(&place.pki, &credentials);
    let mut oracle = Oracle::new();
    for records in &sent {
        oracle.check_ins("contoso", records);
    }
    wait(client.send(&sent[acked])).unwrap();
    wait(client.close()).unwrap();
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();
}

#[test]
fn a_restarted_server_resets_the_connections_of_the_previous_one() {
    let place = Installation::new();
    let server = place.start();
    let port = server.quic.port();
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    server.kill();
    let _server = place.start_with(&Settings {
        quic_port: port,
        ..Settings::default()
    });
    // Long before either side's idle timeout of 30 s.
    let check_in = random_check_in(&mut Random::new(1, 0), device(1), 1);
    session.check_ins(&[check_in]);
    let reset = Closed::Otherwise("reset by peer".to_owned());
    assert_eq!(session.raw.closed(), reset);
}

#[test]
fn a_stop_does_not_wait_for_the_rest_of_a_frame() {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        // Twice as long as the deadline of a test.
        more: "[shutdown]\ndeadline = \"120s\"".to_owned(),
        ..Settings::default()
    });
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let records: Vec<_> = (1..=40)
        .map(|seq| random_check_in(&mut Random::new(seq, 0), device(seq), 1))
        .collect();
    session.check_ins(&records);
    session.acknowledged(1);
    let half = frame(&records);
    session.write(&half[..half.len() / 2]);
    server.terminate();
    assert!(matches!(session.reply(), Reply::Goodbye(_)));
    let (code, log) = server.ended();
    assert_eq!(code, 0, "{log:#?}");
}
