//! Rules change while the server runs: objects of tenants, over HTTP.

use muster_wire::CheckInRecord;
use serde_json::{Value, json};

use crate::harness::*;

const DEFENDER: &str =
    "/tenants/contoso/mobileThreatDefenseConnectors/fc780465-2017-40d4-a0c5-307022471b92";
const POLICIES: &str = "/tenants/contoso/deviceCompliancePolicies";
const SETTINGS: &str = "/tenants/contoso/settings";
const AUDIT: &str = "/tenants/contoso/auditEvents";

/// A registered Windows device at risk low, managed by Intune.
fn at_low_risk() -> CheckInRecord {
    record(healthy(device(1), 1))
}

fn windows_policy(level: &str) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
        "displayName": "Windows risk",
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": level,
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
        "assignments": [{ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }],
    })
}

#[track_caller]
fn compliance(server: &Server) -> (u64, u64) {
    let counts = server.ops.get_json("/counts?tenant=contoso")["total"]["compliance"].clone();
    let count = |name: &str| counts[name].as_u64().expect("a number");
    (count("compliant"), count("noncompliant"))
}

/// Sends a change that must succeed; returns its ETag, the number of devices that changed and the object.
#[track_caller]
fn change(server: &Server, method: &str, path: &str, body: &Value) -> (Option<String>, u64, Value) {
    let (changed, object) = server.ops.change(method, path, None, body);
    assert!((200..300).contains(&changed.status), "{changed:?}");
    (
        changed.etag,
        changed.devices.expect("the header is set"),
        object,
    )
}

#[test]
fn a_threshold_is_changed_while_the_server_runs_and_survives_a_kill() {
    let place = Installation::new();
    let server = place.start();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    wait(client.send(&[at_low_risk()])).unwrap();
    wait(client.close()).unwrap();
    assert_eq!(compliance(&server), (1, 0), "no policy sets a threshold");

    // A connector alone has no threshold: compliant, but for another reason.
    change(&server, "PUT", DEFENDER, &json!({ "windowsEnabled": true }));
    let (etag, devices, policy) = change(&server, "POST", POLICIES, &windows_policy("low"));
    assert_eq!(
        (compliance(&server), devices),
        ((1, 0), 1),
        "another reason for the same state"
    );
    let path = format!("{POLICIES}/{}", policy["id"].as_str().unwrap());
    let strict = json!({ "deviceThreatProtectionRequiredSecurityLevel": "secured" });
    let (changed, object) = server.ops.change("PATCH", &path, etag.as_deref(), &strict);
    assert_eq!(
        (changed.status, changed.devices),
        (200, Some(1)),
        "{object}"
    );
    assert_eq!(compliance(&server), (0, 1), "without another check-in");
    let received = server
        .ops
        .metrics()
        .get("muster_session_records_received_total");
    assert_eq!(received, 1.0);
    server.ops.recount_is_verified();

    // A client that read the policy before that change.
    let lenient = json!({ "deviceThreatProtectionRequiredSecurityLevel": "high" });
    let (stale, body) = server.ops.change("PATCH", &path, etag.as_deref(), &lenient);
    assert_eq!(
        (stale.status, &body["code"]),
        (412, &json!("preconditionFailed"))
    );
    assert_eq!(server.ops.get_json(&path), object);
    assert_eq!(compliance(&server), (0, 1));
    let audit = server.ops.get_json(AUDIT);
    let revision = server.ops.policy("contoso")["revision"].clone();

    server.kill();
    assert_eq!(place.recount()["verified"], true);
    let server = place.start();
    assert_eq!(compliance(&server), (0, 1));
    assert_eq!(server.ops.get_json(&path), object);
    assert_eq!(server.ops.get_json(AUDIT), audit);
    assert_eq!(
        server.ops.policy("contoso")["revision"],
        revision,
        "the rules are the same"
    );
    let (_, devices, _) = change(&server, "PATCH", &path, &lenient);
    assert_eq!((compliance(&server), devices), ((1, 0), 1));
    server.ops.recount_is_verified();
}

