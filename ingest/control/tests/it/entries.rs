//! The encoding of entries, and what an audit shows of them.

use std::net::IpAddr;

use muster_control::limits::{
    ASSIGNMENTS_MAX, REQUIREMENT_JSON_BYTES_MAX, ROLE_ACTIONS_MAX, RULE_CHARACTERS_MAX,
};
use muster_control::{
    Access, AccessRecord, AccessText, Actor, Change, DEFENDER, DeviceAction, DisplayName, Entry,
    EntryError, Export, Handling, History, IssuerUrl, Key, ModifiedProperty, ObjectId, Scope,
    ScopeTagId, UserId,
};
use muster_engine::{Revision, SequenceReset};
use muster_wire::DeviceId;
use serde_json::json;

use crate::support::*;

/// One entry of each kind, in the order of a log.
fn log() -> Vec<Entry> {
    let mut plane = plane();
    let (policy, ring) = (Key::Policy(id(1)), id(2));
    let device = DeviceId::from_bytes([7; 16]);
    let json = json!({
        "@odata.type": "#microsoft.graph.iosCompliancePolicy",
        "displayName": "iOS",
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": "medium",
        "scheduledActionsForRule": block_at_once(),
    });
    let mut log = vec![
        update(
            &mut plane,
            Key::Settings,
            json!({ "secureByDefault": true }),
        ),
        create(
            &mut plane,
            Key::Connector(DEFENDER),
            json!({ "iosEnabled": true }),
        ),
        create(&mut plane, policy, json),
        create(&mut plane, Key::Group(ring), group("Ring 1")),
    ];
    let members = vec![device];
    for change in [
        Change::AddMembers {
            group: ring,
            members: members.clone(),
        },
        Change::RemoveMembers {
            group: ring,
            members,
        },
        Change::Delete { key: policy },
        Change::Device {
            device,
            action: DeviceAction::ResetSequence(SequenceReset {
                seq_before: u64::MAX,
                seq: 9,
                inventory_revision_before: 8,
                inventory_revision: 8,
            }),
        },
        Change::Device {
            device,
            action: DeviceAction::Remove,
        },
        Change::Device {
            device,
            action: DeviceAction::Restore,
        },
    ] {
        log.push(carry_out(&mut plane, &command(change)).unwrap());
    }
    log.push(update(
        &mut plane,
        Key::Tenant,
        json!({ "displayName": "Contoso Ltd" }),
    ));
    let change = Change::Delete { key: Key::Tenant };
    log.push(carry_out(&mut plane, &command(change)).unwrap());
    log.push(create(
        &mut plane,
        Key::Tenant,
        json!({ "name": "contoso" }),
    ));
    log
}

/// One entry of each further kind of object.
fn access_log() -> Vec<Entry> {
    let mut plane = plane();
    let (ring, role) = (id(2), id(3));
    let actions = json!(["Microsoft.Intune_Audit_Read"]);
    vec![
        create(
            &mut plane,
            Key::Filter(id(1)),
            json!({ "displayName": "L", "platform": "windows10AndLater", "rule": "device.model -eq 'L'" }),
        ),
        create(
            &mut plane,
            Key::ScopeTag(ScopeTagId(1)),
            json!({ "displayName": "A" }),
        ),
        create(
            &mut plane,
            Key::RoleDefinition(role),
            json!({ "displayName": "B", "rolePermissions": [{ "actions": actions }] }),
        ),
        create(&mut plane, Key::Group(ring), group("Ring 1")),
        create(
            &mut plane,
            Key::RoleAssignment(id(4)),
            json!({
                "displayName": "C",
                "members": [ring.to_string()],
                "roleDefinition@odata.bind": role.to_string(),
                "roleScopeTags@odata.bind": ["1"],
            }),
        ),
        create(
            &mut plane,
            Key::User(id(5)),
            json!({
                "displayName": "D",
                "userPrincipalName": "d@e",
                "accountEnabled": false,
                "mail": "m",
                "passwordProfile": { "password": "secret" },
            }),
        ),
    ]
}

#[test]
fn the_bytes_of_objects_of_access_never_change() {
    let actor = "ac".repeat(16);
    let head = |revision: u8| {
        format!(
            "01 {revision:02x}000000 00a8da769b010000 0000 01 {actor} 1300 61646140636f6e746f736f2e6578616d706c65 00"
        )
    };
    let time = "00a8da769b010000";
    let [filter, ring, role, assignment, user] =
        [1, 2, 3, 4, 5].map(|number| id(number).to_string());
    let rule = hex(b"device.model -eq 'L'");
    let action = hex(b"Microsoft.Intune_Audit_Read");
    let default = "01 00000000";
    let golden = [
        head(2) + &format!("07 {filter} 00 {time} {time} 0100 4c 0000 06 1400 {rule} {default} 00"),
        head(3) + "08 01000000 00 0100 41 0000 00",
        head(4) + &format!("09 {role} 00 0100 42 0000 0100 1b00 {action} 0000 {default}"),
        head(5) + &format!("03 {ring} 00 {time} 0600 52696e672031 0000 0400 72696e67 00 0000 00"),
        head(6) + &format!("0a {assignment} 00 0100 43 0000 01 {ring} 00 00 {role} 01 01000000"),
        head(7) + &format!("0b {user} 00 0100 44 0300 644065 00 0000 0100 6d 0000 0000 0000 0000"),
    ];
    assert_eq!(access_log().len(), golden.len());
    for (entry, golden) in access_log().iter().zip(golden) {
        assert_eq!(hex(&entry.encode()), golden.replace([' ', '-'], ""));
    }
}

