//! R12: which devices a policy applies to, by groups.

use muster_control::{Change, ControlPlane, FaultKind, Key, ObjectId, Refusal, compile};
use muster_engine::{TargetId, Threshold};
use muster_wire::{DeviceId, Platform};
use serde_json::{Value, json};

use crate::support::*;

const ALL: &str = "allDevicesAssignmentTarget";
const GROUP: &str = "groupAssignmentTarget";
const EXCLUDED: &str = "exclusionGroupAssignmentTarget";

fn device(number: u8) -> DeviceId {
    DeviceId::from_bytes([number; 16])
}

/// A policy with a level, assigned to these targets.
fn policy(level: &str, targets: &[(&str, Option<ObjectId>)]) -> Value {
    let target = |(name, group): &(&str, Option<ObjectId>)| {
        let mut target = json!({ "@odata.type": format!("#microsoft.graph.{name}") });
        if let Some(group) = group {
            target["groupId"] = group.to_string().into();
        }
        json!({ "target": target })
    };
    json!({
        "@odata.type": "#microsoft.graph.iosCompliancePolicy",
        "displayName": level,
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": level,
        "scheduledActionsForRule": block_at_once(),
        "assignments": targets.iter().map(target).collect::<Vec<_>>(),
    })
}

fn add(plane: &mut ControlPlane, group: ObjectId, members: Vec<DeviceId>) {
    let change = Change::AddMembers { group, members };
    carry_out(plane, &command(change)).unwrap();
}

/// Two groups: device 1 is in the first, 2 in the second, 3 in both, 4 in none.
fn grouped() -> ControlPlane {
    let mut plane = crate::support::plane();
    for number in [11, 12] {
        create(&mut plane, Key::Group(id(number)), group("ring"));
    }
    add(&mut plane, id(11), vec![device(1), device(3)]);
    add(&mut plane, id(12), vec![device(2), device(3)]);
    plane
}

/// Whether an iOS device has a policy, and its threshold.
fn of(plane: &ControlPlane, number: u8) -> (bool, Threshold) {
    let targets = plane.targets_of(TENANT, &device(number));
    let policy = compile(plane, TENANT).for_targets(&targets);
    let rules = policy.platform(Platform::Ios);
    (rules.policy_assigned, rules.threshold)
}

#[test]
fn r12_row_by_row() {
    let (one, two) = (Some(id(11)), Some(id(12)));
    let none = (false, Threshold::NotSet);
    let low = (true, Threshold::Low);
    // assignments of a policy; what devices 1 to 4 get
    for (targets, expected) in [
        (vec![], [none; 4]),
        (vec![(ALL, None)], [low; 4]),
        (vec![(GROUP, one)], [low, none, low, none]),
        (vec![(GROUP, one), (GROUP, two)], [low, low, low, none]),
        (vec![(GROUP, one), (EXCLUDED, two)], [low, none, none, none]),
        (vec![(ALL, None), (EXCLUDED, two)], [low, none, none, low]),
        (vec![(EXCLUDED, two)], [none; 4]),
    ] {
        let mut plane = grouped();
        create(&mut plane, Key::Policy(id(1)), policy("low", &targets));
        let found = [1, 2, 3, 4].map(|number| of(&plane, number));
        assert_eq!(found, expected, "{targets:?}");
    }
}

/// R3 with several policies; the platforms of others stay as they are.
#[test]
fn the_lowest_threshold_of_all_policies_that_apply_wins() {
    let mut plane = grouped();
    for (number, level, targets) in [
        (1, "high", vec![(ALL, None)]),
        (2, "medium", vec![(GROUP, Some(id(11)))]),
        (3, "secured", vec![(GROUP, Some(id(12)))]),
    ] {
        create(&mut plane, Key::Policy(id(number)), policy(level, &targets));
    }
    let found = [1, 2, 3, 4].map(|number| of(&plane, number).1);
    use Threshold::{Clear, High, Medium};
    assert_eq!(found, [Medium, Clear, Clear, High]);
    let policy = compile(&plane, TENANT).for_targets(&plane.targets_of(TENANT, &device(3)));
    assert!(!policy.platform(Platform::Windows).policy_assigned);
}

#[test]
fn a_group_that_does_not_exist_cannot_be_assigned_and_one_that_is_deleted_has_no_members() {
    let mut plane = grouped();
    let unknown = policy("low", &[(GROUP, Some(id(99))), (EXCLUDED, Some(id(98)))]);
    let change = Change::Create {
        key: Key::Policy(id(1)),
        properties: properties(unknown),
    };
    let Err(Refusal::Invalid(faults)) = plane.decide(&command(change)) else {
        panic!("both groups are unknown");
    };
    let listed = faults.listed();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|fault| fault.kind == FaultKind::Invalid));

    let targets = [(GROUP, Some(id(11))), (EXCLUDED, Some(id(12)))];
    create(&mut plane, Key::Policy(id(1)), policy("low", &targets));
    let delete = Change::Delete {
        key: Key::Group(id(12)),
    };
    carry_out(&mut plane, &command(delete)).unwrap();
    assert!(of(&plane, 3).0, "it is excluded no longer");
    // The policy can still be changed, and keeps the assignment.
    update(
        &mut plane,
        Key::Policy(id(1)),
        json!({ "description": "pilot" }),
    );
    assert!(of(&plane, 1).0 && !of(&plane, 2).0);
}

/// A target is never used again: a group with the id of a deleted one is another target.
#[test]
fn a_group_is_the_same_target_for_life() {
    let mut plane = grouped();
    let target = |plane: &ControlPlane| plane.target(TENANT, id(11)).unwrap();
    let before = target(&plane);
    assert_eq!(before, TargetId(2), "the revision of its creation");
    update(
        &mut plane,
        Key::Group(id(11)),
        json!({ "displayName": "renamed" }),
    );
    add(&mut plane, id(11), vec![device(9)]);
    assert_eq!(target(&plane), before);
    assert_eq!(plane.targeted().len(), 4);
    let delete = Change::Delete {
        key: Key::Group(id(11)),
    };
    carry_out(&mut plane, &command(delete)).unwrap();
    assert_eq!(plane.target(TENANT, id(11)), None);
    create(&mut plane, Key::Group(id(11)), group("ring"));
    assert!(target(&plane) > before);
    assert_eq!(plane.targets_of(TENANT, &device(1)), []);
}
