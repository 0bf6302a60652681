//! Another number of threads on the same data directory.

use crate::harness::*;

/// X12: documented advice for another number of shards -> no such advice needed; every piece of advice in errors and docs
/// is tried by a test. Here: the number of shards is not in the configuration, and that of threads may change.
#[test]
fn x12_another_number_of_threads_needs_no_advice() {
    let place = Installation::new();
    let mut oracle = Oracle::new();
    for (threads, seq) in [(2, 1), (5, 2), (1, 3)] {
        let server = place.start_with(&Settings {
            shards: format!("threads = {threads}"),
            ..Settings::default()
        });
        assert_eq!(server.ops.cells(), oracle.cells(), "{threads} threads");
        let credentials = place.pki.gateway("contoso", "gw-1");
        let mut session = server.session(&place.pki, &credentials);
        let fleet: Vec<_> = (1..=500)
            .map(|number| record(healthy(device(number), seq)))
            .collect();
        session.check_ins(&fleet);
        assert_eq!(session.acknowledged(1).0.accepted, 500);
        session.goodbye();
        oracle.check_ins("contoso", &fleet);
        assert_eq!(server.ops.cells(), oracle.cells(), "{threads} threads");
        server.stop();
        assert_eq!(place.recount()["verified"], true);
    }
    let file = place.configure(&Settings {
        shards: "count = 4".to_owned(),
        ..Settings::default()
    });
    let refused = muster(&["config", "check", "--config", text(&file)]);
    assert!(refused.one_fault(3).contains("shards.count: unknown key"));
}
