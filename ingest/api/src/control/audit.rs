//! `GET /auditEvents`, `GET /tenants/{tenant}/auditEvents`, and `.../history` of an object: the changes of tenants, of all
//! objects of a tenant, or of one, newest first, in pages.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use muster_control::{Key, Scope};
use muster_engine::Revision;
use serde::Deserialize;
use serde_json::Value;

use super::{CHANGES, Kind, SETTINGS_HISTORY, Segment, TENANTS_CHANGES, object_of, tenant_of};
use crate::documents::event;
use crate::error::ApiError;
use crate::{Api, rows, tenant};

/// Default of `limit`.
const LIMIT_DEFAULT: usize = 50;

/// Maximum of `limit`: about 2 MB of JSON if all texts are as long as they may be.
pub const LIMIT_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangesQuery {
    limit: Option<usize>,
    before: Option<u32>,
}

pub(super) async fn changes(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
    query: Result<Query<ChangesQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let index = tenant_of(&api, tenant)?;
    let path = CHANGES.replace("{tenant}", &tenant::name(&api, index));
    page(&api, Scope::Tenant(index), &query, &path, &headers).await
}

/// `GET /auditEvents`.
pub(super) async fn changes_of_tenants(
    State(api): State<Arc<Api>>,
    query: Result<Query<ChangesQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    page(&api, Scope::Tenants, &query, TENANTS_CHANGES, &headers).await
}

/// `GET` of the history of an object, whose path is `path`.
pub(super) fn history(path: &'static str, kind: Kind) -> MethodRouter<Arc<Api>> {
    get(
        async move |State(api): State<Arc<Api>>,
                    segments: Segment<(String, String)>,
                    query: Result<Query<ChangesQuery>, QueryRejection>,
                    headers: HeaderMap| {
            let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
            let (tenant, key) = object_of(&api, segments, kind)?;
            let id = key.id_text();
            let path = path
                .replace("{tenant}", &tenant::name(&api, tenant))
                .replace("{id}", &id.unwrap_or_default());
            page(&api, Scope::Object(tenant, key), &query, &path, &headers).await
        },
    )
}

/// `GET` of the history of the settings.
pub(super) async fn history_of_settings(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
    query: Result<Query<ChangesQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let tenant = tenant_of(&api, tenant)?;
    let path = SETTINGS_HISTORY.replace("{tenant}", &tenant::name(&api, tenant));
    let scope = Scope::Object(tenant, Key::Settings);
    page(&api, scope, &query, &path, &headers).await
}

async fn page(
    api: &Api,
    scope: Scope,
    query: &ChangesQuery,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::BadRequest(format!("limit: 1 to {LIMIT_MAX}")));
    }
    let before = query.before.map(Revision);
    let page = api.backend.changes(scope, before, limit).await?;
    let next = page.listed.last().filter(|_| page.has_more);
    let after = match next {
        None => "]}".to_owned(),
        Some(last) => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            let (host, before) = (host.unwrap_or_default(), last.revision);
            let link = format!("http://{host}{path}?limit={limit}&before={before}");
            format!("],\"@odata.nextLink\":{}}}", Value::from(link))
        }
    };
    let rows = page.listed.into_iter().map(|entry| event(&entry));
    Ok(rows::answer("{\"value\":[", rows, after))
}
