//! Assignment filters.

use muster_control::{Change, Entry, Handling, Key, Refusal};
use serde_json::{Value, json};

use crate::support::*;

const RULE: &str =
    "(device.manufacturer -eq \"Dell\") and (device.deviceOwnership -eq \"Corporate\")";

fn filter() -> Value {
    json!({
        "displayName": "Corporate Dell",
        "platform": "Windows10AndLater",
        "rule": RULE,
        "roleScopeTags": ["0"],
    })
}

/// Windows devices that match a filter.
fn policy(filter: Key) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
        "displayName": "filtered",
        "scheduledActionsForRule": block_at_once(),
        "assignments": [{ "target": {
            "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget",
            "deviceAndAppManagementAssignmentFilterId": filter.id_text(),
            "deviceAndAppManagementAssignmentFilterType": "include",
        }}],
    })
}

#[test]
fn a_filter_is_created_changed_and_shown() {
    let mut plane = plane();
    let key = Key::Filter(id(1));
    let entry = create(&mut plane, key, filter());
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    let expected = json!({
        "@odata.type": "#microsoft.graph.deviceAndAppManagementAssignmentFilter",
        "id": id(1).to_string(),
        "displayName": "Corporate Dell",
        "description": "",
        "platform": "windows10AndLater",
        "rule": RULE,
        "roleScopeTags": ["0"],
        "assignmentFilterManagementType": "devices",
    });
    assert_eq!(document(&plane, key), expected);
    let mut whole = expected;
    whole["payloads"] = json!([]);
    assert_eq!(
        plane.decide(&command(patch(key, whole))),
        Err(Refusal::Unchanged)
    );
    update(
        &mut plane,
        key,
        json!({ "rule": "device.model -startsWith 'L'" }),
    );
    assert_eq!(
        faults_of(&plane, patch(key, json!({ "platform": "iOS" }))),
        ["platform"]
    );
    let missing = faults_of(&plane, creation(Key::Filter(id(2)), json!({})));
    assert_eq!(missing, ["displayName", "platform", "rule"]);
    let mut wrong = filter();
    wrong["rule"] = "device.model -eq".into();
    wrong["roleScopeTags"] = json!([7]);
    let Err(Refusal::Invalid(faults)) = plane.decide(&command(creation(Key::Filter(id(2)), wrong)))
    else {
        panic!("the rule is invalid");
    };
    assert!(
        faults
            .to_string()
            .contains("character 17: expected a text in quotes"),
        "{faults}"
    );
    assert_eq!(faults.listed().len(), 2);
    let mut wrong = filter();
    wrong["roleScopeTags"] = json!(["7"]);
    assert_eq!(
        faults_of(&plane, creation(Key::Filter(id(2)), wrong)),
        ["roleScopeTags"]
    );
}

#[test]
fn a_filter_in_use_is_not_deleted() {
    let mut plane = plane();
    let (key, by) = (Key::Filter(id(1)), Key::Policy(id(2)));
    create(&mut plane, key, filter());
    let mut lenient = command(creation(by, policy(Key::Filter(id(9)))));
    lenient.handling = Handling::Lenient;
    assert!(
        matches!(plane.decide(&lenient), Err(Refusal::Invalid(_))),
        "no such filter"
    );
    lenient.change = creation(by, policy(key));
    assert_eq!(
        faults_of(&plane, lenient.change.clone()),
        ["assignments[0].target"],
        "not evaluated"
    );
    let mut of_ios = policy(key);
    of_ios["@odata.type"] = "#microsoft.graph.iosCompliancePolicy".into();
    let mut wrong = lenient.clone();
    wrong.change = creation(by, of_ios);
    assert!(
        matches!(plane.decide(&wrong), Err(Refusal::Invalid(_))),
        "a filter for Windows"
    );
    carry_out(&mut plane, &lenient).unwrap();
    let delete = command(Change::Delete { key });
    let refusal = plane.decide(&delete).unwrap_err();
    assert_eq!(refusal, Refusal::InUse { key, by: Some(by) });
    let expected = format!(
        "this deviceAndAppManagementAssignmentFilter is used by the deviceCompliancePolicy {}",
        id(2)
    );
    assert_eq!(refusal.to_string(), expected);
    let properties = properties(json!({ "assignments": [] }));
    let unassign = Change::Assign {
        policy: id(2),
        properties,
    };
    carry_out(&mut plane, &command(unassign)).unwrap();
    carry_out(&mut plane, &delete).unwrap();
    assert_eq!(plane.filters(TENANT).count(), 0);
}
