//! `/tenants` and `/tenants/{tenant}/...`: reads and changes tenants and their objects, and lists the changes.
//!
//! Names, documents and ETags are those of Microsoft Graph. A change is refused unless the configuration allows
//! changes, because this endpoint has no authentication. Bounded by [`BODY_BYTES_MAX`], [`CHANGES_LISTED_MAX`] and the
//! limits of `muster-control`.

mod audit;
mod change;
mod device;
mod groups;
mod stale;
mod tenants;
mod tokens;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, delete, get, on, patch, post};
use muster_control::{Change, ControlPlane, Key, ObjectId, Properties, Refusal};
use muster_engine::TenantIndex;
use muster_wire::DeviceId;

pub use self::audit::LIMIT_MAX as CHANGES_LISTED_MAX;
pub use self::change::BODY_BYTES_MAX;
use crate::backend::Changed;
use crate::documents as document;
use crate::error::ApiError;
use crate::{Api, Route, rows, tenant};

const TENANTS: &str = "/tenants";
const TENANT: &str = "/tenants/{tenant}";
const TENANTS_CHANGES: &str = "/auditEvents";
const SETTINGS: &str = "/tenants/{tenant}/settings";
const SETTINGS_HISTORY: &str = "/tenants/{tenant}/settings/history";
const CONNECTORS: &str = "/tenants/{tenant}/mobileThreatDefenseConnectors";
const CONNECTOR: &str = "/tenants/{tenant}/mobileThreatDefenseConnectors/{id}";
const CONNECTOR_HISTORY: &str = "/tenants/{tenant}/mobileThreatDefenseConnectors/{id}/history";
const POLICIES: &str = "/tenants/{tenant}/deviceCompliancePolicies";
const POLICY: &str = "/tenants/{tenant}/deviceCompliancePolicies/{id}";
const POLICY_HISTORY: &str = "/tenants/{tenant}/deviceCompliancePolicies/{id}/history";
const GROUPS: &str = "/tenants/{tenant}/groups";
const GROUP: &str = "/tenants/{tenant}/groups/{id}";
const GROUP_HISTORY: &str = "/tenants/{tenant}/groups/{id}/history";
const MEMBERS: &str = "/tenants/{tenant}/groups/{id}/members";
const MEMBERS_REF: &str = "/tenants/{tenant}/groups/{id}/members/$ref";
const MEMBER_REF: &str = "/tenants/{tenant}/groups/{id}/members/{member}/$ref";
const STALE_DEVICES: &str = "/tenants/{tenant}/staleDevices";
const DEVICE: &str = "/tenants/{tenant}/devices/{id}";
const RESTORE: &str = "/tenants/{tenant}/devices/{id}/restore";
const RESET_SEQUENCE: &str = "/tenants/{tenant}/devices/{id}/resetSequence";
const DEVICE_HISTORY: &str = "/tenants/{tenant}/devices/{id}/history";
const TOKENS: &str = "/tenants/{tenant}/tokens";
const CHANGES: &str = "/tenants/{tenant}/auditEvents";

/// The header of the response to a change: the number of devices whose state changed.
const DEVICES_CHANGED: &str = "muster-devices-changed";

/// Makes the key of an object from its id.
type Kind = fn(ObjectId) -> Key;

/// Makes a change from a key and a document.
type Verb = fn(Key, Properties) -> Change;

/// A segment of the path.
type Segment<T> = Result<Path<T>, PathRejection>;

const CREATE: Verb = |key, properties| Change::Create { key, properties };
const UPDATE: Verb = |key, properties| Change::Update { key, properties };
const REPLACE: Verb = |key, properties| Change::Replace { key, properties };

