//! `/tenants`: the tenants themselves. Creating and deleting one takes effect without a restart.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Change, Key, Properties, Refusal};
use muster_engine::TenantIndex;

use super::{
    CREATE, DEVICES_CHANGED, Segment, UPDATE, change, document, shown, tenant_of, written,
};
use crate::error::ApiError;
use crate::{Api, rows};

pub(super) async fn list(State(api): State<Arc<Api>>) -> Response {
    let control = api.backend.control();
    let indexes: Vec<_> = control.tenants().map(|(index, _)| index).collect();
    let rows = indexes.into_iter().filter_map(move |index| {
        let (object, etag) = control.object(index, Key::Tenant)?;
        Some(document::of(&object, Key::Tenant, etag))
    });
    rows::answer("{\"value\":[", rows, "]}".to_owned())
}

pub(super) async fn create(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let mut name = String::new();
    let create = |properties: Properties| {
        let named = properties.get("name").and_then(|name| name.as_str());
        name = named.unwrap_or_default().to_owned();
        CREATE(Key::Tenant, properties)
    };
    // A new tenant gets the next index, whatever the command says.
    let any = TenantIndex(0);
    let changed = change::carry_out(&api, any, &headers, body, create).await?;
    let index = changed.control.tenant_named(&name);
    // Absent only if it was deleted meanwhile.
    let index = index.ok_or(ApiError::Refused(Refusal::UnknownTenant))?;
    let mut response = written(&changed, index, Key::Tenant)?;
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(location) = HeaderValue::try_from(format!("/tenants/{name}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn one(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    shown(&api.backend.control(), tenant, Key::Tenant)
}

pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    let update = |properties| UPDATE(Key::Tenant, properties);
    let changed = change::carry_out(&api, tenant, &headers, body, update).await?;
    written(&changed, tenant, Key::Tenant)
}

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    let delete = Change::Delete { key: Key::Tenant };
    let changed = change::without_body(&api, tenant, &headers, delete).await?;
    let devices = [(DEVICES_CHANGED, changed.devices.to_string())];
    Ok((StatusCode::NO_CONTENT, devices).into_response())
}
