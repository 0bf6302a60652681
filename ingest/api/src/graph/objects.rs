//! The objects of the control plane under their Graph paths: one row of [`RESOURCES`] for each type.
//!
//! A row says where a type is, what it has, and which action each method needs; router and handlers read it. What an
//! object means and which documents it takes is decided in `muster-control`.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::header::{ETAG, HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use muster_control::{ALL_DEVICES, Action, Change, ControlPlane, DEFENDER, Key, Refusal};
use muster_engine::TenantIndex;
use serde_json::{Map, Value};

use super::body;
use super::call::Call;
use super::changes::change_by;
use super::collection::{self, Collection};
use super::error::GraphError;
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
    /// Its path without the version.
    path: &'static str,
    collection: Collection,
    /// The key with the id in a path.
    key: fn(&str) -> Option<Key>,
    /// The key of a new object.
    new_key: fn(&Call) -> Key,
    /// The name of the type.
    type_name: &'static str,
    keys: Keys,
    expand: Expanding,
    read: Action,
    create: Action,
    update: Action,
    delete: Action,
    /// Whether `PATCH` answers with the whole object, as for objects of Intune, or with no body.
    patch_answers: bool,
}

const RESOURCES: &[Resource] = &[
    Resource {
        path: "/devicemanagement/mobilethreatdefenseconnectors",
        collection: Collection {
            schema: &schemas::CONNECTOR,
            context: "deviceManagement/mobileThreatDefenseConnectors",
            order: "id",
        },
        key: |id| id.parse().ok().map(Key::Connector),
        // The id of a connector is that of its partner.
        new_key: |_| Key::Connector(DEFENDER),
        type_name: "mobileThreatDefenseConnector",
        keys: |control, tenant| {
            let all = control.connectors(tenant);
            all.map(|(id, ..)| Key::Connector(id)).collect()
        },
        expand: no_expansion,
        read: Action::ReadConnectors,
        create: Action::ModifyConnectors,
        update: Action::ModifyConnectors,
        delete: Action::ModifyConnectors,
        patch_answers: true,
    },
    Resource {
        path: "/devicemanagement/devicecompliancepolicies",
        collection: Collection {
            schema: &schemas::POLICY,
            context: "deviceManagement/deviceCompliancePolicies",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::Policy),
        new_key: |call| Key::Policy(call.api.backend.new_object_id()),
        type_name: "deviceCompliancePolicy",
        keys: |control, tenant| {
            let all = control.policies(tenant);
            all.map(|(id, ..)| Key::Policy(id)).collect()
        },
        expand: assignments::expand,
        read: Action::ReadCompliancePolicies,
        create: Action::CreateCompliancePolicies,
        update: Action::UpdateCompliancePolicies,
        delete: Action::DeleteCompliancePolicies,
        patch_answers: true,
    },
    Resource {
        path: "/groups",
        collection: Collection {
            schema: &schemas::GROUP,
            context: "groups",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::Group),
        new_key: |call| Key::Group(call.api.backend.new_object_id()),
        type_name: "group",
        keys: |control, tenant| {
            let own = control.groups(tenant).map(|(id, ..)| id);
            own.chain([ALL_DEVICES]).map(Key::Group).collect()
        },
        expand: super::groups::expand,
        read: Action::ReadOrganization,
        create: Action::UpdateGroups,
        update: Action::UpdateGroups,
        delete: Action::UpdateGroups,
        patch_answers: false,
    },
    Resource {
        path: "/devicemanagement/assignmentfilters",
        collection: Collection {
            schema: &schemas::FILTER,
            context: "deviceManagement/assignmentFilters",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::Filter),
        new_key: |call| Key::Filter(call.api.backend.new_object_id()),
        type_name: "deviceAndAppManagementAssignmentFilter",
        keys: |control, tenant| {
            let all = control.filters(tenant);
            all.map(|(id, ..)| Key::Filter(id)).collect()
        },
        expand: no_expansion,
        read: Action::ReadFilters,
        create: Action::ChangeFilters,
        update: Action::ChangeFilters,
        delete: Action::ChangeFilters,
        patch_answers: true,
    },
    Resource {
        path: "/devicemanagement/rolescopetags",
        collection: Collection {
            schema: &schemas::SCOPE_TAG,
            context: "deviceManagement/roleScopeTags",
            order: "id",
        },
        key: |id| id.parse().ok().map(Key::ScopeTag),
        new_key: |call| Key::ScopeTag(call.control().next_scope_tag(call.tenant())),
        type_name: "roleScopeTag",
        keys: |control, tenant| control.scope_tag_keys(tenant).collect(),
        expand: no_expansion,
        read: Action::ReadRoles,
        create: Action::ChangeRoles,
        update: Action::ChangeRoles,
        delete: Action::ChangeRoles,
        patch_answers: true,
    },
    Resource {
        path: "/devicemanagement/roledefinitions",
        collection: Collection {
            schema: &schemas::ROLE_DEFINITION,
            context: "deviceManagement/roleDefinitions",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::RoleDefinition),
        new_key: |call| Key::RoleDefinition(call.api.backend.new_object_id()),
        type_name: "roleDefinition",
        keys: |control, tenant| control.role_definition_keys(tenant).collect(),
        expand: roles::expand_definition,
        read: Action::ReadRoles,
        create: Action::ChangeRoles,
        update: Action::ChangeRoles,
        delete: Action::ChangeRoles,
        patch_answers: true,
    },
    Resource {
        path: "/devicemanagement/roleassignments",
        collection: Collection {
            schema: &schemas::ROLE_ASSIGNMENT,
            context: "deviceManagement/roleAssignments",
            order: "displayName",
        },
        key: |id| id.parse().ok().map(Key::RoleAssignment),
        new_key: |call| Key::RoleAssignment(call.api.backend.new_object_id()),
        type_name: "roleAssignment",
        keys: |control, tenant| {
            let all = control.role_assignments(tenant);
            all.map(|(id, ..)| Key::RoleAssignment(id)).collect()
        },
        expand: roles::expand_assignment,
        read: Action::ReadRoles,
        create: Action::ChangeRoles,
        update: Action::ChangeRoles,
        delete: Action::ChangeRoles,
        patch_answers: true,
    },
];