/// The routes of this module.
pub(super) fn routes() -> Vec<Route> {
    let route = |method, path, handler| Route {
        method,
        path,
        parameters: &[],
        handler,
    };
    let changes = |path, handler| Route {
        method: "GET",
        path,
        parameters: &["limit", "before"],
        handler,
    };
    let (connector, policy, group): (Kind, Kind, Kind) = (Key::Connector, Key::Policy, Key::Group);
    let device: Kind = |id| Key::Device(DeviceId::from_bytes(*id.as_bytes()));
    vec![
        route("GET", TENANTS, get(tenants::list)),
        route("POST", TENANTS, post(tenants::create)),
        route("GET", TENANT, get(tenants::one)),
        route("PATCH", TENANT, patch(tenants::patch)),
        route("DELETE", TENANT, delete(tenants::remove)),
        changes(TENANTS_CHANGES, get(audit::changes_of_tenants)),
        route("GET", SETTINGS, get(settings)),
        route("PATCH", SETTINGS, patch(change_settings)),
        route("GET", CONNECTORS, get(connectors)),
        route("GET", CONNECTOR, one(connector)),
        route(
            "PUT",
            CONNECTOR,
            write(MethodFilter::PUT, connector, REPLACE),
        ),
        route(
            "PATCH",
            CONNECTOR,
            write(MethodFilter::PATCH, connector, UPDATE),
        ),
        route("DELETE", CONNECTOR, remove(connector)),
        route("GET", POLICIES, get(policies)),
        route("POST", POLICIES, create(POLICY, policy)),
        route("GET", POLICY, one(policy)),
        route("PATCH", POLICY, write(MethodFilter::PATCH, policy, UPDATE)),
        route("DELETE", POLICY, remove(policy)),
        route("GET", GROUPS, get(groups::groups)),
        route("POST", GROUPS, create(GROUP, group)),
        route("GET", GROUP, one(group)),
        route("PATCH", GROUP, patch(groups::patch)),
        route("DELETE", GROUP, remove(group)),
        Route {
            method: "GET",
            path: MEMBERS,
            parameters: &["$top", "$skiptoken"],
            handler: get(groups::members),
        },
        route("POST", MEMBERS_REF, post(groups::add_member)),
        route("DELETE", MEMBER_REF, delete(groups::remove_member)),
        route("GET", STALE_DEVICES, get(stale::devices)),
        route("DELETE", DEVICE, delete(device::remove)),
        route("POST", RESTORE, post(device::restore)),
        route("POST", RESET_SEQUENCE, post(device::reset_sequence)),
        route("POST", TOKENS, post(tokens::create)),
        changes(CHANGES, get(audit::changes)),
        changes(SETTINGS_HISTORY, get(audit::history_of_settings)),
        changes(
            CONNECTOR_HISTORY,
            audit::history(CONNECTOR_HISTORY, connector),
        ),
        changes(POLICY_HISTORY, audit::history(POLICY_HISTORY, policy)),
        changes(DEVICE_HISTORY, audit::history(DEVICE_HISTORY, device)),
        changes(GROUP_HISTORY, audit::history(GROUP_HISTORY, group)),
    ]
}

async fn settings(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    shown(&api.backend.control(), tenant, Key::Settings)
}

async fn change_settings(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    let update = |properties| UPDATE(Key::Settings, properties);
    let changed = change::carry_out(&api, tenant, &headers, body, update).await?;
    written(&changed, tenant, Key::Settings)
}

async fn connectors(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    let control = api.backend.control();
    let keys = control.connectors(tenant);
    let keys = keys.map(|(id, ..)| Key::Connector(id)).collect();
    Ok(listed(control, tenant, keys))
}

async fn policies(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    let control = api.backend.control();
    let keys = control.policies(tenant);
    let keys = keys.map(|(id, ..)| Key::Policy(id)).collect();
    Ok(listed(control, tenant, keys))
}

