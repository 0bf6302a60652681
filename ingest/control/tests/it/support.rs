//! One tenant, and commands that are carried out.

use muster_control::{
    Actor, Change, Command, ControlPlane, DisplayName, Entry, Handling, Key, ObjectId,
    Precondition, Properties, Refusal, Rights,
};
use muster_engine::{TenantIndex, Timestamp};
use serde_json::{Value, json};

pub(crate) const TENANT: TenantIndex = TenantIndex(0);

pub(crate) fn id(number: u16) -> ObjectId {
    let mut bytes = [0xab; 16];
    bytes[14..].copy_from_slice(&number.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

pub(crate) fn command(change: Change) -> Command {
    Command {
        actor: Actor::Token {
            id: ObjectId::from_bytes([0xac; 16]),
            name: DisplayName::new("ada@contoso.example").unwrap(),
        },
        address: None,
        at: Timestamp::from_seconds(1_767_225_600),
        tenant: TENANT,
        expected: Precondition::Nothing,
        rights: Rights::local(),
        handling: Handling::Strict,
        change,
    }
}

pub(crate) fn properties(json: Value) -> Properties {
    match json {
        Value::Object(properties) => properties,
        other => panic!("{other} has no properties"),
    }
}

/// Decides a command and applies its entry.
pub(crate) fn carry_out(plane: &mut ControlPlane, command: &Command) -> Result<Entry, Refusal> {
    let entry = plane.decide(command)?;
    plane.apply(&entry).expect("decided on this state");
    Ok(entry)
}

pub(crate) fn create(plane: &mut ControlPlane, key: Key, json: Value) -> Entry {
    let properties = properties(json);
    carry_out(plane, &command(Change::Create { key, properties })).unwrap()
}

pub(crate) fn update(plane: &mut ControlPlane, key: Key, json: Value) -> Entry {
    let properties = properties(json);
    carry_out(plane, &command(Change::Update { key, properties })).unwrap()
}

/// The targets of the faults of a refused change.
pub(crate) fn faults_of(plane: &ControlPlane, change: Change) -> Vec<String> {
    match plane.decide(&command(change)) {
        Err(Refusal::Invalid(faults)) => {
            let faults = faults.listed().iter();
            faults.map(|fault| fault.target.clone()).collect()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn creation(key: Key, json: Value) -> Change {
    let properties = properties(json);
    Change::Create { key, properties }
}

pub(crate) fn patch(key: Key, json: Value) -> Change {
    let properties = properties(json);
    Change::Update { key, properties }
}

/// The document of an object.
pub(crate) fn document(plane: &ControlPlane, key: Key) -> Value {
    let (object, _) = plane.object(TENANT, key).unwrap();
    object.document(key).into()
}

/// The actions that a new policy must have.
pub(crate) fn block_at_once() -> Value {
    json!([{ "ruleName": "PasswordRequired", "scheduledActionConfigurations": [{ "actionType": "block" }] }])
}

/// The document of a policy for iOS with this name.
pub(crate) fn ios(name: &str) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.iosCompliancePolicy",
        "displayName": name,
        "scheduledActionsForRule": block_at_once(),
    })
}

/// The document of a group with this name.
pub(crate) fn group(name: &str) -> Value {
    json!({
        "displayName": name,
        "mailEnabled": false,
        "mailNickname": "ring",
        "securityEnabled": true,
    })
}

/// A state with one tenant, which has the revision 1.
pub(crate) fn plane() -> ControlPlane {
    let mut plane = ControlPlane::default();
    create(&mut plane, Key::Tenant, json!({ "name": "contoso" }));
    plane
}
