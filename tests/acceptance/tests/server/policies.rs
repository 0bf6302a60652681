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
    assert_eq!(server.ops.policy("contoso")["revision"], 1);
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

/// A tenant that is no longer configured is refused, but its devices and rules are kept.
#[test]
fn a_tenant_that_is_no_longer_configured_keeps_its_devices_and_is_refused() {
    let place = Installation::new();
    let server = place.start();
    let credentials = place.pki.gateway("fabrikam", "gw-1");
    let client = server.client(&place.pki, &credentials);
    server.ops.require_medium();
    let (mut random, mut oracle) = (Random::new(12, 0), Oracle::with_medium());
    let fleet: Vec<_> = (0..50)
        .map(|number| random_check_in(&mut random, device(number), 1))
        .collect();
    wait(client.send(&fleet)).unwrap();
    wait(client.close()).unwrap();
    oracle.check_ins("fabrikam", &fleet);
    server.stop();

    let tenants = "[[tenants]]\nname = \"contoso\"\n".to_owned();
    let server = place.start_with(&Settings {
        tenants,
        ..Settings::default()
    });
    assert_eq!(server.ops.cells(), oracle.cells());
    let raw = Raw::dial(server.quic, &place.pki, Some(&credentials)).unwrap();
    assert_eq!(raw.closed(), Closed::Application(0x22), "unknownTenant");
    server.ops.recount_is_verified();
}
