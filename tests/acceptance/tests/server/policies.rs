//! Rules change with the configuration, at a restart.

use muster_engine::{TenantPolicy, Threshold};
use muster_wire::Platform;

use crate::harness::*;

const STRICT: &str = r#"
[[tenants]]
name = "contoso"
secure_by_default = true
threat_threshold = { windows = "clear", iOS = "clear", android = "notSet" }
blocked_on_missing_partner_data = { windows = true, iOS = true }
[[tenants]]
name = "fabrikam"
"#;

fn strict() -> TenantPolicy {
    let mut strict = TenantPolicy::default();
    strict.secure_by_default = true;
    strict.set_threshold(Platform::Windows, Threshold::Clear);
    strict.set_threshold(Platform::Ios, Threshold::Clear);
    strict.set_threshold(Platform::Android, Threshold::NotSet);
    strict.set_blocked_on_missing(Platform::Windows, true);
    strict.set_blocked_on_missing(Platform::Ios, true);
    strict
}

#[test]
fn new_rules_apply_to_stored_devices_without_a_check_in() {
    let place = Installation::new();
    let server = place.start();
    let (mut random, mut oracle) = (Random::new(11, 0), Oracle::new());
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
    assert_eq!(server.ops.policy("contoso")["revision"], 1);
    let lenient = server.ops.total()["compliance"].clone();
    server.stop();

    // The same rules are the same revision.
    let server = place.start();
    assert_eq!(server.ops.policy("contoso")["revision"], 1);
    assert_eq!(server.ops.total()["compliance"], lenient);
    server.stop();

    oracle.set_policy(vec![strict(), TenantPolicy::default()]);
    let settings = Settings {
        tenants: STRICT.to_owned(),
        ..Settings::default()
    };
    let server = place.start_with(&settings);
    assert_eq!(server.ops.policy("contoso")["revision"], 2);
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
    let server = place.start_with(&settings);
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

/// A tenant that is no longer configured is refused, but its devices are kept.
#[test]
fn a_tenant_that_is_no_longer_configured_keeps_its_devices_and_is_refused() {
    let place = Installation::new();
    let server = place.start();
    let credentials = place.pki.gateway("fabrikam", "gw-1");
    let client = server.client(&place.pki, &credentials);
    let (mut random, mut oracle) = (Random::new(12, 0), Oracle::new());
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
