//! What operators do to devices: they remove and restore them, and give them policies by group.

use muster_wire::{CheckInRecord, RejectReason, Rejection};
use serde_json::{Value, json};

use crate::harness::*;

const DEVICES: &str = "/tenants/contoso/devices";

fn check_in(number: u64, seq: u64) -> CheckInRecord {
    record(healthy(device(number), seq))
}

/// Sends an order without a body; returns its status.
#[track_caller]
fn order(server: &Server, method: &str, path: &str) -> u16 {
    server.ops.change(method, path, None, &Value::Null).0.status
}

/// What a session got for its one check-in.
#[track_caller]
fn sent(place: &Installation, server: &Server, check_in: CheckInRecord) -> Option<RejectReason> {
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[check_in]);
    let (_, rejections) = session.acknowledged(1);
    session.goodbye();
    rejections.first().and_then(Rejection::reason)
}

#[track_caller]
fn property(server: &Server, number: u64, name: &str) -> Value {
    let device = server.ops.device("contoso", device(number));
    device.expect("the device is known")[name].clone()
}

#[track_caller]
fn total(server: &Server, name: &str) -> Value {
    server.ops.total()[name].clone()
}

/// The latest actions on a device, newest first.
#[track_caller]
fn history(server: &Server, number: u64) -> Vec<Value> {
    let path = format!("{DEVICES}/{}/history", device(number));
    let rows = server.ops.get_json(&path)["value"].clone();
    let rows = rows.as_array().expect("a list").iter();
    rows.map(|row| row["activityType"].clone()).collect()
}

#[test]
fn a_removed_device_is_not_counted_and_stays_out_until_it_is_restored() {
    let place = Installation::new();
    let server = place.start();
    for number in 1..=10 {
        assert_eq!(sent(&place, &server, check_in(number, 1)), None);
    }
    let path = format!("{DEVICES}/{}", device(3));
    assert_eq!(property(&server, 3, "removed_at"), Value::Null);
    assert_eq!(order(&server, "DELETE", &path), 204);
    assert_eq!(order(&server, "DELETE", &path), 204, "removed before");
    assert_eq!(total(&server, "devices"), 9);
    assert!(property(&server, 3, "removed_at").is_string());
    let removed = Some(RejectReason::DeviceRemoved);
    assert_eq!(sent(&place, &server, check_in(3, 2)), removed);
    server.ops.recount_is_verified();
    server.kill();

    let server = place.start();
    assert_eq!(total(&server, "devices"), 9);
    assert_eq!(sent(&place, &server, check_in(3, 3)), removed);
    let restore = format!("{path}/restore");
    assert_eq!(order(&server, "POST", &restore), 204);
    assert_eq!(order(&server, "POST", &restore), 204, "restored before");
    assert_eq!(total(&server, "devices"), 10);
    assert_eq!(property(&server, 3, "seq"), 1, "as it was");
    assert_eq!(sent(&place, &server, check_in(3, 4)), None);
    // What changed nothing is not recorded.
    let actions = ["restore ManagedDevice", "Delete ManagedDevice"];
    assert_eq!(history(&server, 3), actions);
    let unknown = format!("{DEVICES}/{}", device(11));
    assert_eq!(order(&server, "DELETE", &unknown), 404);
    assert_eq!(order(&server, "POST", &format!("{unknown}/restore")), 404);
    server.ops.recount_is_verified();
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}

