//! Everything that an operator can make grow has a limit.

use muster_control::limits::{
    ACCESSES_MAX, DEVICE_ACTIONS_MAX, ENTRIES_MAX, EXPORTS_RECORDED_MAX, FAULTS_MAX, FILTERS_MAX,
    GROUPS_MAX, MEMBERS_MAX, MEMBERS_PER_COMMAND_MAX, POLICIES_MAX, ROLE_ASSIGNMENTS_MAX,
    ROLE_DEFINITIONS_MAX, SCOPE_TAGS_MAX, TENANTS_CREATED_MAX, USERS_MAX,
};
use muster_control::{
    Access, AccessRecord, AccessText, BuiltInRole, Change, DeviceAction, Export, Key, ObjectId,
    Properties, Refusal, ScopeTagId,
};
use muster_engine::{Revision, SequenceReset};
use muster_wire::DeviceId;
use serde_json::json;

use crate::support::*;

#[test]
fn objects_of_a_tenant_are_bounded() {
    let mut plane = plane();
    let policy = ios("x");
    let group = group("x");
    let filter = json!({ "displayName": "x", "platform": "iOS", "rule": "device.model -eq 'a'" });
    let role = json!({ "displayName": "x" });
    let assignment = json!({
        "displayName": "x",
        "members": [],
        "roleDefinition@odata.bind": BuiltInRole::Metrics.id().to_string(),
    });
    let user = json!({ "displayName": "x", "userPrincipalName": "x@example.org" });
    let make_key: [fn(ObjectId) -> Key; 7] = [
        Key::Policy,
        Key::Group,
        Key::Filter,
        Key::RoleDefinition,
        Key::RoleAssignment,
        |id| {
            let [.., high, low] = *id.as_bytes();
            Key::ScopeTag(ScopeTagId(u32::from(u16::from_be_bytes([high, low])) + 1))
        },
        Key::User,
    ];
    let kinds = [
        (policy, POLICIES_MAX),
        (group, GROUPS_MAX),
        (filter, FILTERS_MAX),
        (role.clone(), ROLE_DEFINITIONS_MAX),
        (assignment, ROLE_ASSIGNMENTS_MAX),
        (role, SCOPE_TAGS_MAX),
        (user, USERS_MAX),
    ];
    for (key, (json, limit)) in make_key.into_iter().zip(kinds) {
        for number in 0..limit as u16 {
            create(&mut plane, key(id(number)), json.clone());
        }
        let key = key(id(limit as u16));
        let properties = properties(json);
        let change = Change::Create { key, properties };
        let refusal = plane.decide(&command(change)).unwrap_err();
        assert!(
            matches!(refusal, Refusal::Limit { max, .. } if max == limit),
            "{refusal}"
        );
    }
}

/// Members of the command with this number; no other command has them.
fn devices(number: usize) -> Vec<DeviceId> {
    let first = number * MEMBERS_PER_COMMAND_MAX;
    let numbers = first as u128 + 1..(first + MEMBERS_PER_COMMAND_MAX) as u128 + 1;
    numbers
        .map(|number| DeviceId::from_bytes(number.to_be_bytes()))
        .collect()
}

#[test]
fn members_of_all_groups_are_bounded_together() {
    let mut plane = plane();
    let groups = [id(1), id(2)];
    for id in groups {
        create(&mut plane, Key::Group(id), group("x"));
    }
    for number in 0..MEMBERS_MAX / MEMBERS_PER_COMMAND_MAX {
        let group = groups[number % 2];
        let members = devices(number);
        carry_out(&mut plane, &command(Change::AddMembers { group, members })).unwrap();
    }
    let one = vec![DeviceId::from_bytes([0xff; 16])];
    let [group, other] = groups;
    let add = command(Change::AddMembers {
        group,
        members: one,
    });
    let full = Refusal::Limit {
        what: "members of groups",
        max: MEMBERS_MAX,
    };
    assert_eq!(plane.decide(&add), Err(full));
    // Deleting a group frees its share.
    carry_out(
        &mut plane,
        &command(Change::Delete {
            key: Key::Group(other),
        }),
    )
    .unwrap();
    assert!(plane.decide(&add).is_ok());
    let mut too_many = devices(0);
    too_many.push(DeviceId::from_bytes([0xfe; 16]));
    let add = command(Change::AddMembers {
        group,
        members: too_many,
    });
    assert!(matches!(plane.decide(&add), Err(Refusal::Invalid(_))));
}

