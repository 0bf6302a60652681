//! Compliance policies: the actions `assign` and `scheduleActionsForRules`, and rules that are not evaluated.

use muster_control::{Change, ControlPlane, Entry, FaultKind, Handling, Key, Object, Refusal};
use serde_json::{Value, json};

use crate::support::*;

const POLICY: Key = Key::Policy(muster_control::ALL_DEVICES);

fn assign(json: Value) -> Change {
    let properties = properties(json);
    Change::Assign {
        policy: muster_control::ALL_DEVICES,
        properties,
    }
}

fn schedule(json: Value) -> Change {
    let properties = properties(json);
    Change::ScheduleActions {
        policy: muster_control::ALL_DEVICES,
        properties,
    }
}

fn to_all() -> Value {
    json!([{ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }])
}

/// A state with one policy for iOS.
fn with_policy() -> ControlPlane {
    let mut plane = plane();
    create(&mut plane, POLICY, ios("iOS"));
    plane
}

fn policy(plane: &ControlPlane) -> muster_control::CompliancePolicy {
    match plane.object(TENANT, POLICY) {
        Some((Object::Policy(policy), _)) => policy,
        other => panic!("{other:?}"),
    }
}

fn faults(plane: &ControlPlane, change: Change) -> Vec<(String, FaultKind)> {
    match plane.decide(&command(change)) {
        Err(Refusal::Invalid(faults)) => {
            let faults = faults.listed().iter();
            faults
                .map(|fault| (fault.target.clone(), fault.kind))
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn assign_replaces_all_assignments_and_is_an_action() {
    let mut plane = with_policy();
    create(&mut plane, Key::Group(id(2)), group("ring"));
    let entry = carry_out(
        &mut plane,
        &command(assign(json!({ "assignments": to_all() }))),
    )
    .unwrap();
    assert_eq!((entry.operation(), entry.activity()), ("Action", "assign"));
    let names: Vec<_> = entry
        .modified_properties()
        .into_iter()
        .map(|property| property.name)
        .collect();
    assert_eq!(names, ["version", "assignments"]);
    assert_eq!(policy(&plane).version, 2);
    let target = json!({ "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": id(2).to_string() });
    let other = json!({ "assignments": [{ "id": "", "target": target }] });
    carry_out(&mut plane, &command(assign(other.clone()))).unwrap();
    let assignments = policy(&plane).assignments_document(muster_control::ALL_DEVICES);
    assert_eq!(assignments.as_array().unwrap().len(), 1, "it does not add");
    assert_eq!(
        plane.decide(&command(assign(other))),
        Err(Refusal::Unchanged)
    );
    let missing = [("assignments".to_owned(), FaultKind::Missing)];
    assert_eq!(faults(&plane, assign(json!({}))), missing);
    let unknown = json!({ "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": id(9).to_string() });
    let unknown = assign(json!({ "assignments": [{ "target": unknown }] }));
    assert_eq!(faults(&plane, unknown).len(), 1);
    let absent = Change::Assign {
        policy: id(9),
        properties: properties(json!({ "assignments": [] })),
    };
    assert!(matches!(
        plane.decide(&command(absent)),
        Err(Refusal::Unknown { .. })
    ));
}

#[test]
fn the_actions_are_replaced_by_an_action_and_required_of_a_new_policy() {
    let mut plane = with_policy();
    let rules = |hours: u32| {
        let actions = json!([{ "actionType": "block", "gracePeriodHours": hours, "notificationTemplateId": "" }]);
        json!([{ "ruleName": "PasswordRequired", "scheduledActionConfigurations": actions }])
    };
    let change = schedule(json!({ "deviceComplianceScheduledActionForRules": rules(72) }));
    let entry = carry_out(&mut plane, &command(change)).unwrap();
    assert_eq!(
        (entry.operation(), entry.activity()),
        ("Action", "scheduleActionsForRules")
    );
    assert_eq!(policy(&plane).actions.grace_hours(), 72);
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    let name = "deviceComplianceScheduledActionForRules".to_owned();
    assert_eq!(
        faults(&plane, schedule(json!({}))),
        [(name, FaultKind::Missing)]
    );
    let mut without = ios("other");
    without
        .as_object_mut()
        .unwrap()
        .remove("scheduledActionsForRule");
    let new = Change::Create {
        key: Key::Policy(id(7)),
        properties: properties(without),
    };
    assert_eq!(
        faults(&plane, new),
        [("scheduledActionsForRule".to_owned(), FaultKind::Missing)]
    );
}

#[test]
fn a_document_changes_neither_actions_nor_assignments_but_can_be_sent_back_whole() {
    let mut plane = with_policy();
    carry_out(
        &mut plane,
        &command(assign(json!({ "assignments": to_all() }))),
    )
    .unwrap();
    let (object, _) = plane.object(TENANT, POLICY).unwrap();
    let document = object.document(POLICY);
    assert!(
        !document.contains_key("assignments") && !document.contains_key("scheduledActionsForRule")
    );
    let mut whole = Value::from(document);
    let policy = policy(&plane);
    whole["assignments"] = policy.assignments_document(muster_control::ALL_DEVICES);
    whole["assignments@odata.context"] = "x".into();
    whole["scheduledActionsForRule"] =
        policy.scheduled_actions_document(muster_control::ALL_DEVICES);
    whole["scheduledActionsForRule"][0]["scheduledActionConfigurations@odata.context"] = "x".into();
    let patch = |json: &Value| Change::Update {
        key: POLICY,
        properties: properties(json.clone()),
    };
    assert_eq!(
        plane.decide(&command(patch(&whole))),
        Err(Refusal::Unchanged)
    );
    whole["assignments"] = json!([]);
    assert_eq!(
        plane.decide(&command(patch(&whole))),
        Err(Refusal::Unchanged),
        "none is as good as absent"
    );
    let unchangeable = |name: &str| [(name.to_owned(), FaultKind::Unchangeable)];
    // As it was sent, not as it was read.
    let sent = json!({ "scheduledActionsForRule": block_at_once() });
    assert_eq!(
        faults(&plane, patch(&sent)),
        unchangeable("scheduledActionsForRule")
    );
    let mut other = json!({ "scheduledActionsForRule": whole["scheduledActionsForRule"] });
    other["scheduledActionsForRule"][0]["scheduledActionConfigurations"][0]["gracePeriodHours"] =
        5.into();
    assert_eq!(
        faults(&plane, patch(&other)),
        unchangeable("scheduledActionsForRule")
    );
    let target = json!({ "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": id(2).to_string() });
    let other = json!({ "assignments": [{ "target": target }] });
    assert_eq!(faults(&plane, patch(&other)), unchangeable("assignments"));
    for json in [json!(7), json!([7]), Value::Null] {
        let bad = json!({ "assignments": json, "scheduledActionsForRule": json });
        assert_eq!(faults(&plane, patch(&bad)).len(), 2, "{bad}");
    }
    assert!(assign(json!({})).assigns());
    let mut assigned = ios("x");
    let new = |json: &Value| Change::Create {
        key: POLICY,
        properties: properties(json.clone()),
    };
    assert!(!new(&assigned).assigns());
    assigned["assignments"] = to_all();
    assert!(new(&assigned).assigns() && !patch(&assigned).assigns());
}

#[test]
fn a_rule_that_is_not_evaluated_is_refused_or_marked() {
    let mut plane = plane();
    let mut json = ios("imported");
    json["passcodeRequired"] = true.into();
    json["passcodeMinimumLength"] = 0.into();
    json["assignments"] = json!([{ "target": { "@odata.type": "#microsoft.graph.allLicensedUsersAssignmentTarget" } }]);
    let change = Change::Create {
        key: POLICY,
        properties: properties(json),
    };
    let expected = ["assignments[0].target", "passcodeRequired"]
        .map(|name| (name.to_owned(), FaultKind::Invalid));
    assert_eq!(faults(&plane, change.clone()), expected);
    let mut lenient = command(change);
    lenient.handling = Handling::Lenient;
    let entry = carry_out(&mut plane, &lenient).unwrap();
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    let (object, _) = plane.object(TENANT, POLICY).unwrap();
    let marked = json!([
        "passcodeRequired",
        "assignments/allLicensedUsersAssignmentTarget"
    ]);
    assert_eq!(object.document(POLICY)["musterNotEvaluated"], marked);
    // A strict command may keep it and end it, and the whole document can be sent back.
    let properties = object.document(POLICY);
    let change = Change::Update {
        key: POLICY,
        properties,
    };
    assert_eq!(plane.decide(&command(change)), Err(Refusal::Unchanged));
    update(&mut plane, POLICY, json!({ "description": "x" }));
    update(&mut plane, POLICY, json!({ "passcodeRequired": false }));
    carry_out(&mut plane, &command(assign(json!({ "assignments": [] })))).unwrap();
    assert_eq!(policy(&plane).not_evaluated(), Vec::<String>::new());
    let (object, _) = plane.object(TENANT, POLICY).unwrap();
    assert!(!object.document(POLICY).contains_key("musterNotEvaluated"));
}
