//! Load: full inboxes, recounts under load, and the metrics.

use muster_wire::CheckInRecord;
use serde_json::Value;

use crate::harness::*;

const CLIENTS: u64 = 12;

/// Every limit at its minimum, so that sessions constantly wait for room.
#[test]
fn nothing_is_lost_and_counts_are_exact_with_the_smallest_queues() {
    let place = Installation::new();
    let shards =
        "threads = 2\ninbox_batches = 16\nbatch_check_ins_max = 4096\ncommits_in_flight = 1";
    let settings = Settings {
        shards: shards.to_owned(),
        ..Settings::default()
    };
    let server = place.start_with(&settings);
    let mut oracle = Oracle::new();
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let credentials = place.pki.gateway("contoso", &format!("gw-{number}"));
            let client = server.client(&place.pki, &credentials);
            let mut random = Random::new(number, 0);
            let sent: Vec<CheckInRecord> = (1..=4000)
                .map(|seq| {
                    let own = device(number * 1000 + random.below(100));
                    random_check_in(&mut random, own, seq)
                })
                .collect();
            oracle.check_ins("contoso", &sent);
            spawn(async move {
                // Small frames, because an inbox is bounded in shard batches.
                for records in sent.chunks(10) {
                    client.send(records).await.unwrap();
                }
                client.close().await.unwrap()
            })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += wait(task).unwrap().accepted;
    }
    assert_eq!(accepted, CLIENTS * 4000);
    assert_eq!(server.ops.cells(), oracle.cells());
    server.kill();
    assert_eq!(place.recount()["verified"], true);
    let server = place.start_with(&settings);
    assert_eq!(server.ops.cells(), oracle.cells());
}

#[test]
fn a_recount_under_load_finds_no_difference() {
    let place = Installation::new();
    let server = place.start();
    let senders: Vec<_> = (1..=3)
        .map(|number| Sender::start(&server, &place.pki, "contoso", number))
        .collect();
    for _ in 0..5 {
        let before: u64 = senders.iter().map(Sender::frames_acked).sum();
        server.ops.recount_is_verified();
        eventually("check-ins continue", || {
            let now: u64 = senders.iter().map(Sender::frames_acked).sum();
            (now > before).then_some(())
        });
    }
    let asked = muster(&["recount", "--json", "--server", &server.ops.base]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    let report: Value = serde_json::from_str(&asked.out).unwrap();
    assert_eq!(report["verified"], true, "{report:#}");
    let mut oracle = Oracle::new();
    for sender in senders {
        sender.finish(&mut oracle);
    }
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();
}

#[test]
fn one_recount_runs_at_a_time() {
    let place = Installation::new();
    let server = place.start();
    // Enough devices for a recount to take a while.
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let mut random = Random::new(31, 0);
    let fleet: Vec<_> = (0..30_000)
        .map(|number| random_check_in(&mut random, device(number), 1))
        .collect();
    wait(client.send(&fleet)).unwrap();
    wait(client.close()).unwrap();
    let (mut verified, mut refused) = (0, 0);
    eventually("one of several is refused", || {
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| server.ops.recount()))
                .collect();
            for answer in asked {
                match answer.join().unwrap() {
                    (200, report) => {
                        assert_eq!(report["verified"], true, "{report:#}");
                        verified += 1;
                    }
                    (409, error) => {
                        assert_eq!(error["code"], "recountRunning");
                        refused += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        (verified > 0 && refused > 0).then_some(())
    });
    server.ops.recount_is_verified();
}

#[test]
fn metrics_add_up_once_the_server_is_idle() {
    let place = Installation::new();
    let server = place.start();
    let (mut random, mut oracle) = (Random::new(32, 0), Oracle::new());
    let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    for seq in 1..=50 {
        let fleet: Vec<_> = (0..40)
            .map(|_| random_check_in(&mut random, device(seq % 20), seq))
            .collect();
        session.check_ins(&fleet);
        oracle.check_ins("contoso", &fleet);
        let mut bad = *fleet[0].as_bytes();
        bad[42] = 200;
        session.records(&[bad; 3]);
        session.acknowledged(2 * seq);
    }
    let old = random_check_in(&mut random, device(1), 1);
    session.check_ins(&[old]);
    oracle.check_in("contoso", &old);
    let (totals, _) = session.acknowledged(101);
    session.goodbye();

    let metrics = server.ops.metrics();
    let acknowledged = metrics.by_label("muster_session_records_acknowledged_total");
    let rejected = metrics.get("muster_session_records_rejected_total");
    let answers = ["accepted", "duplicate", "stale"].map(|outcome| acknowledged[outcome]);
    assert_eq!(acknowledged["rejected"], 150);
    assert_eq!(answers, oracle.answers);
    assert_eq!(answers, [totals.accepted, totals.duplicate, totals.stale]);
    assert_eq!((rejected, totals.rejected), (150.0, 150));
    let received = metrics.get("muster_session_records_received_total");
    assert_eq!(received, acknowledged.values().sum::<u64>() as f64);
    assert_eq!(metrics.get("muster_session_frames_total"), 101.0);
    assert_eq!(metrics.get("muster_shard_devices"), 20.0);

    // Each stage has been measured; the writer publishes its share ten times a second.
    for stage in [
        "decode_to_inbox",
        "inbox_to_apply",
        "apply_to_durable",
        "durable_to_ack",
    ] {
        let label = format!("{{stage=\"{stage}\"}}");
        eventually(stage, || {
            let metrics = server.ops.metrics();
            let count = metrics.get(&format!("muster_stage_latency_seconds_count{label}"));
            let sum = metrics.get(&format!("muster_stage_latency_seconds_sum{label}"));
            (count > 0.0 && sum > 0.0).then_some(())
        });
    }
}