/// A record of each kind of access, from each kind of address.
fn accesses() -> Vec<Entry> {
    let mut plane = plane();
    let text = AccessText::cut;
    let all = [
        Access::Refused {
            method: text("PATCH"),
            path: text("/v1.0/x"),
            reason: text("no"),
        },
        Access::SignedIn,
        Access::Exported(Export {
            job: text("j"),
            report: text("Devices"),
            format: text("csv"),
            filter: text("a eq 1"),
            select: text("A,B"),
        }),
        Access::Downloaded { job: text("j") },
    ];
    let addresses: [Option<IpAddr>; 4] = [
        Some([192, 0, 2, 7].into()),
        Some("2001:db8::7".parse().unwrap()),
        None,
        None,
    ];
    let records = all.into_iter().zip(addresses).zip([0, 3, 0, 1]);
    records
        .map(|((access, address), unrecorded)| {
            let mut command = command(Change::Access(AccessRecord { access, unrecorded }));
            command.address = address;
            carry_out(&mut plane, &command).unwrap()
        })
        .collect()
}

#[test]
fn the_bytes_of_an_access_never_change() {
    let actor = format!(
        "01 {} 1300 {}",
        "ac".repeat(16),
        hex(b"ada@contoso.example")
    );
    let head = |revision| format!("01 {revision:02x}000000 00a8da769b010000 0000 {actor}");
    let (path, report) = (hex(b"/v1.0/x"), hex(b"Devices"));
    let golden = [
        head(2) + &format!("04 c0000207 05 08 00 0500 5041544348 0700 {path} 0200 6e6f 00000000"),
        head(3) + &format!("06 20010db8{}0007 05 08 01 03000000", "00".repeat(10)),
        head(4)
            + &format!(
                "00 05 08 02 0100 6a 0700 {report} 0300 637376 0600 612065712031 0300 412c42 00000000"
            ),
        head(5) + "00 05 08 03 0100 6a 01000000",
    ];
    for (entry, golden) in accesses().iter().zip(golden) {
        assert_eq!(hex(&entry.encode()), golden.replace(' ', ""));
    }
}

