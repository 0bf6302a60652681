//! The document of an object: that of `muster-control`, with the times and the ETag, and with the actions and assignments
//! of a policy, because requests here cannot expand them.

use muster_control::{
    Access, Actor, ETag, Effect, Entry, Key, ModifiedProperty, Object, Properties,
};
use muster_engine::Timestamp;
use serde_json::{Value, json};

use crate::times;

/// The annotation with the ETag.
const ETAG: &str = "@odata.etag";

pub(crate) fn of(object: &Object, key: Key, etag: ETag) -> Properties {
    let mut document = Properties::new();
    document.insert(ETAG.to_owned(), etag.to_string().into());
    document.extend(object.document(key));
    if let (Object::Policy(policy), Some(id)) = (object, key.id()) {
        let actions = policy.scheduled_actions_document(id);
        document.insert("scheduledActionsForRule".to_owned(), actions);
        document.insert("assignments".to_owned(), policy.assignments_document(id));
    }
    let mut time = |name: &str, at: Option<Timestamp>| {
        let at = at
            .and_then(times::timestamp)
            .map_or(Value::Null, Value::from);
        document.insert(name.to_owned(), at);
    };
    match object {
        Object::Policy(policy) => {
            time("createdDateTime", Some(policy.created_at));
            time("lastModifiedDateTime", Some(policy.modified_at));
        }
        Object::Group(group) => time("createdDateTime", group.created_at),
        Object::Tenant(tenant) => time("createdDateTime", Some(tenant.created_at)),
        Object::Token(token) => {
            time("createdDateTime", Some(token.created_at));
            time("expirationDateTime", Some(token.expires_at));
        }
        Object::Filter(filter) => {
            time("createdDateTime", Some(filter.created_at));
            time("lastModifiedDateTime", Some(filter.modified_at));
        }
        Object::Device(_)
        | Object::Settings(_)
        | Object::Connector(_)
        | Object::ScopeTag(_)
        | Object::RoleDefinition(_)
        | Object::RoleAssignment(_)
        | Object::User(_) => (),
    }
    document
}

/// Every category of audit events.
pub(crate) const CATEGORIES: &[&str] = &[
    "Compliance",
    "Device",
    "DeviceConfiguration",
    "Group",
    "Role",
    "Other",
];

fn category(key: Key) -> &'static str {
    match key {
        Key::Policy(_) => "Compliance",
        Key::Device(_) => "Device",
        Key::Settings | Key::Connector(_) => "DeviceConfiguration",
        Key::Group(_) => "Group",
        Key::Token(_) | Key::ScopeTag(_) | Key::RoleDefinition(_) | Key::RoleAssignment(_) => {
            "Role"
        }
        Key::Filter(_) => "DeviceConfiguration",
        Key::Tenant | Key::User(_) => "Other",
    }
}

/// An entry of the log as an `auditEvent`.
pub(crate) fn event(entry: &Entry) -> Value {
    if let Effect::Access(record) = &entry.effect {
        return of_access(entry, &record.access);
    }
    let type_name = capitalized(entry.key.type_name());
    let activity = format!("{} {type_name}", entry.activity());
    let object = entry.after().or(entry.before());
    let id = match object {
        // A tenant has a name instead of an id.
        Some(Object::Tenant(tenant)) => Some(tenant.name.to_string()),
        _ => entry.key.id_text(),
    };
    let shown = object.map(|object| object.document(entry.key));
    let name = shown.and_then(|mut document| document.remove("displayName"));
    let resource = json!({
        "displayName": name,
        "auditResourceType": type_name,
        "resourceId": id,
        "modifiedProperties": modified(entry),
    });
    whole(entry, category(entry.key), activity, "Success", resource)
}

/// An `auditEvent` about one resource.
fn whole(entry: &Entry, category: &str, activity: String, result: &str, resource: Value) -> Value {
    json!({
        "id": entry.revision.to_string(),
        "displayName": activity,
        "componentName": category,
        "category": category,
        "activity": null,
        "correlationId": null,
        "activityType": activity,
        "activityOperationType": entry.operation(),
        "activityDateTime": times::precise(entry.at),
        "activityResult": result,
        "actor": actor(entry),
        "resources": [resource],
    })
}

/// The record of an access as an `auditEvent`.
fn of_access(entry: &Entry, access: &Access) -> Value {
    let type_name = access.resource_type();
    let activity = format!("{} {type_name}", entry.activity());
    let (name, id) = access.resource();
    let result = if access.is_refused() {
        "Failure"
    } else {
        "Success"
    };
    let resource = json!({
        "displayName": name,
        "auditResourceType": type_name,
        "resourceId": id,
        "modifiedProperties": modified(entry),
    });
    whole(entry, "Other", activity, result, resource)
}

/// Tokens are service principals; users of issuers are persons, and so is who uses the operations endpoint.
fn actor(entry: &Entry) -> Value {
    let mut user_id = None;
    let (kind, user, service, id) = match &entry.actor {
        Actor::Local => ("ItPro", Some(entry.actor.name()), None, None),
        Actor::User { id, name, .. } => {
            user_id = Some(id.as_str());
            ("ItPro", Some(name.as_str()), None, None)
        }
        Actor::Token { id, name } => {
            let name = Some(name.as_str());
            ("Application", None, name, Some(id.to_string()))
        }
    };
    json!({
        "auditActorType": kind,
        "userPermissions": [],
        "applicationId": id,
        "applicationDisplayName": service,
        "userPrincipalName": user,
        "servicePrincipalName": service,
        "ipAddress": entry.address.map(|address| address.to_string()),
        "userId": user_id,
    })
}

fn modified(entry: &Entry) -> Vec<Value> {
    let members = |list: &[muster_wire::DeviceId]| {
        let ids: Vec<_> = list.iter().map(ToString::to_string).collect();
        Some(Value::from(ids))
    };
    let (old, new) = match &entry.effect {
        Effect::MembersAdded(added) => (None, members(added)),
        Effect::MembersRemoved(removed) => (members(removed), None),
        Effect::PrincipalAdded(token) => (None, Some(json!([token.to_string()]))),
        Effect::PrincipalRemoved(token) => (Some(json!([token.to_string()])), None),
        _ => return entry.modified_properties().iter().map(property).collect(),
    };
    let name = "members".to_owned();
    vec![property(&ModifiedProperty { name, old, new })]
}

/// As in Graph, values are texts.
fn property(property: &ModifiedProperty) -> Value {
    let text = |value: &Option<Value>| match value {
        None => Value::Null,
        Some(Value::Bool(true)) => "True".into(),
        Some(Value::Bool(false)) => "False".into(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    };
    json!({
        "displayName": property.name,
        "oldValue": text(&property.old),
        "newValue": text(&property.new),
    })
}

fn capitalized(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_ascii_uppercase() + rest
}
