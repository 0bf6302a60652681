//! Rules follow from the objects of a tenant, at once and after a restart.

use muster_engine::{TenantPolicy, Threshold};
use muster_wire::Platform;

use crate::harness::*;

fn strict() -> TenantPolicy {
    let mut strict = medium();
    strict.secure_by_default = true;
    for platform in [Platform::Windows, Platform::Ios] {
        strict.change_platform(platform, |rules| {
            rules.threshold = Threshold::Clear;
            rules.blocked_on_missing = true;
        });
    }
    strict.change_platform(Platform::Android, |rules| {
        rules.threshold = Threshold::NotSet
    });
    strict
}

#[test]
fn new_rules_apply_to_stored_devices_without_a_check_in() {
    let place = Installation::new();
    let server = place.start();
    // 1 is that of the empty server, 2 and 3 created the tenants.
    assert_eq!(server.ops.policy("contoso")["revision"], 3);
    server.ops.require_medium();
    let (mut random, mut oracle) = (Random::new(11, 0), Oracle::with_medium());
    for tenant in ["contoso", "fabrikam"] {
        let client = server.client(&place.pki, &place.pki.gateway(tenant, "gw-1"));
        let fleet: Vec<_> = (0..1000)
            .map(|number| random_check_in(&mut random, device(number), 1))
            .collect();
        wait(client.send(&fleet)).unwrap();
        oracle.check_ins(tenant, &fleet);
        wait(client.close()).unwrap();
    }
    assert_eq!(server.ops.cells(), oracle.cells());
    let revision = server.ops.policy("contoso")["revision"].clone();
    let lenient = server.ops.total()["compliance"].clone();
    server.stop();

    // The same rules are the same revision.
    let server = place.start();
    assert_eq!(server.ops.policy("contoso")["revision"], revision);
    assert_eq!(server.ops.total()["compliance"], lenient);

    oracle.set_policy(vec![strict(), medium()]);
    server.ops.put_in_force("contoso", &strict());
    assert_ne!(server.ops.policy("contoso")["revision"], revision);
    assert_eq!(server.ops.policy("contoso")["thresholds"]["iOS"], "clear");
    assert_eq!(
        server
            .ops
            .metrics()
            .get("muster_session_records_received_total"),
        0.0
    );
    let evaluated = server.ops.total()["compliance"].clone();
    assert_ne!(evaluated, lenient);
    assert_eq!(server.ops.cells(), oracle.cells());
    server.ops.recount_is_verified();

    // The results of the new rules are durable, and new check-ins are evaluated by them.
    server.kill();
    assert_eq!(place.recount()["verified"], true);
    let server = place.start();
    assert_eq!(server.ops.cells(), oracle.cells());
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let fleet: Vec<_> = (0..100)
        .map(|number| random_check_in(&mut random, device(number), 2))
        .collect();
    wait(client.send(&fleet)).unwrap();
    oracle.check_ins("contoso", &fleet);
    wait(client.close()).unwrap();
    assert_eq!(server.ops.cells(), oracle.cells());
}