/// The routes of all types.
pub(super) fn routes() -> Router {
    let mut router = Router::new();
    for resource in RESOURCES {
        let list = get(move |call: Call, RawQuery(query): RawQuery| async move {
            list(&call, resource, query.as_deref())
        })
        .post(
            move |call: Call, headers: HeaderMap, body: Body| async move {
                create(&call, resource, &headers, body).await
            },
        );
        let one = get(
            move |call: Call, Path(id): Path<String>, RawQuery(query): RawQuery| async move {
                one(&call, resource, &id, query.as_deref())
            },
        )
        .patch(
            move |call: Call, Path(id): Path<String>, headers: HeaderMap, body: Body| async move {
                patch(&call, resource, &id, &headers, body).await
            },
        )
        .delete(
            move |call: Call, Path(id): Path<String>, headers: HeaderMap| async move {
                delete(&call, resource, &id, &headers).await
            },
        );
        let count = get(move |call: Call, RawQuery(query): RawQuery| async move {
            call.require(resource.read)?;
            let rows = rows(&call, resource);
            collection::count(query.as_deref(), resource.collection.schema, rows)
        });
        router = router
            .route(resource.path, list)
            .route(&format!("{}/$count", resource.path), count)
            .route(&format!("{}/{{id}}", resource.path), one);
    }
    router
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
fn shown(call: &Call, control: &ControlPlane, key: Key) -> Option<Map<String, Value>> {
    let (object, etag) = control.object(call.tenant(), key)?;
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
    call.require(resource.read)?;
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
    call.require(resource.read)?;
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
    call.require(resource.create)?;
    let properties = body::object(headers, body).await?;
    let key = (resource.new_key)(call);
    let change = Change::Create { key, properties };
    let control = change_by(call, headers, change).await?;
    let mut response = changed(call, resource, &control, key)?;
    *response.status_mut() = StatusCode::CREATED;
    let id = key.id_text().unwrap_or_default();
    let location = format!("{}/{}/{id}", call.base(), resource.collection.context);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn patch(
    call: &Call,
    resource: &Resource,
    id: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(resource.update)?;
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
    call.require(resource.delete)?;
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

fn with_etag(mut response: Response, call: &Call, control: &ControlPlane, key: Key) -> Response {
    if let Some((_, etag)) = control.object(call.tenant(), key)
        && let Ok(etag) = HeaderValue::try_from(etag.to_string())
    {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}