#[test]
fn an_access_changes_no_object_and_is_in_the_audit() {
    let log = accesses();
    let [refused, sign_in, export, download] = &log[..] else {
        panic!("{log:?}")
    };
    let shown = |entry: &Entry| (entry.operation(), entry.activity());
    assert_eq!(shown(refused), ("Patch", "Patch"));
    assert_eq!(shown(sign_in), ("Action", "signIn"));
    assert_eq!(shown(export), ("Create", "Create"));
    assert_eq!(shown(download), ("Get", "Get"));
    let properties = |entry: &Entry| -> Vec<_> {
        let all = entry.modified_properties().into_iter();
        all.map(|property| {
            assert_eq!(property.old, None);
            format!("{} {}", property.name, property.new.unwrap())
        })
        .collect()
    };
    assert_eq!(
        properties(refused),
        ["method \"PATCH\"", "path \"/v1.0/x\"", "reason \"no\""]
    );
    assert_eq!(properties(sign_in), ["unrecorded 3"]);
    assert_eq!(properties(export)[3], "filter \"a eq 1\"");
    let mut plane = plane();
    let before = plane.object(TENANT, Key::Tenant);
    let mut history = History::default();
    for entry in &log {
        plane.apply(entry).unwrap();
        history.push(entry);
    }
    assert_eq!(plane.object(TENANT, Key::Tenant), before, "also its ETag");
    assert_eq!(plane.entries(TENANT), 0);
    let count = |scope| history.page(scope, None, 9).revisions.len();
    assert_eq!(count(Scope::Tenant(TENANT)), 4);
    assert_eq!(count(Scope::Tenants), 0, "no tenant was changed");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_bytes_of_an_entry_never_change() {
    // version, revision, time in milliseconds, tenant, actor, key, kind of change
    let actor = "ac".repeat(16);
    let of = |tenant: u8, revision: u8| {
        format!(
            "01 {revision:02x}000000 00a8da769b010000 {tenant:02x}00 01 {actor} 1300 61646140636f6e746f736f2e6578616d706c65 00"
        )
    };
    let head = |revision| of(0, revision);
    let (first, second) = (id(1).to_string(), id(2).to_string());
    let (policy, group) = (format!("02 {first}"), format!("03 {second}"));
    let time = "00a8da769b010000";
    // no requirement, one action, no assignment
    let block = format!("00 01 02 00000000 {} 00 00", "00".repeat(16));
    let tags = "01 00000000";
    let ios = format!("01 01000000 {time} {time} 0300 694f53 0000 {tags} 01 03 {block}");
    let seven = "07".repeat(16);
    let name = "636f6e746f736f";
    let contoso = format!("0700 {name} {time}");
    let name_of_people = "436f6e746f736f204c7464";
    let golden = [
        head(2)
            + "00 01 00 1e000000 01 00 01 07000000 30000000 1e000000 b4000000 \
                   01 1e000000 01 00 01 07000000 30000000 1e000000 b4000000",
        head(3)
            + "01 fc780465201740d4a0c5307022471b92 00 000000 010000 000000 0000 00 07000000 0000000000 00",
        head(4) + &format!("{policy} 00 {ios}"),
        head(5) + &format!("{group} 00 {time} 0600 52696e672031 0000 0400 72696e67 00 0000 00"),
        head(6) + &format!("{group} 03 0100 {seven}"),
        head(7) + &format!("{group} 04 0100 {seven}"),
        head(8) + &format!("{policy} 02 {ios}"),
        head(9) + &format!("04 {seven} 05 ffffffffffffffff 0900000000000000 08000000 08000000"),
        head(10) + &format!("04 {seven} 06"),
        head(11) + &format!("04 {seven} 07"),
        head(12) + &format!("05 01 {contoso} 0700 {name} {contoso} 0b00 {name_of_people}"),
        head(13) + &format!("05 02 {contoso} 0b00 {name_of_people}"),
        of(1, 14) + &format!("05 00 {contoso} 0700 {name}"),
    ];
    assert_eq!(log().len(), golden.len());
    for (entry, golden) in log().iter().zip(golden) {
        assert_eq!(hex(&entry.encode()), golden.replace([' ', '-'], ""));
    }
}

#[test]
fn bytes_that_are_not_an_entry_are_refused() {
    let all = log().into_iter().chain(access_log()).chain(accesses());
    for entry in all {
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes).as_ref(), Ok(&entry));
        for length in 0..bytes.len() {
            let cut = Entry::decode(&bytes[..length]);
            assert!(
                matches!(cut, Err(EntryError::Truncated)),
                "{entry:?} cut at {length}"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Entry::decode(&longer), Err(EntryError::Trailing(1)));
        let mut newer = bytes.clone();
        newer[0] = 2;
        assert_eq!(Entry::decode(&newer), Err(EntryError::Version(2)));
        // Canonical: what can be read is what would be written.
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[position] ^= 1 << bit;
                if let Ok(read) = Entry::decode(&flipped) {
                    assert_eq!(read.encode(), flipped, "bit {bit} of byte {position}");
                    assert_ne!(read, entry);
                }
            }
        }
    }
}

#[test]
fn members_of_an_entry_are_in_one_order() {
    let log = log();
    let mut bytes = log[4].encode();
    let count = bytes.len() - 18;
    assert_eq!(bytes[count..count + 2], [1, 0]);
    bytes[count] = 0;
    assert_eq!(
        Entry::decode(&bytes),
        Err(EntryError::Invalid("number of members"))
    );
    bytes[count] = 2;
    bytes.extend([7; 16]);
    assert_eq!(
        Entry::decode(&bytes),
        Err(EntryError::Invalid("order of members"))
    );
    *bytes.last_mut().unwrap() = 8;
    assert!(Entry::decode(&bytes).is_ok());
}

