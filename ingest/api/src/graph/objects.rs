//! The objects of the control plane under their Graph paths: one row of [`RESOURCES`] for each type.
//!
//! A row says where a type is, what it has, and a key of it, from which follows the action that each method needs;
//! operations and handlers read it. What an object means and which documents it takes is decided in `muster-control`.

mod table;

use axum::body::Body;
use axum::http::header::{ETAG, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{
    ALL_DEVICES, Action, Change, ControlPlane, DEFENDER, DocumentType, Key, ObjectId, Refusal,
    ScopeTagId, Subclass, Verb,
};
use muster_engine::TenantIndex;
use serde_json::{Map, Value};

use super::body;
use super::call::Call;
use super::changes::change_by;
use super::collection::{self, Collection};
use super::error::GraphError;
use super::operation::Operation;
use super::{assignments, connectors, roles, schemas};
use crate::documents as document;
use crate::odata::Expand;

/// The keys of all objects of a type.
type Keys = fn(&ControlPlane, TenantIndex) -> Vec<Key>;

/// Adds what the type computes or expands.
type Expanding =
    fn(&Call, &ControlPlane, Key, &mut Map<String, Value>, &Expand) -> Result<(), GraphError>;

/// A type of objects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    /// Its schema, and its path without the version.
    collection: Collection,
    /// The key with the id in a path.
    key: fn(&str) -> Option<Key>,
    /// The key of a new object.
    new_key: fn(&Call) -> Key,
    /// The name of the type.
    type_name: &'static str,
    /// Its types, for the OpenAPI document: one for each platform of a policy.
    types: &'static [DocumentType],
    keys: Keys,
    /// What `$expand` takes.
    expands: &'static [&'static str],
    expand: Expanding,
    actions: Actions,
    /// Whether `PATCH` answers with the whole object, as for objects of Intune, or with no body.
    patch_answers: bool,
}

/// The actions that the methods of a type need.
#[derive(Clone, Copy, Debug)]
struct Actions {
    read: Action,
    create: Action,
    update: Action,
    delete: Action,
}

impl Actions {
    /// Those of the type of a key.
    const fn on(key: Key) -> Self {
        Self {
            read: key.action(Verb::Read),
            create: key.action(Verb::Create),
            update: key.action(Verb::Update),
            delete: key.action(Verb::Delete),
        }
    }
}

/// A policy has a type for each platform.
const POLICY_TYPES: &[DocumentType] = &[
    DocumentType::Policy(Subclass::Windows10),
    DocumentType::Policy(Subclass::Ios),
    DocumentType::Policy(Subclass::Android),
    DocumentType::Policy(Subclass::AndroidWorkProfile),
    DocumentType::Policy(Subclass::AndroidDeviceOwner),
    DocumentType::Policy(Subclass::MacOs),
];
/// An id of no object.
const NONE: ObjectId = ObjectId::from_bytes([0; 16]);

