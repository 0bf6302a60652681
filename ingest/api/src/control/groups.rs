//! `/tenants/{tenant}/groups`: groups, and the members of each.
//!
//! Paths, documents and status codes are those of Microsoft Graph. A page of members is bounded by [`PAGE_MAX`]; its
//! token says after which member the next page begins, so that members who come and go shift no page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{ETAG, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{
    ALL_DEVICES, Change, ControlPlane, Key, ObjectId, Properties, Refusal, reference,
};
use muster_engine::TenantIndex;
use muster_wire::DeviceId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{DEVICES_CHANGED, Segment, UPDATE, change, listed, object_of, tenant_of};
use crate::backend::Changed;
use crate::error::ApiError;
use crate::{Api, device, rows, tenant};

/// Members of a page, also if `$top` is higher.
const PAGE_MAX: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MembersQuery {
    #[serde(rename = "$top")]
    top: Option<usize>,
    #[serde(rename = "$skiptoken")]
    token: Option<String>,
}

pub(super) async fn groups(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
) -> Result<Response, ApiError> {
    let tenant = tenant_of(&api, tenant)?;
    let control = api.backend.control();
    let own = control.groups(tenant).map(|(id, ..)| id);
    let mut ids: Vec<ObjectId> = own.chain([ALL_DEVICES]).collect();
    ids.sort_unstable();
    let keys = ids.into_iter().map(Key::Group).collect();
    Ok(listed(control, tenant, keys))
}

/// `PATCH` of a group, which changes its properties or adds members.
pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (tenant, key) = object_of(&api, path, Key::Group)?;
    let update = |properties| UPDATE(key, properties);
    let changed = change::carry_out(&api, tenant, &headers, body, update).await?;
    without_body(&changed, tenant, key)
}

pub(super) async fn add_member(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (tenant, group) = group_of(&api, path)?;
    let add = |properties: Properties| {
        let member = reference(&properties).map_err(Refusal::Invalid)?;
        let members = vec![member];
        Ok(Change::AddMembers { group, members })
    };
    let changed = change::try_carry_out(&api, tenant, &headers, body, add).await?;
    without_body(&changed, tenant, Key::Group(group))
}

pub(super) async fn remove_member(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Path((name, group, member)) =
        path.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let (tenant, group) = group_of(&api, Ok(Path((name, group))))?;
    let members = vec![device::id_of(&member)?];
    let remove = Change::RemoveMembers { group, members };
    let changed = change::without_body(&api, tenant, &headers, remove).await;
    let changed = changed.map_err(|error| match error {
        // The only fault that a valid id can have here.
        ApiError::Refused(Refusal::Invalid(_)) => ApiError::UnknownMember,
        error => error,
    })?;
    without_body(&changed, tenant, Key::Group(group))
}

pub(super) async fn members(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String)>,
    query: Result<Query<MembersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    if query.top == Some(0) {
        return Err(ApiError::BadRequest("$top: at least 1".to_owned()));
    }
    let (tenant, group) = group_of(&api, path)?;
    let token = query.token.map(|token| read_token(&token, group));
    let after = token.transpose()?;
    let control = api.backend.control();
    readable_members(&control, tenant, group)?;
    let length = query.top.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let mut page: Vec<DeviceId> = control
        .members(tenant, group, after)
        .take(length + 1)
        .collect();
    let has_more = page.len() > length;
    page.truncate(length);
    let after = match page.last().filter(|_| has_more) {
        None => "]}".to_owned(),
        Some(last) => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            let (host, name) = (host.unwrap_or_default(), tenant::name(&api, tenant));
            let top = query.top.map(|top| format!("$top={top}&"));
            let link = format!(
                "http://{host}/tenants/{name}/groups/{group}/members?{}$skiptoken={}",
                top.unwrap_or_default(),
                token_after(*last, group),
            );
            format!("],\"@odata.nextLink\":{}}}", Value::from(link))
        }
    };
    let row = |member: DeviceId| json!({ "@odata.type": "#microsoft.graph.device", "id": member.to_string() });
    Ok(rows::answer(
        "{\"value\":[",
        page.into_iter().map(row),
        after,
    ))
}

/// Refuses a group that does not exist, and the built-in one, whose members are all devices of the tenant.
fn readable_members(
    control: &ControlPlane,
    tenant: TenantIndex,
    group: ObjectId,
) -> Result<(), ApiError> {
    let key = Key::Group(group);
    match control.object(tenant, key) {
        None => Err(ApiError::Refused(Refusal::Unknown { key })),
        Some(_) if group == ALL_DEVICES => Err(ApiError::Refused(Refusal::BuiltIn { key })),
        Some(_) => Ok(()),
    }
}

fn group_of(
    api: &Api,
    path: Segment<(String, String)>,
) -> Result<(TenantIndex, ObjectId), ApiError> {
    let (tenant, key) = object_of(api, path, Key::Group)?;
    // `object_of` makes the key from an id.
    Ok((tenant, key.id().unwrap_or(ALL_DEVICES)))
}

/// The token of the page after a member: the group, so that the token of another one is refused, and the member.
fn token_after(member: DeviceId, group: ObjectId) -> String {
    let bytes = group.as_bytes().iter().chain(member.as_bytes());
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn read_token(token: &str, group: ObjectId) -> Result<DeviceId, ApiError> {
    let refused = || ApiError::BadRequest("$skiptoken: not from a page of this group".to_owned());
    let (_, member) = token.split_at_checked(32).ok_or_else(refused)?;
    let member = u128::from_str_radix(member, 16).map_err(|_| refused())?;
    let member = DeviceId::from_bytes(member.to_be_bytes());
    // One text for each token: no sign, no capitals.
    let is_own = token == token_after(member, group);
    is_own.then_some(member).ok_or_else(refused)
}

/// The response to a change of a group, which has no body in Graph.
fn without_body(changed: &Changed, tenant: TenantIndex, key: Key) -> Result<Response, ApiError> {
    let found = changed.control.object(tenant, key);
    let (_, etag) = found.ok_or(ApiError::Refused(Refusal::Unknown { key }))?;
    let headers = [
        (ETAG.as_str(), etag.to_string()),
        (DEVICES_CHANGED, changed.devices.to_string()),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}
