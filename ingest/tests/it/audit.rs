//! The audit of a running server gets round while devices check in, and finds nothing wrong.

use crate::harness::*;

#[test]
fn the_audit_gets_round_under_load_and_finds_no_drift() {
    let place = Installation::new();
    let server = place.start();
    let senders: Vec<Sender> = (1..=2)
        .map(|number| Sender::begin(&server, &place.pki, "contoso", number))
        .collect();
    eventually("every shard has been counted some times", || {
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
        assert!(sender.frames_acked() > 0, "it sent all the while");
        sender.finish(&mut oracle);
    }
    assert_eq!(server.ops.cells(), oracle.cells());
    assert_eq!(server.ops.get("/ready").0, 200);
}
