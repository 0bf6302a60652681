//! A refused command lists all faults at once and changes nothing.

use muster_control::limits::MEMBERS_PER_COMMAND_MAX;
use muster_control::{
    ALL_DEVICES, Change, ControlPlane, DEFENDER, ETag, Key, Precondition, Refusal,
};
use muster_engine::Revision;
use muster_wire::DeviceId;
use serde_json::{Value, json};

use crate::support::*;

/// The faults of a refusal, in words.
fn faults(refusal: Refusal) -> Vec<String> {
    match refusal {
        Refusal::Invalid(faults) => faults.listed().iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn refusal_of(change: Change) -> Refusal {
    plane().decide(&command(change)).unwrap_err()
}

#[test]
fn every_fault_of_a_policy_is_listed_with_what_is_allowed() {
    let json = json!({
        "@odata.type": "#microsoft.graph.iosCompliancePolicy",
        "displayName": "",
        "description": 5,
        "deviceThreatProtectionEnabled": "yes",
        "deviceThreatProtectionRequiredSecurityLevel": "clear",
        "passcodeRequired": true,
        "passwordRequired": true,
        "roleScopeTagIds": [0],
        "assignments": [{ "target": { "@odata.type": "#microsoft.graph.groupAssignmentTarget" } }],
    });
    let expected = [
        "displayName has a value that is not allowed; allowed: a text of 1 to 256 characters",
        "description has a value that is not allowed; allowed: a text of at most 1024 characters, or null",
        "roleScopeTagIds has a value that is not allowed; allowed: a list of at most 50 ids of scope tags, as texts",
        "deviceThreatProtectionEnabled has a value that is not allowed; allowed: true or false",
        "deviceThreatProtectionRequiredSecurityLevel has a value that is not allowed; allowed: unavailable, secured, \
         low, medium, high, notSet",
        "scheduledActionsForRule is missing; allowed: a list of one rule, with exactly one block action",
        "assignments[0].target.groupId is missing; allowed: an id has 32 hexadecimal digits in the form 8-4-4-4-12",
        "passcodeRequired has a value that is not allowed; allowed: false; its rule is not evaluated, and is stored \
         only with handling=lenient",
        "passwordRequired is not known; known: displayName, description, roleScopeTagIds, \
         deviceThreatProtectionEnabled, deviceThreatProtectionRequiredSecurityLevel, scheduledActionsForRule, \
         assignments, advancedThreatProtectionRequiredSecurityLevel, managedEmailProfileRequired, \
         osMaximumBuildVersion, osMaximumVersion, osMinimumBuildVersion, osMinimumVersion, passcodeBlockSimple, \
         passcodeExpirationDays, passcodeMinimumCharacterSetCount, passcodeMinimumLength, \
         passcodeMinutesOfInactivityBeforeLock, passcodeMinutesOfInactivityBeforeScreenTimeout, \
         passcodePreviousPasscodeBlockCount, passcodeRequired, passcodeRequiredType, restrictedApps, \
         securityBlockJailbrokenDevices",
    ];
    assert_eq!(
        faults(refusal_of(creation(Key::Policy(id(1)), json))),
        expected
    );
}

/// Which other properties a policy has depends on its type.
#[test]
fn a_policy_of_an_unknown_type_has_no_unknown_properties() {
    let json = json!({
        "@odata.type": "#microsoft.graph.noSuchPolicy",
        "displayName": "x",
        "bitLockerEnabled": true,
        "scheduledActionsForRule": block_at_once(),
    });
    let expected = "@odata.type has a value that is not allowed; allowed: #microsoft.graph.windows10CompliancePolicy, \
         #microsoft.graph.iosCompliancePolicy, #microsoft.graph.androidCompliancePolicy, \
         #microsoft.graph.androidWorkProfileCompliancePolicy, #microsoft.graph.androidDeviceOwnerCompliancePolicy, \
         #microsoft.graph.macOSCompliancePolicy";
    let found = faults(refusal_of(creation(Key::Policy(id(1)), json)));
    assert_eq!(found, [expected]);
}

#[test]
fn what_is_missing_is_listed_beside_what_is_wrong() {
    let listed = faults(refusal_of(creation(
        Key::Policy(id(1)),
        json!({ "description": 5 }),
    )));
    let starts: Vec<_> = listed
        .iter()
        .map(|fault| fault.split(';').next().unwrap())
        .collect();
    let expected = [
        "@odata.type is missing",
        "displayName is missing",
        "description has a value that is not allowed",
        "scheduledActionsForRule is missing",
    ];
    assert_eq!(starts, expected);
    let group = faults(refusal_of(creation(Key::Group(id(1)), json!({}))));
    let expected = [
        "displayName is missing; allowed: a text of 1 to 256 characters",
        "mailEnabled is missing; allowed: false",
        "mailNickname is missing; allowed: 1 to 64 ASCII characters except blanks and @()\\[]\";:.<>,",
        "securityEnabled is missing; allowed: true",
    ];
    assert_eq!(group, expected);
}

#[test]
fn a_document_that_was_read_can_be_sent_back() {
    let mut plane = plane();
    let key = Key::Policy(id(1));
    let json = ios("iOS");
    create(&mut plane, key, json);
    let (object, _) = plane.object(TENANT, key).unwrap();
    let mut read = Value::from(object.document(key));
    read["createdDateTime"] = json!("2026-01-01T00:00:00Z");
    read["@odata.etag"] = json!("\"2\"");
    let properties = properties(read);
    let change = Change::Update { key, properties };
    assert_eq!(plane.decide(&command(change)), Err(Refusal::Unchanged));
}

#[test]
fn the_platform_of_a_policy_and_the_partner_of_a_connector_are_fixed() {
    let mut plane = plane();
    let key = Key::Policy(id(1));
    let json = ios("iOS");
    create(&mut plane, key, json);
    let properties =
        properties(json!({ "@odata.type": "#microsoft.graph.androidCompliancePolicy" }));
    let refusal = plane
        .decide(&command(Change::Update { key, properties }))
        .unwrap_err();
    let expected = "@odata.type cannot be changed; it is #microsoft.graph.iosCompliancePolicy";
    assert_eq!(faults(refusal), [expected]);
    let other = faults(refusal_of(creation(Key::Connector(id(2)), json!({}))));
    assert_eq!(
        other,
        [format!(
            "id has a value that is not allowed; allowed: {DEFENDER}"
        )]
    );
    let wrong = json!({ "@odata.type": "#microsoft.graph.group" });
    assert_eq!(
        faults(refusal_of(creation(Key::Connector(DEFENDER), wrong))).len(),
        1
    );
}

#[test]
fn an_etag_holds_until_the_next_change_and_never_again() {
    let mut plane = plane();
    let key = Key::Connector(DEFENDER);
    let created = create(&mut plane, key, json!({})).revision;
    update(
        &mut plane,
        Key::Settings,
        json!({ "secureByDefault": true }),
    );
    let mut ordered = command(Change::Update {
        key,
        properties: properties(json!({ "iosEnabled": true })),
    });
    ordered.expected = Precondition::Is(ETag::of(created));
    let changed = carry_out(&mut plane, &ordered).unwrap().revision;
    let stale = |current| Err(Refusal::Stale { current });
    assert_eq!(plane.decide(&ordered), stale(Some(ETag::of(changed))));
    // Deleted and created again: with its first values, but another object.
    carry_out(&mut plane, &command(Change::Delete { key })).unwrap();
    let again = create(&mut plane, key, json!({})).revision;
    for old in [created, changed] {
        ordered.expected = Precondition::Is(ETag::of(old));
        assert_eq!(plane.decide(&ordered), stale(Some(ETag::of(again))));
    }
    let mut replacing = command(Change::Replace {
        key: Key::Connector(id(9)),
        properties: properties(json!({})),
    });
    replacing.expected = Precondition::Exists;
    assert_eq!(plane.decide(&replacing), stale(None));
    ordered.expected = Precondition::Is(ETag::of(Revision(0)));
    ordered.change = Change::Update {
        key: Key::Settings,
        properties: properties(json!({})),
    };
    assert!(matches!(plane.decide(&ordered), Err(Refusal::Stale { .. })));
}

#[test]
fn built_in_objects_stay() {
    let everyone = Key::Group(ALL_DEVICES);
    let group = ALL_DEVICES;
    let members = vec![DeviceId::from_bytes([1; 16])];
    let named = properties(json!({ "displayName": "x" }));
    for change in [
        Change::Delete { key: Key::Settings },
        Change::Delete { key: everyone },
        Change::Update {
            key: everyone,
            properties: named.clone(),
        },
        Change::Create {
            key: everyone,
            properties: named,
        },
        Change::AddMembers { group, members },
    ] {
        let key = change.key();
        assert_eq!(refusal_of(change), Refusal::BuiltIn { key });
    }
}

#[test]
fn members_are_added_all_or_none() {
    let mut plane = plane();
    let group = id(1);
    let device = |number| DeviceId::from_bytes([number; 16]);
    create(&mut plane, Key::Group(group), self::group("Ring 1"));
    let members = vec![device(2), device(1)];
    carry_out(&mut plane, &command(Change::AddMembers { group, members })).unwrap();
    let members = vec![device(3), device(1), device(3), DeviceId::ZERO];
    let refusal = plane
        .decide(&command(Change::AddMembers { group, members }))
        .unwrap_err();
    let mut listed = faults(refusal);
    listed.sort();
    let expected = [
        "members[1] has a value that is not allowed; allowed: a device that is not a member",
        "members[2] has a value that is not allowed; allowed: each device once",
        "members[3] has a value that is not allowed; allowed: the id of a device",
    ];
    assert_eq!(listed, expected);
    let members: Vec<_> = plane.members(TENANT, group, None).collect();
    assert_eq!(members, [device(1), device(2)]);
    assert!(matches!(
        plane.decide(&command(Change::RemoveMembers {
            group: id(5),
            members
        })),
        Err(Refusal::Unknown { .. })
    ));
}

#[test]
fn a_document_adds_members_and_nothing_else() {
    let mut plane = plane();
    let group = id(1);
    let key = Key::Group(group);
    create(&mut plane, key, self::group("Ring 1"));
    let device = |number| DeviceId::from_bytes([number; 16]);
    let url = |number| {
        format!(
            "https://graph.microsoft.com/v1.0/devices/{}",
            device(number)
        )
    };
    let bind = |list: Value| json!({ "members@odata.bind": list });
    let entry = update(&mut plane, key, bind(json!([url(2), url(1)])));
    assert_eq!(entry.operation(), "SetReference");
    let members = || plane.members(TENANT, group, None).collect::<Vec<_>>();
    assert_eq!(members(), [device(1), device(2)]);
    let after: Vec<_> = plane.members(TENANT, group, Some(device(1))).collect();
    assert_eq!(after, [device(2)]);
    let refused = |json: Value| {
        let change = Change::Update {
            key,
            properties: properties(json),
        };
        faults(plane.decide(&command(change)).unwrap_err())
    };
    let mut json = bind(json!([url(3), "x", url(1), url(3)]));
    json["displayName"] = "Ring 2".into();
    json["@odata.id"] = "ignored".into();
    let listed = refused(json);
    let expected = [
        "members@odata.bind[1] has a value that is not allowed; allowed: a URL that ends in the id of a device",
        "displayName is not known; known: members@odata.bind",
        "members@odata.bind[2] has a value that is not allowed; allowed: a device that is not a member",
        "members@odata.bind[3] has a value that is not allowed; allowed: each device once",
    ];
    assert_eq!(listed, expected);
    let many: Vec<_> = (0..=MEMBERS_PER_COMMAND_MAX).map(|_| url(3)).collect();
    for list in [json!([]), json!("x"), Value::Null, json!(many)] {
        let listed = refused(bind(list));
        let expected =
            "members@odata.bind has a value that is not allowed; allowed: a list of 1 to 1000 URLs";
        assert_eq!(listed, [expected]);
    }
    // A reference that a command does not take is not ignored.
    let other = id(2);
    let mut json = self::group("Ring 2");
    json["members@odata.bind"] = json!([url(1)]);
    let listed = faults(refusal_of(creation(Key::Group(other), json)));
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert!(listed[0].starts_with("members@odata.bind is not known"));
    assert_eq!(refused(json!({ "owners@odata.bind": [url(1)] })).len(), 1);
}

#[test]
fn what_operators_set_on_a_device_is_changed_and_never_created_or_deleted() {
    let key = Key::Device(DeviceId::from_bytes([1; 16]));
    let update = |json| Change::Update {
        key,
        properties: properties(json),
    };
    assert_eq!(
        refusal_of(creation(key, json!({}))),
        Refusal::Exists { key }
    );
    assert_eq!(refusal_of(Change::Delete { key }), Refusal::BuiltIn { key });
    assert_eq!(refusal_of(update(json!({}))), Refusal::Unchanged);
    // What the device reports is ignored, so that a whole document can be sent back.
    let reported = json!({ "osVersion": "10.0.1.2", "complianceState": "compliant" });
    assert_eq!(refusal_of(update(reported)), Refusal::Unchanged);
    let unknown = faults(refusal_of(update(json!({ "colour": "red" }))));
    assert!(unknown[0].starts_with("colour is not known"), "{unknown:?}");
}

#[test]
fn an_entry_of_another_state_changes_nothing() {
    let mut plane = plane();
    let key = Key::Connector(DEFENDER);
    let mut entry = create(&mut plane, key, json!({}));
    let before = plane.clone();
    let mut what = |change: &dyn Fn(&mut muster_control::Entry)| {
        change(&mut entry);
        let what = plane.apply(&entry).unwrap_err().what;
        assert_eq!(plane, before);
        what
    };
    assert_eq!(what(&|_| ()), "its revision is not above the last one");
    assert_eq!(
        what(&|entry| entry.revision = Revision(3)),
        "the object differs from the one that it changes"
    );
    let other_tenant = |entry: &mut muster_control::Entry| {
        entry.tenant = muster_engine::TenantIndex(9);
        entry.key = Key::Settings;
    };
    assert_eq!(what(&other_tenant), "its tenant does not exist");
    let tenant = |entry: &mut muster_control::Entry| {
        let mut state = ControlPlane::default();
        entry.key = Key::Tenant;
        entry.effect = create(&mut state, Key::Tenant, json!({ "name": "contoso" })).effect;
    };
    assert_eq!(what(&tenant), "its tenant is not the next one");
    let named = |entry: &mut muster_control::Entry| entry.tenant = muster_engine::TenantIndex(1);
    assert_eq!(what(&named), "another tenant has this name");
    let mut entry = carry_out(&mut plane, &command(Change::Delete { key: Key::Tenant })).unwrap();
    entry.revision = Revision(9);
    let what = plane.apply(&entry).unwrap_err().what;
    assert_eq!(what, "the tenant differs from the one that it deletes");
}

#[test]
fn a_tenant_is_created_changed_and_deleted() {
    let mut plane = plane();
    let names = |plane: &ControlPlane| -> Vec<_> {
        let tenants = plane.tenants();
        tenants
            .map(|(index, tenant)| (index.0, tenant.name.to_string()))
            .collect()
    };
    create(
        &mut plane,
        Key::Tenant,
        json!({ "name": "fabrikam", "displayName": "Fabrikam" }),
    );
    let both = [(0, "contoso".to_owned()), (1, "fabrikam".to_owned())];
    assert_eq!(names(&plane), both);
    let refused = |plane: &ControlPlane, change| plane.decide(&command(change)).unwrap_err();
    let again = creation(Key::Tenant, json!({ "name": "contoso" }));
    assert_eq!(refused(&plane, again), Refusal::Exists { key: Key::Tenant });
    let bad = creation(
        Key::Tenant,
        json!({ "name": "Contoso", "displayName": "", "x": 1 }),
    );
    let listed = faults(refused(&plane, bad));
    assert_eq!(listed.len(), 3, "{listed:?}");
    let nameless = faults(refused(&plane, creation(Key::Tenant, json!({}))));
    assert!(nameless[0].starts_with("name is missing"), "{nameless:?}");
    let change = Change::Update {
        key: Key::Tenant,
        properties: properties(json!({ "name": "other", "displayName": "Contoso Ltd" })),
    };
    let listed = faults(refused(&plane, change));
    assert_eq!(listed, ["name cannot be changed; it is contoso"]);
    create(&mut plane, Key::Group(id(1)), group("Ring 1"));
    carry_out(&mut plane, &command(Change::Delete { key: Key::Tenant })).unwrap();
    assert_eq!(names(&plane), both[1..]);
    let key = Key::Settings;
    let properties = properties(json!({}));
    for change in [
        Change::Update { key, properties },
        Change::Delete { key: Key::Tenant },
    ] {
        assert_eq!(refused(&plane, change), Refusal::UnknownTenant);
    }
    assert_eq!(plane.object(TENANT, key), None);
    assert_eq!(plane.groups(TENANT).count(), 0);
    // Its index is not used again, its name may be.
    let entry = create(&mut plane, Key::Tenant, json!({ "name": "contoso" }));
    assert_eq!((entry.tenant.0, plane.next_tenant().0), (2, 3));
    assert_eq!(plane.tenant_named("contoso"), Some(entry.tenant));
    assert_eq!(plane.groups(entry.tenant).count(), 0);
    assert_eq!(plane.tenant_name(TENANT), "tenant-0");
}
