//! What role definitions and role assignments expand, and the groups to which scope tags are assigned.

use axum::body::Body;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use muster_control::{
    Action, Change, ControlPlane, DocumentType, Key, Object, Refusal, ScopeTagId,
};
use serde_json::{Map, Value, json};

use super::body;
use super::call::Call;
use super::changes::change_by;
use super::collection::{answer, no_expansion};
use super::error::GraphError;
use super::operation::{self, Content, Operation, Sent, Type};
use super::own_types;
use crate::documents as document;
use crate::odata::Expand;

/// The operations on the groups of scope tags.
pub(super) fn operations() -> Vec<Operation> {
    const TAG_ASSIGNMENT: Type = Type::Own("roleScopeTagAutoAssignment", own_types::assignment);
    let tag = |path: &str| format!("/deviceManagement/roleScopeTags/{{id}}/{path}");
    vec![
        operation::post(
            tag("assign"),
            "Replace the groups whose devices have a scope tag",
            assign_tag,
        )
        .needs(&[Action::ChangeRoles])
        .takes(Sent::Own("scopeTagAssignments", DocumentType::assignments))
        .answers(Content::Page(TAG_ASSIGNMENT))
        .conditional(),
        operation::get(
            tag("assignments"),
            "List the groups whose devices have a scope tag",
            tag_assignments,
        )
        .needs(&[Action::ReadRoles])
        .answers(Content::Page(TAG_ASSIGNMENT)),
    ]
}

/// The document of an object as a value.
fn shown(call: &Call, control: &ControlPlane, key: Key) -> Option<Value> {
    let (object, etag) = call.object(control, key)?;
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
    let Some((Object::RoleAssignment(assignment), _)) = call.object(control, key) else {
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

fn tag_of(text: &str) -> Result<ScopeTagId, GraphError> {
    let id = text.parse();
    id.map_err(|_| GraphError::not_found(format!("No roleScopeTag has the id '{text}'.")))
}

fn assignments_of(
    call: &Call,
    control: &ControlPlane,
    id: ScopeTagId,
) -> Result<Vec<Value>, GraphError> {
    let key = Key::ScopeTag(id);
    match call.object(control, key) {
        Some((Object::ScopeTag(tag), _)) => match tag.assignments_document(id) {
            Value::Array(rows) => Ok(rows),
            _ => Ok(Vec::new()),
        },
        _ => Err(Refusal::Unknown { key }.into()),
    }
}

/// `GET roleScopeTags/{id}/assignments`.
pub(super) async fn tag_assignments(
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, GraphError> {
    call.require(Action::ReadRoles)?;
    let rows = assignments_of(&call, &call.control(), tag_of(&id)?)?;
    let context = format!("deviceManagement/roleScopeTags('{id}')/assignments");
    Ok(answer(&call, &context, rows, None, None, None))
}

/// `POST roleScopeTags/{id}/assign`: the groups whose devices have the tag, instead of those before.
pub(super) async fn assign_tag(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::ChangeRoles)?;
    let tag = tag_of(&id)?;
    let properties = body::object(&headers, body).await?;
    let change = Change::AssignTag { tag, properties };
    let control = change_by(&call, &headers, change).await?;
    let rows = assignments_of(&call, &control, tag)?;
    Ok(axum::Json(json!({ "value": rows })).into_response())
}
