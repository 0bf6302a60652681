//! The document of an object: that of `muster-control`, with the times and the ETag, and with the actions and assignments
//! of a policy, because requests here cannot expand them.

use muster_control::{ETag, Key, Object, Properties};
use muster_engine::Timestamp;
use serde_json::Value;

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
        | Object::RoleAssignment(_) => (),
    }
    document
}