#[test]
fn the_largest_entries_are_bounded() {
    let mut plane = plane();
    let widest = "\u{1f600}";
    let (name, description) = (widest.repeat(256), widest.repeat(1024));
    let apps = json!([{ "name": "x".repeat(REQUIREMENT_JSON_BYTES_MAX - 13) }]);
    let groups: Vec<_> = (1_000..1_000 + ASSIGNMENTS_MAX as u16).map(id).collect();
    for id in &groups {
        create(&mut plane, Key::Group(*id), group("x"));
    }
    let target = |id: &ObjectId| {
        json!({ "target": {
            "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": id.to_string(),
        }})
    };
    let targets: Vec<_> = groups.iter().map(target).collect();
    let mut policy = ios(&name);
    policy["description"] = description.clone().into();
    policy["restrictedApps"] = apps;
    policy["assignments"] = targets.into();
    let rule = format!(
        "device.model -eq \"{}\"",
        widest.repeat(RULE_CHARACTERS_MAX - 19)
    );
    let filter = json!({
        "displayName": name, "description": description, "platform": "iOS", "rule": rule,
    });
    let action = |number: usize| format!("Microsoft.Intune_{number:0>63}");
    let actions: Vec<_> = (0..ROLE_ACTIONS_MAX).map(action).collect();
    let role = json!({
        "displayName": name,
        "description": description,
        "rolePermissions": [{ "resourceActions": [
            { "allowedResourceActions": actions },
        ]}],
    });
    for (key, json, max) in [
        (Key::Policy(id(1)), policy, 27_000),
        (Key::Filter(id(1)), filter, 39_000),
        (Key::RoleDefinition(id(1)), role, 57_000),
    ] {
        let mut lenient = command(creation(key, json));
        lenient.handling = Handling::Lenient;
        carry_out(&mut plane, &lenient).unwrap();
        let renamed = json!({ "displayName": "\u{1f601}".repeat(256) });
        let mut entry = update(&mut plane, key, renamed);
        // Nobody else has more bytes.
        entry.actor = Actor::User {
            issuer: IssuerUrl::new(&"\u{1f600}".repeat(512)).unwrap(),
            id: UserId::new(&"\u{1f600}".repeat(255)).unwrap(),
            name: DisplayName::new(&name).unwrap(),
        };
        let length = entry.encode().len();
        assert!((max * 9 / 10..=max).contains(&length), "{key:?}: {length}");
        assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }
}

#[test]
fn an_audit_shows_what_was_changed_and_by_whom() {
    let log = log();
    let operations: Vec<_> = log.iter().map(Entry::operation).collect();
    let expected = [
        "Patch",
        "Create",
        "Create",
        "Create",
        "SetReference",
        "RemoveReference",
        "Delete",
        "Action",
        "Delete",
        "Action",
        "Patch",
        "Delete",
        "Create",
    ];
    assert_eq!(operations, expected);
    let changed = ModifiedProperty {
        name: "secureByDefault".to_owned(),
        old: Some(json!(false)),
        new: Some(json!(true)),
    };
    assert_eq!(log[0].modified_properties(), [changed]);
    assert_eq!(log[0].actor.name(), "ada@contoso.example");
    let created = log[2].modified_properties();
    assert!(
        created
            .iter()
            .all(|property| property.old.is_none() && property.new.is_some())
    );
    let deleted = log[6].modified_properties();
    assert!(
        deleted
            .iter()
            .all(|property| property.old.is_some() && property.new.is_none())
    );
    assert_eq!(created.len(), deleted.len());
    assert_eq!(log[4].modified_properties(), []);
    let reset = &log[7];
    assert_eq!(
        (reset.operation(), reset.activity()),
        ("Action", "resetSequence")
    );
    let property = |name: &str, old: u64, new: u64| ModifiedProperty {
        name: name.to_owned(),
        old: Some(old.into()),
        new: Some(new.into()),
    };
    let expected = [
        property("seq", u64::MAX, 9),
        property("inventoryRevision", 8, 8),
    ];
    assert_eq!(reset.modified_properties(), expected);
}

#[test]
fn the_history_of_an_object_is_newest_first() {
    let log = log();
    let mut history = History::default();
    for entry in &log {
        history.push(entry);
    }
    let page = |scope, before: Option<u32>, limit| {
        let page = history.page(scope, before.map(Revision), limit);
        let revisions: Vec<u32> = page.revisions.iter().map(|revision| revision.0).collect();
        (revisions, page.has_more)
    };
    let of = |key| Scope::Object(TENANT, key);
    let (policy, group) = (of(Key::Policy(id(1))), of(Key::Group(id(2))));
    assert_eq!(page(policy, None, 9), (vec![8, 4], false), "it was deleted");
    assert_eq!(page(group, None, 9), (vec![7, 6, 5], false));
    assert_eq!(page(group, None, 2), (vec![7, 6], true));
    assert_eq!(page(group, Some(6), 2), (vec![5], false));
    assert_eq!(page(of(Key::Policy(id(2))), None, 9), (vec![], false));
    let device = of(Key::Device(DeviceId::from_bytes([7; 16])));
    assert_eq!(page(device, None, 9), (vec![11, 10, 9], false));
    let tenant = Scope::Tenant(TENANT);
    assert_eq!(page(tenant, None, 6), (vec![13, 12, 11, 10, 9, 8], true));
    assert_eq!(page(tenant, Some(4), 3), (vec![3, 2], false));
    assert_eq!(page(Scope::Tenants, None, 2), (vec![14, 13], true));
    assert_eq!(page(Scope::Tenants, Some(13), 2), (vec![12], false));
    assert!(history.has(TENANT, Key::Policy(id(1))));
    assert!(!history.has(TENANT, Key::Policy(id(2))));
}