#[test]
fn changes_of_a_tenant_are_bounded() {
    let mut plane = plane();
    let key = Key::Settings;
    for number in 0..ENTRIES_MAX {
        update(
            &mut plane,
            key,
            json!({ "secureByDefault": number % 2 == 0 }),
        );
    }
    assert_eq!(plane.entries(TENANT), ENTRIES_MAX);
    let properties = properties(json!({ "sensorInactiveDays": 9 }));
    let mut further = command(Change::Update { key, properties });
    let refusal = plane.decide(&further).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        format!("the limit of {ENTRIES_MAX} changes is reached")
    );
    let tenant = further.tenant;
    further.tenant = create(&mut plane, Key::Tenant, json!({ "name": "fabrikam" })).tenant;
    assert!(plane.decide(&further).is_ok(), "another tenant has its own");
    // Actions on devices are counted separately.
    further.tenant = tenant;
    further.change = Change::Device {
        device: DeviceId::from_bytes([1; 16]),
        action: DeviceAction::ResetSequence(SequenceReset {
            seq_before: 2,
            seq: 1,
            inventory_revision_before: 0,
            inventory_revision: 0,
        }),
    };
    for _ in 0..DEVICE_ACTIONS_MAX {
        carry_out(&mut plane, &further).unwrap();
    }
    assert_eq!(plane.entries(TENANT), ENTRIES_MAX);
    let refusal = plane.decide(&further).unwrap_err();
    assert!(
        matches!(
            refusal,
            Refusal::Limit {
                what: "actions on devices",
                ..
            }
        ),
        "{refusal}"
    );
}

#[test]
fn tenants_that_were_ever_created_are_bounded() {
    let mut plane = plane();
    for number in 1..TENANTS_CREATED_MAX {
        let name = format!("tenant-{number}");
        let mut delete = command(Change::Delete { key: Key::Tenant });
        delete.tenant = create(&mut plane, Key::Tenant, json!({ "name": name })).tenant;
        carry_out(&mut plane, &delete).unwrap();
    }
    assert_eq!(plane.tenants().count(), 1);
    let change = Change::Create {
        key: Key::Tenant,
        properties: properties(json!({ "name": "fabrikam" })),
    };
    let refusal = plane.decide(&command(change)).unwrap_err();
    assert!(
        matches!(
            refusal,
            Refusal::Limit {
                max: TENANTS_CREATED_MAX,
                ..
            }
        ),
        "{refusal}"
    );
    let delete = command(Change::Delete { key: Key::Tenant });
    carry_out(&mut plane, &delete).unwrap();
}

#[test]
fn revisions_end() {
    let mut plane = plane();
    plane.skip_to(Revision(u32::MAX - 1));
    update(
        &mut plane,
        Key::Settings,
        json!({ "secureByDefault": true }),
    );
    plane.skip_to(Revision(5));
    assert_eq!(plane.revision(), Revision(u32::MAX));
    let properties = properties(json!({ "secureByDefault": false }));
    let change = Change::Update {
        key: Key::Settings,
        properties,
    };
    assert!(matches!(
        plane.decide(&command(change)),
        Err(Refusal::Limit { .. })
    ));
}

#[test]
fn faults_of_a_document_are_bounded() {
    let mut properties = Properties::new();
    for number in 0..FAULTS_MAX + 7 {
        properties.insert(format!("{number}{}", "x".repeat(1_000)), true.into());
    }
    let change = Change::Update {
        key: Key::Settings,
        properties,
    };
    match plane().decide(&command(change)) {
        Err(Refusal::Invalid(faults)) => {
            assert_eq!((faults.listed().len(), faults.omitted()), (FAULTS_MAX, 7));
            assert!(faults.listed().iter().all(|fault| fault.target.len() == 64));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn accesses_and_exports_have_bounds_of_their_own() {
    let mut plane = plane();
    let record = |access| {
        Change::Access(AccessRecord {
            access,
            unrecorded: 0,
        })
    };
    let export = || {
        let text = AccessText::default;
        record(Access::Exported(Export {
            job: text(),
            report: text(),
            format: text(),
            filter: text(),
            select: text(),
        }))
    };
    for number in 0..ACCESSES_MAX {
        let entry = plane.decide(&command(record(Access::SignedIn))).unwrap();
        plane.apply(&entry).unwrap();
        assert_eq!(plane.entries(TENANT), 0, "{number}");
    }
    let refused = plane.decide(&command(record(Access::SignedIn)));
    assert_eq!(
        refused,
        Err(Refusal::Limit {
            what: "recorded accesses",
            max: ACCESSES_MAX as usize
        })
    );
    // They take nothing from exports and changes.
    let entry = plane.decide(&command(export())).unwrap();
    plane.apply(&entry).unwrap();
    update(
        &mut plane,
        Key::Settings,
        json!({ "secureByDefault": true }),
    );
    for _ in 1..EXPORTS_RECORDED_MAX {
        let entry = plane.decide(&command(export())).unwrap();
        plane.apply(&entry).unwrap();
    }
    let refused = plane.decide(&command(export())).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the limit of {EXPORTS_RECORDED_MAX} recorded exports is reached")
    );
    let delete = Change::Delete { key: Key::Tenant };
    plane.decide(&command(delete)).unwrap();
}
