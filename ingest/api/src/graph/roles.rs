//! What role definitions and role assignments expand.

use muster_control::{ControlPlane, Key, Object};
use serde_json::{Map, Value};

use super::call::Call;
use super::collection::no_expansion;
use super::error::GraphError;
use crate::documents as document;
use crate::odata::Expand;

/// The document of an object as a value.
fn shown(call: &Call, control: &ControlPlane, key: Key) -> Option<Value> {
    let (object, etag) = control.object(call.tenant(), key)?;
    let mut document = document::of(&object, key, etag);
    document.remove("@odata.etag");
    Some(Value::Object(document))
}

/// Expands `roleAssignments` of a role definition.
pub(super) fn expand_definition(
    call: &Call,
    control: &ControlPlane,
    key: Key,
    document: &mut Map<String, Value>,
    expand: &Expand,
) -> Result<(), GraphError> {
    let Key::RoleDefinition(definition) = key else {
        return no_expansion(document, expand);
    };
    if !expand.name.eq_ignore_ascii_case("roleAssignments") {
        return no_expansion(document, expand);
    }
    let all = control.role_assignments(call.tenant());
    let own = all.filter(|(_, assignment, _)| assignment.definition == definition);
    let own = own.filter_map(|(id, ..)| shown(call, control, Key::RoleAssignment(id)));
    document.insert("roleAssignments".to_owned(), own.collect());
    Ok(())
}

/// Expands `roleDefinition` or `roleScopeTags` of a role assignment.
pub(super) fn expand_assignment(
    call: &Call,
    control: &ControlPlane,
    key: Key,
    document: &mut Map<String, Value>,
    expand: &Expand,
) -> Result<(), GraphError> {
    let Some((Object::RoleAssignment(assignment), _)) = control.object(call.tenant(), key) else {
        return no_expansion(document, expand);
    };
    let (name, value) = match expand.name.to_ascii_lowercase().as_str() {
        "roledefinition" => {
            let definition = Key::RoleDefinition(assignment.definition);
            ("roleDefinition", shown(call, control, definition).into())
        }
        "rolescopetags" => {
            let tags = assignment.scope_tags.iter();
            let tags = tags.filter_map(|tag| shown(call, control, Key::ScopeTag(tag)));
            ("roleScopeTags", tags.collect::<Value>())
        }
        _ => return no_expansion(document, expand),
    };
    document.insert(name.to_owned(), value);
    Ok(())
}
