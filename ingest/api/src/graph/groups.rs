//! The members of groups, as directory objects.
//!
//! A page of members is bounded; its token says after which member the next one begins, so members who come and go
//! shift no page.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{
    ALL_DEVICES, Action, Change, ControlPlane, Key, ObjectId, Refusal, reference,
};
use muster_wire::DeviceId;
use serde_json::{Map, Value, json};

use super::body;
use super::call::Call;
use super::changes::{change_by, id_of};
use super::collection::{self, Links, answer, no_expansion, options, plain_count};
use super::error::GraphError;
use super::schemas;
use crate::odata::{Expand, Select, TokenError};

/// Members that `$expand=members` shows, as in Graph.
const EXPANDED_MAX: usize = 20;

/// Expands `members` of a group.
pub(super) fn expand(
    call: &Call,
    control: &ControlPlane,
    key: Key,
    document: &mut Map<String, Value>,
    expand: &Expand,
) -> Result<(), GraphError> {
    let Key::Group(group) = key else {
        return no_expansion(document, expand);
    };
    if !expand.name.eq_ignore_ascii_case("members") {
        return no_expansion(document, expand);
    }
    let members = control.members(call.tenant(), group, None);
    let members: Vec<_> = members.take(EXPANDED_MAX).map(|id| row(id, None)).collect();
    document.insert("members".to_owned(), members.into());
    Ok(())
}

fn row(id: DeviceId, name: Option<&str>) -> Value {
    let id = id.to_string();
    json!({ "@odata.type": "#microsoft.graph.device", "id": id, "deviceId": id, "displayName": name })
}

/// The group of a path, if its members can be listed.
fn group_of(call: &Call, control: &ControlPlane, id: &str) -> Result<ObjectId, GraphError> {
    let group = id_of(id, "group")?;
    let key = Key::Group(group);
    match control.object(call.tenant(), key) {
        None => Err(Refusal::Unknown { key }.into()),
        Some(_) if group == ALL_DEVICES => Err(Refusal::BuiltIn { key }.into()),
        Some(_) => Ok(group),
    }
}

/// `GET groups/{id}/members`.
pub(super) async fn members(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let control = call.control();
    let group = group_of(&call, &control, &id)?;
    let options = options(query.as_deref())?;
    let select = Select::new(&options.select, &schemas::MEMBER)?;
    for (name, given) in [
        ("$filter", options.filter.is_some()),
        ("$orderby", options.orderby.is_some()),
        ("$search", options.search.is_some()),
    ] {
        if given {
            return Err(GraphError::bad_request(format!(
                "Members do not support {name}."
            )));
        }
    }
    let resource = format!("groups('{group}')/members");
    let links = Links::new(&call, &options, &resource);
    let after = match links.payload()? {
        None => None,
        Some(payload) => {
            let bytes = payload.try_into().map_err(|_| TokenError::Invalid)?;
            Some(DeviceId::from_bytes(bytes))
        }
    };
    let skip = after.map_or(options.skip, |_| 0);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let rows = options.page_rows();
    let all = control.members(call.tenant(), group, after);
    let mut page: Vec<_> = all.skip(skip).take(rows + 1).collect();
    let has_more = page.len() > rows;
    page.truncate(rows);
    let last = page.last().filter(|_| has_more);
    let next = last.map(|last| links.next(last.as_bytes())).transpose()?;
    let count = options.count && after.is_none();
    let count = count.then(|| control.members(call.tenant(), group, None).count());
    let mut documents = named(&call, page).await?;
    for document in &mut documents {
        collection::finish(document, &select, &options, &no_expansion)?;
    }
    Ok(answer(
        &call,
        "directoryObjects",
        documents,
        count,
        next,
        None,
    ))
}

/// The rows of devices, with the names of those that are known.
async fn named(call: &Call, ids: Vec<DeviceId>) -> Result<Vec<Value>, GraphError> {
    let (backend, tenant) = (&call.api.backend, call.tenant());
    let devices = backend.devices_by_id(tenant, ids.clone()).await?;
    let name = |id: &DeviceId| {
        let device = devices
            .iter()
            .find(|device| device.record.device_id == *id)?;
        Some(device.inventory.as_ref()?.device_name.as_str())
    };
    Ok(ids.iter().map(|id| row(*id, name(id))).collect())
}

/// `GET groups/{id}/members/$count`.
pub(super) async fn count(call: Call, Path(id): Path<String>) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let control = call.control();
    let group = group_of(&call, &control, &id)?;
    let count = control.members(call.tenant(), group, None).count();
    Ok(plain_count(count as u64))
}

/// `POST groups/{id}/members/$ref`.
pub(super) async fn add(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::UpdateGroups)?;
    let group = id_of(&id, "group")?;
    let sent = body::object(&headers, body).await?;
    let member = reference(&sent).map_err(Refusal::Invalid)?;
    let members = vec![member];
    change_by(&call, &headers, Change::AddMembers { group, members }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE groups/{id}/members/{member}/$ref`.
pub(super) async fn remove(
    call: Call,
    Path((id, member)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, GraphError> {
    call.require(Action::UpdateGroups)?;
    let group = id_of(&id, "group")?;
    let unknown = || GraphError::not_found("The group has no member with this id.");
    let member: DeviceId = member.parse().map_err(|_| unknown())?;
    if !call
        .control()
        .members(call.tenant(), group, None)
        .any(|each| each == member)
    {
        group_of(&call, &call.control(), &id)?;
        return Err(unknown());
    }
    let members = vec![member];
    change_by(&call, &headers, Change::RemoveMembers { group, members }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