#[test]
fn a_removed_device_is_forgotten_when_its_retention_ends() {
    const DAY: u64 = 24 * 3600;
    let place = Installation::new();
    let (server, clock) = place.start_with_clock();
    let settings = json!({ "removedRetentionDays": 2 });
    let (changed, _) = server
        .ops
        .change("PATCH", "/tenants/contoso/settings", None, &settings);
    assert_eq!(changed.status, 200);
    for number in [1, 2] {
        assert_eq!(sent(&place, &server, check_in(number, 7)), None);
    }
    let path = format!("{DEVICES}/{}", device(1));
    assert_eq!(order(&server, "DELETE", &path), 204);
    clock.advance(2 * DAY - 60);
    assert!(server.ops.device("contoso", device(1)).is_some());
    clock.advance(120);
    assert!(server.ops.device("contoso", device(1)).is_none());
    assert_eq!(order(&server, "POST", &format!("{path}/restore")), 404);
    // It may come back as a new device, whose numbers begin again.
    assert_eq!(sent(&place, &server, check_in(1, 1)), None);
    assert_eq!(total(&server, "devices"), 2);
    server.ops.recount_is_verified();
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}

/// A policy for Windows with the level low, included in one group and excluded from another.
fn policy(included: &str, excluded: &str) -> Value {
    let target = |name: &str, group: &str| {
        json!({ "target": {
            "@odata.type": format!("#microsoft.graph.{name}"), "groupId": group,
        }})
    };
    json!({
        "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
        "displayName": "ring 0",
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": "secured",
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
        "assignments": [
            target("groupAssignmentTarget", included),
            target("exclusionGroupAssignmentTarget", excluded),
        ],
    })
}

#[track_caller]
fn create(server: &Server, path: &str, body: &Value) -> String {
    let path = format!("/tenants/contoso/{path}");
    let (created, body) = server.ops.change("POST", &path, None, body);
    assert_eq!(created.status, 201, "{body}");
    body["id"].as_str().expect("an id").to_owned()
}

fn group(name: &str) -> Value {
    json!({
        "displayName": name, "mailEnabled": false, "mailNickname": name, "securityEnabled": true,
    })
}

/// Adds a device to a group, or removes it.
#[track_caller]
fn join(server: &Server, group: &str, number: u64, joins: bool) {
    let path = format!("/tenants/contoso/groups/{group}/members");
    let member = format!(
        "http://localhost/tenants/contoso/devices/{}",
        device(number)
    );
    let status = if joins {
        let body = json!({ "@odata.id": member });
        let (changed, _) = server
            .ops
            .change("POST", &format!("{path}/$ref"), None, &body);
        changed.status
    } else {
        order(server, "DELETE", &format!("{path}/{}/$ref", device(number)))
    };
    assert_eq!(status, 204);
}

#[test]
fn a_policy_of_a_group_applies_to_its_members_at_once_and_after_a_kill() {
    let place = Installation::new();
    let server = place.start();
    server.ops.require_medium();
    for number in 1..=4 {
        assert_eq!(sent(&place, &server, check_in(number, 1)), None);
    }
    let (pilot, spared) = (
        create(&server, "groups", &group("pilot")),
        create(&server, "groups", &group("spared")),
    );
    // Before it has members, and after.
    join(&server, &pilot, 1, true);
    create(
        &server,
        "deviceCompliancePolicies",
        &policy(&pilot, &spared),
    );
    join(&server, &pilot, 2, true);
    join(&server, &pilot, 3, true);
    join(&server, &spared, 3, true);
    let compliance = |server: &Server| {
        [1, 2, 3, 4].map(|number| property(server, number, "compliance").to_string())
    };
    let (bad, good) = ("\"noncompliant\"", "\"compliant\"");
    assert_eq!(compliance(&server), [bad, bad, good, good]);
    server.ops.recount_is_verified();
    server.kill();
    let server = place.start();
    assert_eq!(compliance(&server), [bad, bad, good, good]);
    join(&server, &spared, 3, false);
    join(&server, &pilot, 1, false);
    assert_eq!(compliance(&server), [good, bad, bad, good]);
    let delete = format!("/tenants/contoso/groups/{pilot}");
    assert_eq!(order(&server, "DELETE", &delete), 204);
    assert_eq!(compliance(&server), [good; 4]);
    server.ops.recount_is_verified();
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}
