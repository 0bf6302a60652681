//! The members of groups, as directory objects: the tokens, which are service principals, and then the devices.
//!
//! A page of members is bounded; its token says after which member the next one begins, so members who come and go
//! shift no page.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{
    ALL_DEVICES, Action, Change, ControlPlane, Key, Object, ObjectId, Refusal, reference,
};
use muster_wire::DeviceId;
use serde_json::{Map, Value, json};

use super::body;
use super::call::Call;
use super::changes::{change_by, id_of};
use super::collection::{self, Links, answer, no_expansion, options, plain_count};
use super::error::GraphError;
use super::schemas;
use crate::backend::Device;
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
    let members = members_after(call, control, group, None);
    let members = members.take(EXPANDED_MAX);
    let members: Vec<_> = members
        .map(|member| row(call, control, member, None))
        .collect();
    document.insert("members".to_owned(), members.into());
    Ok(())
}

/// A member, in the order of lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Member {
    Principal(ObjectId),
    Device(DeviceId),
}

impl Member {
    /// The payload of a token that continues after the member.
    fn payload(self) -> Vec<u8> {
        match self {
            Self::Principal(id) => [&[0], &id.as_bytes()[..]].concat(),
            Self::Device(id) => [&[1], &id.as_bytes()[..]].concat(),
        }
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (kind, id) = payload.split_first()?;
        let id = id.try_into().ok()?;
        match kind {
            0 => Some(Self::Principal(ObjectId::from_bytes(id))),
            1 => Some(Self::Device(DeviceId::from_bytes(id))),
            _ => None,
        }
    }
}

/// The members of a group that exist for the principal of the call, after one of them.
fn members_after<'a>(
    call: &'a Call,
    control: &'a ControlPlane,
    group: ObjectId,
    after: Option<Member>,
) -> impl Iterator<Item = Member> + 'a {
    let tenant = call.tenant();
    let devices_after = match after {
        Some(Member::Device(device)) => Some(device),
        _ => None,
    };
    let tags = call.principal.rights.tags(Action::ReadOrganization);
    let is_seen =
        move |device: &DeviceId| tags.is_all() || tags.has_any(control.device_tags(tenant, device));
    let devices = control.members(tenant, group, devices_after);
    let devices = devices.filter(is_seen).map(Member::Device);
    let principals = control.principals(tenant, group).map(Member::Principal);
    let principals = principals.filter(move |member| after.is_none_or(|after| *member > after));
    principals.chain(devices)
}

fn row(call: &Call, control: &ControlPlane, member: Member, name: Option<&str>) -> Value {
    match member {
        Member::Device(id) => {
            let id = id.to_string();
            json!({ "@odata.type": "#microsoft.graph.device", "id": id, "deviceId": id, "displayName": name })
        }
        Member::Principal(id) => {
            let token = control.object(call.tenant(), Key::Token(id));
            let name = token.and_then(|(token, _)| match token {
                Object::Token(token) => Some(token.display_name.as_str().to_owned()),
                _ => None,
            });
            let id = id.to_string();
            json!({ "@odata.type": "#microsoft.graph.servicePrincipal", "id": id, "appId": id, "displayName": name })
        }
    }
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
        Some(payload) => Some(Member::read(&payload).ok_or(TokenError::Invalid)?),
    };
    let skip = after.map_or(options.skip, |_| 0);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let rows = options.page_rows();
    let all = members_after(&call, &control, group, after);
    let mut page: Vec<_> = all.skip(skip).take(rows + 1).collect();
    let has_more = page.len() > rows;
    page.truncate(rows);
    let last = page.last().filter(|_| has_more);
    let next = last.map(|last| links.next(&last.payload())).transpose()?;
    let count = options.count && after.is_none();
    let count = count.then(|| members_after(&call, &control, group, None).count());
    let mut documents = named(&call, &control, page).await?;
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

/// The rows of members, with the names of those that are known.
async fn named(
    call: &Call,
    control: &ControlPlane,
    members: Vec<Member>,
) -> Result<Vec<Value>, GraphError> {
    let (backend, tenant) = (&call.api.backend, call.tenant());
    let ids = members.iter().filter_map(|member| match member {
        Member::Device(id) => Some(*id),
        Member::Principal(_) => None,
    });
    let devices = backend.devices_by_id(tenant, ids.collect()).await?;
    let name = |member: Member| {
        let is_it = |device: &&Device| member == Member::Device(device.record.device_id);
        let device = devices.iter().find(is_it)?;
        Some(device.inventory.as_ref()?.device_name.as_str())
    };
    let rows = members.iter().copied();
    Ok(rows
        .map(|member| row(call, control, member, name(member)))
        .collect())
}

/// `GET groups/{id}/members/$count`.
pub(super) async fn count(call: Call, Path(id): Path<String>) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let control = call.control();
    let group = group_of(&call, &control, &id)?;
    let count = members_after(&call, &control, group, None).count();
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
    let token = ObjectId::from_bytes(*member.as_bytes());
    let change = if is_principal(&call, &sent, member).await? {
        Change::AddPrincipal { group, token }
    } else {
        let members = vec![member];
        Change::AddMembers { group, members }
    };
    change_by(&call, &headers, change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether a reference is to a token. Clients choose the ids of devices, so one that has the id of a token must not be
/// taken for it.
async fn is_principal(
    call: &Call,
    sent: &Map<String, Value>,
    member: DeviceId,
) -> Result<bool, GraphError> {
    let url = sent.get("@odata.id").and_then(Value::as_str);
    let url = url.unwrap_or_default().to_ascii_lowercase();
    let is_in = |collection: &str| {
        [format!("/{collection}/"), format!("/{collection}(")]
            .iter()
            .any(|part| url.contains(part))
    };
    if is_in("serviceprincipals") {
        return Ok(true);
    }
    let id = ObjectId::from_bytes(*member.as_bytes());
    let token = call.control().object(call.tenant(), Key::Token(id));
    if token.is_none() || is_in("devices") {
        return Ok(false);
    }
    if call
        .api
        .backend
        .device(call.tenant(), member)
        .await?
        .is_some()
    {
        let message =
            "A device and a token have this id: refer to devices/{id} or servicePrincipals/{id}.";
        return Err(GraphError::bad_request(message));
    }
    Ok(true)
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
    let control = call.control();
    let token = ObjectId::from_bytes(*member.as_bytes());
    let change = if control.has_principal(call.tenant(), group, token) {
        Change::RemovePrincipal { group, token }
    } else if control.has_member(call.tenant(), group, &member) {
        let members = vec![member];
        Change::RemoveMembers { group, members }
    } else {
        group_of(&call, &control, &id)?;
        return Err(unknown());
    };
    change_by(&call, &headers, change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