#[test]
fn a_bad_document_lists_every_fault_and_changes_nothing() {
    let place = Installation::new();
    let server = place.start();
    let body = json!({
        "displayName": "x".repeat(257),
        "deviceThreatProtectionRequiredSecurityLevel": "clear",
        "deviceThreatProtectionEnabled": 1,
    });
    let (refused, body) = server.ops.change("POST", POLICIES, None, &body);
    assert_eq!((refused.status, &body["code"]), (400, &json!("badRequest")));
    let details = body["details"].as_array().unwrap();
    let targets: Vec<_> = details
        .iter()
        .map(|fault| fault["target"].as_str().unwrap())
        .collect();
    let expected = [
        "@odata.type",
        "displayName",
        "deviceThreatProtectionEnabled",
        "deviceThreatProtectionRequiredSecurityLevel",
        "scheduledActionsForRule",
    ];
    assert_eq!(targets, expected);
    assert_eq!(server.ops.get_json(POLICIES), json!({ "value": [] }));
    let audit = server.ops.get_json(AUDIT);
    let events = audit["value"].as_array().unwrap();
    assert_eq!(events.len(), 1, "only the creation of the tenant: {audit}");
}

#[test]
fn an_audit_says_who_changed_what_and_when() {
    let place = Installation::new();
    let server = place.start();
    change(
        &server,
        "PATCH",
        SETTINGS,
        &json!({ "secureByDefault": true }),
    );
    change(&server, "PUT", DEFENDER, &json!({}));
    change(&server, "DELETE", DEFENDER, &Value::Null);
    let first = server.ops.get_json(&format!("{AUDIT}?limit=2"));
    let operations = |page: &Value| -> Vec<String> {
        let events = page["value"].as_array().unwrap();
        let name = |event: &Value| event["displayName"].as_str().unwrap().to_owned();
        events.iter().map(name).collect()
    };
    let expected = [
        "Delete MobileThreatDefenseConnector",
        "Create MobileThreatDefenseConnector",
    ];
    assert_eq!(operations(&first), expected);
    let next = first["@odata.nextLink"].as_str().unwrap();
    let next = next
        .strip_prefix(&server.ops.base)
        .expect("on the host of the request");
    let last = server.ops.get_json(next);
    let event = &last["value"][0];
    let expected = ["Patch DeviceManagementSettings", "Create Tenant"];
    assert_eq!(operations(&last), expected);
    assert_eq!(event["actor"]["userPrincipalName"], "local");
    let at = event["activityDateTime"].as_str().unwrap();
    assert!(at.starts_with("20") && at.ends_with('Z'), "{at}");
    let modified =
        json!([{ "displayName": "secureByDefault", "oldValue": "False", "newValue": "True" }]);
    assert_eq!(event["resources"][0]["modifiedProperties"], modified);
    let elsewhere = server.ops.get_json("/tenants/fabrikam/auditEvents");
    assert_eq!(operations(&elsewhere), ["Create Tenant"]);
}

#[test]
fn changes_are_refused_unless_the_configuration_allows_them() {
    let place = Installation::new();
    let server = place.start_with(&Settings {
        ops: String::new(),
        ..Settings::default()
    });
    let (refused, body) =
        server
            .ops
            .change("PATCH", SETTINGS, None, &json!({ "secureByDefault": true }));
    assert_eq!((refused.status, &body["code"]), (403, &json!("changesOff")));
    assert_eq!(server.ops.get_json(SETTINGS)["secureByDefault"], false);
}

/// Each change re-evaluates the devices of all shards, and the counters agree with every recount.
#[test]
fn changes_under_load_leave_exact_counts() {
    let place = Installation::new();
    let server = place.start();
    let client = server.client(&place.pki, &place.pki.gateway("contoso", "gw-1"));
    let mut random = Random::new(21, 0);
    change(
        &server,
        "PUT",
        DEFENDER,
        &json!({ "windowsEnabled": true, "iosEnabled": true }),
    );
    let (_, _, policy) = change(&server, "POST", POLICIES, &windows_policy("secured"));
    let path = format!("{POLICIES}/{}", policy["id"].as_str().unwrap());
    for (seq, level) in (1..).zip(["low", "medium", "high", "secured", "notSet", "low"]) {
        let fleet: Vec<_> = (0..2000)
            .map(|number| random_check_in(&mut random, device(number), seq))
            .collect();
        let sent = client.send(&fleet);
        let body = json!({ "deviceThreatProtectionRequiredSecurityLevel": level });
        change(&server, "PATCH", &path, &body);
        wait(sent).unwrap();
    }
    wait(client.close()).unwrap();
    server.ops.recount_is_verified();
    let total = server.ops.total();
    server.kill();
    assert_eq!(place.recount()["verified"], true);
    let server = place.start();
    assert_eq!(server.ops.total()["compliance"], total["compliance"]);
}
