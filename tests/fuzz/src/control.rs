//! The control plane: entries from disk, and documents of operators.

use muster_control::{
    Actor, Change, Command, ControlPlane, DEFENDER, Entry, Handling, Key, ObjectId, Precondition,
    Properties, Rights, ScopeTagId,
};
use muster_engine::{TenantIndex, Timestamp};
use muster_wire::DeviceId;

use crate::Input;

/// Decodes an entry. An entry has one encoding, and is applied completely or not at all.
pub fn control_entry(data: &[u8]) {
    let Ok(entry) = Entry::decode(data) else {
        return;
    };
    assert_eq!(entry.encode(), data);
    let _ = entry.modified_properties();
    let mut plane = ControlPlane::default();
    match plane.apply(&entry) {
        Ok(()) => assert_eq!(plane.revision(), entry.revision),
        Err(_) => assert_eq!(plane, ControlPlane::default()),
    }
}

/// A state with one tenant.
fn with_tenant() -> ControlPlane {
    let mut plane = ControlPlane::default();
    let properties = [("name".to_owned(), "contoso".into())];
    let command = Command {
        actor: Actor::Local,
        address: None,
        at: Timestamp::from_seconds(1),
        tenant: TenantIndex(0),
        expected: Precondition::Nothing,
        rights: Rights::local(),
        handling: Handling::Strict,
        change: Change::Create {
            key: Key::Tenant,
            properties: properties.into_iter().collect(),
        },
    };
    let entry = plane.decide(&command).expect("the command is valid");
    plane.apply(&entry).expect("it was decided on this state");
    plane
}

/// Decides a document: the first two bytes select the object and what to do with it. The resulting entry can be applied
/// and decoded again.
pub fn control_document(data: &[u8]) {
    let mut input = Input(data);
    let (kind, verb) = (input.u8(), input.u8());
    let Ok(properties) = serde_json::from_slice::<Properties>(input.0) else {
        return;
    };
    let id = ObjectId::from_bytes([1; 16]);
    let key = match kind % 11 {
        0 => Key::Settings,
        1 => Key::Connector(DEFENDER),
        2 => Key::Policy(id),
        3 => Key::Group(id),
        4 => Key::Tenant,
        5 => Key::Filter(id),
        6 => Key::ScopeTag(ScopeTagId(1)),
        7 => Key::RoleDefinition(id),
        8 => Key::RoleAssignment(id),
        9 => Key::User(id),
        _ => Key::Device(DeviceId::from_bytes([1; 16])),
    };
    let handling = match verb & 0x80 {
        0 => Handling::Strict,
        _ => Handling::Lenient,
    };
    let mut plane = with_tenant();
    let created = properties.clone();
    let parts = properties.clone();
    let changes = match verb % 3 {
        0 => vec![Change::Create { key, properties }],
        1 => vec![Change::Replace { key, properties }],
        _ => vec![
            Change::Create {
                key,
                properties: created,
            },
            Change::Update { key, properties },
            Change::Assign {
                policy: id,
                properties: parts.clone(),
            },
            Change::ScheduleActions {
                policy: id,
                properties: parts,
            },
            Change::Delete { key },
        ],
    };
    for change in changes {
        let command = Command {
            actor: Actor::Local,
            address: None,
            at: Timestamp::from_seconds(1),
            tenant: TenantIndex(0),
            expected: Precondition::Nothing,
            rights: Rights::local(),
            handling,
            change,
        };
        let Ok(entry) = plane.decide(&command) else {
            continue;
        };
        assert_eq!(Entry::decode(&entry.encode()).as_ref(), Ok(&entry));
        plane
            .apply(&entry)
            .expect("an entry applies to the state that it was decided on");
    }
}