const RESOURCES: &[Resource] = &[
    Resource {
        collection: Collection {
            schema: &schemas::CONNECTOR,
            context: "deviceManagement/mobileThreatDefenseConnectors",
            order: "id",
        },
        key: |id| id.parse().ok().map(Key::Connector),
        // The id of a connector is that of its partner.
        new_key: |_| Key::Connector(DEFENDER),
        type_name: "mobileThreatDefenseConnector",
        types: &[DocumentType::Connector],
        expands: &[],
        keys: |control, tenant| {
            let all = control.connectors(tenant);
            all.map(|(id, ..)| Key::Connector(id)).collect()
        },
        expand: no_expansion,
        actions: Actions::on(Key::Connector(NONE)),
        patch_answers: true,
    },
    Resource {
        collection: Collection {
            schema: &schemas::POLICY,
            context: "deviceManagement/deviceCompliancePolicies",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::Policy),
        new_key: |call| Key::Policy(call.api.backend.new_object_id()),
        type_name: "deviceCompliancePolicy",
        types: POLICY_TYPES,
        expands: &["assignments", "scheduledActionsForRule"],
        keys: |control, tenant| {
            let all = control.policies(tenant);
            all.map(|(id, ..)| Key::Policy(id)).collect()
        },
        expand: assignments::expand,
        actions: Actions::on(Key::Policy(NONE)),
        patch_answers: true,
    },
    Resource {
        collection: Collection {
            schema: &schemas::GROUP,
            context: "groups",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::Group),
        new_key: |call| Key::Group(call.api.backend.new_object_id()),
        type_name: "group",
        types: &[DocumentType::Group],
        expands: &["members"],
        keys: |control, tenant| {
            let own = control.groups(tenant).map(|(id, ..)| id);
            own.chain([ALL_DEVICES]).map(Key::Group).collect()
        },
        expand: super::groups::expand,
        actions: Actions::on(Key::Group(NONE)),
        patch_answers: false,
    },
    Resource {
        collection: Collection {
            schema: &schemas::FILTER,
            context: "deviceManagement/assignmentFilters",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::Filter),
        new_key: |call| Key::Filter(call.api.backend.new_object_id()),
        type_name: "deviceAndAppManagementAssignmentFilter",
        types: &[DocumentType::Filter],
        expands: &[],
        keys: |control, tenant| {
            let all = control.filters(tenant);
            all.map(|(id, ..)| Key::Filter(id)).collect()
        },
        expand: no_expansion,
        actions: Actions::on(Key::Filter(NONE)),
        patch_answers: true,
    },
    Resource {
        collection: Collection {
            schema: &schemas::SCOPE_TAG,
            context: "deviceManagement/roleScopeTags",
            order: "id",
        },
        key: |id| id.parse().ok().map(Key::ScopeTag),
        new_key: |call| Key::ScopeTag(call.control().next_scope_tag(call.tenant())),
        type_name: "roleScopeTag",
        types: &[DocumentType::ScopeTag],
        expands: &[],
        keys: |control, tenant| control.scope_tag_keys(tenant).collect(),
        expand: no_expansion,
        actions: Actions::on(Key::ScopeTag(ScopeTagId::DEFAULT)),
        patch_answers: true,
    },
    Resource {
        collection: Collection {
            schema: &schemas::ROLE_DEFINITION,
            context: "deviceManagement/roleDefinitions",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::RoleDefinition),
        new_key: |call| Key::RoleDefinition(call.api.backend.new_object_id()),
        type_name: "roleDefinition",
        types: &[DocumentType::RoleDefinition],
        expands: &["roleAssignments"],
        keys: |control, tenant| control.role_definition_keys(tenant).collect(),
        expand: roles::expand_definition,
        actions: Actions::on(Key::RoleDefinition(NONE)),
        patch_answers: true,
    },
    Resource {
        collection: Collection {
            schema: &schemas::ROLE_ASSIGNMENT,
            context: "deviceManagement/roleAssignments",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::RoleAssignment),
        new_key: |call| Key::RoleAssignment(call.api.backend.new_object_id()),
        type_name: "roleAssignment",
        types: &[DocumentType::RoleAssignment],
        expands: &["roleDefinition", "roleScopeTags"],
        keys: |control, tenant| {
            let all = control.role_assignments(tenant);
            all.map(|(id, ..)| Key::RoleAssignment(id)).collect()
        },
        expand: roles::expand_assignment,
        actions: Actions::on(Key::RoleAssignment(NONE)),
        patch_answers: true,
    },
];

/// The operations of all types.
pub(super) fn operations() -> Vec<Operation> {
    RESOURCES.iter().flat_map(table::operations_of).collect()
}

fn no_expansion(
    _: &Call,
    _: &ControlPlane,
    _: Key,
    document: &mut Map<String, Value>,
    expand: &Expand,
) -> Result<(), GraphError> {
    collection::no_expansion(document, expand)
}