/// `POST` that creates an object, whose path is `path`.
fn create(path: &'static str, kind: Kind) -> MethodRouter<Arc<Api>> {
    post(
        async move |State(api): State<Arc<Api>>,
                    name: Segment<String>,
                    headers: HeaderMap,
                    body: Body| {
            let Path(name) = name.map_err(|error| ApiError::BadRequest(error.body_text()))?;
            let tenant = tenant::index(&api, &name)?;
            let id = api.backend.new_object_id();
            let create = |properties| CREATE(kind(id), properties);
            let changed = change::carry_out(&api, tenant, &headers, body, create).await?;
            let mut response = written(&changed, tenant, kind(id))?;
            *response.status_mut() = StatusCode::CREATED;
            let location = path
                .replace("{tenant}", &name)
                .replace("{id}", &id.to_string());
            if let Ok(location) = HeaderValue::try_from(location) {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok::<_, ApiError>(response)
        },
    )
}

/// `GET` of one object.
fn one(kind: Kind) -> MethodRouter<Arc<Api>> {
    get(
        async move |State(api): State<Arc<Api>>, path: Segment<(String, String)>| {
            let (tenant, key) = object_of(&api, path, kind)?;
            shown(&api.backend.control(), tenant, key)
        },
    )
}

/// `PUT` or `PATCH` of one object.
fn write(method: MethodFilter, kind: Kind, verb: Verb) -> MethodRouter<Arc<Api>> {
    on(
        method,
        async move |State(api): State<Arc<Api>>,
                    path: Segment<(String, String)>,
                    headers: HeaderMap,
                    body: Body| {
            let (tenant, key) = object_of(&api, path, kind)?;
            let write = |properties| verb(key, properties);
            let changed = change::carry_out(&api, tenant, &headers, body, write).await?;
            written(&changed, tenant, key)
        },
    )
}

/// `DELETE` of one object.
fn remove(kind: Kind) -> MethodRouter<Arc<Api>> {
    on(
        MethodFilter::DELETE,
        async move |State(api): State<Arc<Api>>,
                    path: Segment<(String, String)>,
                    headers: HeaderMap| {
            let (tenant, key) = object_of(&api, path, kind)?;
            let delete = Change::Delete { key };
            let changed = change::without_body(&api, tenant, &headers, delete).await?;
            let devices = [(DEVICES_CHANGED, changed.devices.to_string())];
            Ok::<_, ApiError>((StatusCode::NO_CONTENT, devices))
        },
    )
}

fn tenant_of(api: &Api, tenant: Segment<String>) -> Result<TenantIndex, ApiError> {
    let Path(name) = tenant.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    tenant::index(api, &name)
}

fn object_of(
    api: &Api,
    path: Segment<(String, String)>,
    kind: Kind,
) -> Result<(TenantIndex, Key), ApiError> {
    let Path((name, id)) = path.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let tenant = tenant::index(api, &name)?;
    let id: ObjectId = id
        .parse()
        .map_err(|_| ApiError::BadRequest("the id of an object is a hyphenated UUID".to_owned()))?;
    Ok((tenant, kind(id)))
}

/// The response with an object and its ETag, which is also in a header.
fn shown(control: &ControlPlane, tenant: TenantIndex, key: Key) -> Result<Response, ApiError> {
    let found = control.object(tenant, key);
    let (object, etag) = found.ok_or(ApiError::Refused(Refusal::Unknown { key }))?;
    let body = axum::Json(document::of(&object, key, etag));
    Ok(([("etag", etag.to_string())], body).into_response())
}

/// The response with an object after its change.
fn written(changed: &Changed, tenant: TenantIndex, key: Key) -> Result<Response, ApiError> {
    let mut response = shown(&changed.control, tenant, key)?;
    let devices = HeaderValue::from(changed.devices);
    response.headers_mut().insert(DEVICES_CHANGED, devices);
    Ok(response)
}

fn listed(control: Arc<ControlPlane>, tenant: TenantIndex, keys: Vec<Key>) -> Response {
    let rows = keys.into_iter().filter_map(move |key| {
        let (object, etag) = control.object(tenant, key)?;
        Some(document::of(&object, key, etag))
    });
    rows::answer("{\"value\":[", rows, "]}".to_owned())
}
