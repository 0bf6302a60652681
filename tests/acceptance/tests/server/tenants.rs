//! Tenants come and go while the server runs.

use muster_wire::CheckInRecord;
use serde_json::{Value, json};

use crate::harness::*;

/// `unknownTenant`
const UNKNOWN: Closed = Closed::Application(0x22);

fn without_tenants() -> Settings {
    Settings {
        tenants: Vec::new(),
        ..Settings::default()
    }
}

fn check_in(number: u64, seq: u64) -> CheckInRecord {
    record(healthy(device(number), seq))
}

/// Sends a change; returns its status and, for an error, its code.
#[track_caller]
fn change(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let (changed, body) = server.ops.change(method, path, None, body);
    (changed.status, body["code"].clone())
}

#[track_caller]
fn create(server: &Server, name: &str) {
    let created = change(server, "POST", "/tenants", &json!({ "name": name }));
    assert_eq!(created, (201, Value::Null));
}

/// How a new connection of a client is closed.
#[track_caller]
fn refused(place: &Installation, server: &Server, credentials: &Credentials) -> Closed {
    let raw = Raw::dial(server.quic, &place.pki, Some(credentials)).expect("a handshake");
    raw.closed()
}

fn tenants(server: &Server) -> Vec<String> {
    let counts = server.ops.get_json("/counts");
    let rows = counts["tenants"].as_array().expect("a list").iter();
    rows.map(|row| row["tenant"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn the_devices_of_a_new_tenant_are_admitted_at_once_and_after_a_kill() {
    let place = Installation::new();
    let server = place.start_with(&without_tenants());
    assert_eq!(tenants(&server), [""; 0]);
    let credentials = ["contoso", "fabrikam"].map(|name| place.pki.gateway(name, "gw-1"));
    for credentials in &credentials {
        assert_eq!(refused(&place, &server, credentials), UNKNOWN);
    }
    let mut oracle = Oracle::new();
    for (name, credentials) in ["contoso", "fabrikam"].into_iter().zip(&credentials) {
        create(&server, name);
        let mut session = server.session(&place.pki, credentials);
        let fleet: Vec<_> = (1..=100).map(|number| check_in(number, 1)).collect();
        session.check_ins(&fleet);
        assert_eq!(session.acknowledged(1).0.accepted, 100);
        session.goodbye();
        oracle.check_ins(name, &fleet);
    }
    assert_eq!(server.ops.cells(), oracle.cells());
    server.kill();
    let server = place.start_with(&without_tenants());
    assert_eq!(tenants(&server), ["contoso", "fabrikam"]);
    assert_eq!(server.ops.cells(), oracle.cells());
    let mut session = server.session(&place.pki, &credentials[1]);
    session.check_ins(&[check_in(1, 2)]);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    session.goodbye();
    server.ops.recount_is_verified();
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}

#[test]
fn a_tenant_with_devices_cannot_be_deleted_and_goes_on() {
    let place = Installation::new();
    let server = place.start();
    let mut session = server.session(&place.pki, &place.pki.gateway("fabrikam", "gw-1"));
    session.check_ins(&[check_in(1, 1), check_in(2, 1)]);
    session.acknowledged(1);
    let (changed, body) = server
        .ops
        .change("DELETE", "/tenants/fabrikam", None, &Value::Null);
    assert_eq!(
        (changed.status, &body["code"]),
        (409, &json!("tenantHasDevices"))
    );
    assert!(
        body["message"].as_str().unwrap().contains("2 devices"),
        "{body}"
    );
    session.check_ins(&[check_in(1, 2)]);
    assert_eq!(session.acknowledged(2).0.accepted, 3);
    session.goodbye();
    assert_eq!(tenants(&server), ["contoso", "fabrikam"]);
}

#[test]
fn a_deleted_tenant_is_gone_at_once_and_its_name_can_be_used_again() {
    let place = Installation::new();
    let server = place.start();
    // Nothing that its gateway sends creates a device.
    server.ops.put_in_force("fabrikam", &no_creation());
    let credentials = place.pki.gateway("fabrikam", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[check_in(1, 1)]);
    assert_eq!(session.acknowledged(1).0.rejected, 1);
    let mut other = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    assert_eq!(
        change(&server, "DELETE", "/tenants/fabrikam", &Value::Null),
        (204, Value::Null)
    );
    assert_eq!(session.raw.closed(), UNKNOWN);
    assert_eq!(refused(&place, &server, &credentials), UNKNOWN);
    assert_eq!(tenants(&server), ["contoso"]);
    let (status, _) = server.ops.get("/tenants/fabrikam/settings");
    assert_eq!(status, 404);
    let metrics = server.ops.metrics();
    assert!(
        !metrics
            .by_label("muster_tenant_cells")
            .contains_key("fabrikam")
    );
    assert_eq!(
        metrics.by_label("muster_net_connections_closed_total")["unknownTenant"],
        2
    );
    other.check_ins(&[check_in(1, 1)]);
    assert_eq!(
        other.acknowledged(1).0.accepted,
        1,
        "another tenant is not affected"
    );

    // The new tenant has nothing of the old one.
    create(&server, "fabrikam");
    let settings = server.ops.get_json("/tenants/fabrikam/settings");
    assert_eq!(settings["autoCreateDevices"], true);
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[check_in(1, 1)]);
    assert_eq!(session.acknowledged(1).0.accepted, 1);
    session.goodbye();
    other.goodbye();
    server.kill();
    let server = place.start();
    assert_eq!(tenants(&server), ["contoso", "fabrikam"]);
    assert_eq!(server.ops.seq("fabrikam", device(1)), 1);
    let audit = server.ops.get_json("/auditEvents");
    let events = audit["value"].as_array().unwrap().iter();
    let events: Vec<_> = events
        .map(|event| event["activityType"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "Create Tenant",
            "Delete Tenant",
            "Create Tenant",
            "Create Tenant"
        ]
    );
    server.ops.recount_is_verified();
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}

#[test]
fn the_number_of_tenants_is_bounded() {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        shards: "threads = 2\ntenants_max = 2".to_owned(),
        ..Settings::default()
    });
    let third = || change(&server, "POST", "/tenants", &json!({ "name": "adatum" }));
    assert_eq!(third(), (409, json!("limitReached")));
    assert_eq!(
        change(&server, "DELETE", "/tenants/contoso", &Value::Null).0,
        204
    );
    assert_eq!(third().0, 201);
}