/// The document of an object as the API shows it.
pub(super) fn shown(call: &Call, control: &ControlPlane, key: Key) -> Option<Map<String, Value>> {
    let (object, etag) = call.object(control, key)?;
    let mut document = document::of(&object, key, etag);
    // The ETag is a header: scripts send whole documents back.
    document.remove("@odata.etag");
    if matches!(key, Key::Connector(_)) {
        connectors::add_state(&mut document);
    }
    Some(document)
}

fn rows(call: &Call, resource: &Resource) -> Vec<Value> {
    let control = call.control();
    let keys = (resource.keys)(&control, call.tenant());
    let shown = keys
        .into_iter()
        .filter_map(|key| shown(call, &control, key));
    shown.map(Value::Object).collect()
}

fn list(call: &Call, resource: &Resource, query: Option<&str>) -> Result<Response, GraphError> {
    call.require(resource.actions.read)?;
    let control = call.control();
    let expand = |document: &mut Map<String, Value>, expand: &Expand| {
        let id = document
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let key = key_of(resource, id)?;
        (resource.expand)(call, &control, key, document, expand)
    };
    let rows = rows(call, resource);
    collection::list(call, query, resource.collection, rows, &expand)
}

fn one(
    call: &Call,
    resource: &Resource,
    id: &str,
    query: Option<&str>,
) -> Result<Response, GraphError> {
    call.require(resource.actions.read)?;
    let control = call.control();
    let key = key_of(resource, id)?;
    let document = shown(call, &control, key).ok_or(Refusal::Unknown { key })?;
    let expand = |document: &mut Map<String, Value>, expand: &Expand| {
        (resource.expand)(call, &control, key, document, expand)
    };
    let document = Value::Object(document);
    let response = collection::single(call, query, resource.collection, document, &expand)?;
    Ok(with_etag(response, call, &control, key))
}

fn key_of(resource: &Resource, id: &str) -> Result<Key, GraphError> {
    let unknown = || GraphError::not_found(format!("No {} has the id '{id}'.", resource.type_name));
    (resource.key)(id).ok_or_else(unknown)
}

async fn create(
    call: &Call,
    resource: &Resource,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(resource.actions.create)?;
    let properties = body::object(headers, body).await?;
    let key = (resource.new_key)(call);
    let change = Change::Create { key, properties };
    let control = change_by(call, headers, change).await?;
    let id = key.id_text().unwrap_or_default();
    let response = changed(call, resource, &control, key)?;
    Ok(collection::created(
        call,
        resource.collection.context,
        &id,
        response,
    ))
}

async fn patch(
    call: &Call,
    resource: &Resource,
    id: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(resource.actions.update)?;
    let properties = body::object(headers, body).await?;
    let key = key_of(resource, id)?;
    let change = Change::Update { key, properties };
    let control = change_by(call, headers, change).await?;
    if resource.patch_answers {
        return changed(call, resource, &control, key);
    }
    let response = StatusCode::NO_CONTENT.into_response();
    Ok(with_etag(response, call, &control, key))
}

async fn delete(
    call: &Call,
    resource: &Resource,
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, GraphError> {
    call.require(resource.actions.delete)?;
    let key = key_of(resource, id)?;
    change_by(call, headers, Change::Delete { key }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The response with an object after its change.
fn changed(
    call: &Call,
    resource: &Resource,
    control: &ControlPlane,
    key: Key,
) -> Result<Response, GraphError> {
    let document = shown(call, control, key).ok_or(Refusal::Unknown { key })?;
    let response = collection::entity(call, resource.collection.context, Value::Object(document));
    Ok(with_etag(response, call, control, key))
}

/// Adds the ETag of an object to a response.
pub(super) fn with_etag(
    mut response: Response,
    call: &Call,
    control: &ControlPlane,
    key: Key,
) -> Response {
    if let Some((_, etag)) = control.object(call.tenant(), key)
        && let Ok(etag) = HeaderValue::try_from(etag.to_string())
    {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}
