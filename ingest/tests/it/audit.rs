//! The audit of a running server completes rounds under load, finds no drift where there is none, and makes a server
//! with drift not ready.

use std::path::Path;

use muster_engine::{Effects, ShardId, ShardMap, TenantIndex};
use muster_ingest::clock;
use muster_store::CommitPart;
use serde_json::{Value, json};

use crate::behind::write_behind;
use crate::harness::*;

#[test]
fn the_audit_completes_rounds_under_load_and_finds_no_drift() {
    let place = Installation::new();
    let server = place.start();
    let senders: Vec<Sender> = (1..=2)
        .map(|number| Sender::start(&server, &place.pki, "contoso", number))
        .collect();
    eventually("every shard has been audited several times", || {
        let metrics = server.ops.metrics();
        assert_eq!(metrics.get("muster_audit_drift"), 0.0);
        let rounds = metrics.by_label("muster_audit_rounds_total");
        let devices = metrics.by_label("muster_audit_devices_total");
        let counted = rounds.values().all(|rounds| *rounds >= 10)
            && devices.values().all(|devices| *devices > 0);
        counted.then_some(())
    });
    let mut oracle = Oracle::new();
    for sender in senders {
        assert!(
            sender.frames_acked() > 0,
            "check-ins were sent during the audit"
        );
        sender.finish(&mut oracle);
    }
    assert_eq!(server.ops.cells(), oracle.cells());
    assert_eq!(server.ops.get("/ready").0, 200);
}

/// Adds a device that belongs to shard 1 to shard 0, as a bug in the router would.
fn put_a_device_into_the_wrong_shard(directory: &Path) {
    let map = ShardMap::new(2);
    let stray = (0..)
        .map(device)
        .find(|id| map.shard_of(id) == ShardId(1))
        .expect("every shard owns devices");
    write_behind(directory, |shards| {
        let (shard, mut effects) = (&mut shards[0], Effects::default());
        shard.begin(clock::wall(), &mut effects);
        let records = [random_check_in(&mut Random::new(1, 0), stray, 1)];
        let outcome = shard.apply_check_ins(TenantIndex(0), &records, &mut effects);
        assert_eq!(outcome.accepted, 1);
        let mut part = CommitPart {
            sequence: shard.seal(&mut effects),
            ..CommitPart::default()
        };
        effects.swap_journal(&mut part.journal);
        part
    });
}

#[test]
fn a_server_that_finds_drift_is_not_ready_and_logs_it_once() {
    let place = Installation::new();
    place.start().kill();
    put_a_device_into_the_wrong_shard(&place.data());
    let server = place.start();
    eventually("the audit finds the device", || {
        (server.ops.get("/ready").0 == 503).then_some(())
    });
    let (_, body) = server.ops.get("/ready");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["phase"], &body["reason"]),
        (&json!("serving"), &json!("drift"))
    );
    assert_eq!(server.ops.metrics().get("muster_audit_drift"), 1.0);
    // The audit continues and finds the same device in every round.
    eventually("more rounds", || {
        let rounds = server.ops.metrics().get("muster_audit_rounds_total");
        (rounds >= 10.0).then_some(())
    });
    let log = server.stop();
    let errors = log
        .iter()
        .filter(|line| line["level"] == "ERROR" && line["misplaced"] == 1);
    assert_eq!(errors.count(), 1, "{log:#?}");
}
