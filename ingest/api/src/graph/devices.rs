//! `deviceManagement/managedDevices`: one device, and what belongs to it.

pub(super) mod delta;
pub(super) mod list;
pub(super) mod projection;
pub(super) mod row;

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, Change, Key, Precondition, Properties, Refusal, Verb};
use muster_engine::decide;
use muster_wire::DeviceId;
use serde_json::{Map, Value, json};

use self::row::{DeviceRow, Formatted, SCHEMA};
use super::call::Call;
use super::changes::{caller_of, change_by};
use super::collection::{self, Collection};
use super::error::GraphError;
use super::user::user_of;
use super::{body, states};
use crate::backend::Device;
use crate::odata::{Expand, Options, Select};
use crate::why::why;

const COLLECTION: Collection = Collection {
    schema: &SCHEMA,
    context: list::CONTEXT,
    order: "id",
};

/// The document of a device, selected and expanded.
fn document(
    call: &Call,
    device: &Device,
    select: &Select,
    options: &Options,
) -> Result<Value, GraphError> {
    let formatted = Formatted::of(device, &call.control());
    let mut document = DeviceRow::new(device, &formatted).document();
    let expand = |document: &mut Map<String, Value>, expand: &Expand| {
        expanded(call, device, document, expand)
    };
    collection::finish(&mut document, select, options, &expand)?;
    Ok(document)
}

fn expanded(
    call: &Call,
    device: &Device,
    document: &mut Map<String, Value>,
    expand: &Expand,
) -> Result<(), GraphError> {
    match expand.name.to_ascii_lowercase().as_str() {
        "devicecompliancepolicystates" => {
            let states = states::of_policies(call, device);
            document.insert("deviceCompliancePolicyStates".to_owned(), states.into());
            Ok(())
        }
        "users" => {
            let users = user_of(device, &call.control());
            document.insert("users".to_owned(), users.into_iter().collect());
            Ok(())
        }
        _ => collection::no_expansion(document, expand),
    }
}

/// The id in a path, or 404.
fn id_of(text: &str) -> Result<DeviceId, GraphError> {
    let id = text.parse().ok().filter(|id: &DeviceId| !id.is_zero());
    id.ok_or_else(|| unknown(text))
}

pub(super) fn unknown(id: &str) -> GraphError {
    GraphError::not_found(format!("No managedDevice has the id '{id}'."))
}

/// The device of a path, if the principal may do this with it; one that is removed is not found, as in Graph.
pub(super) async fn find(call: &Call, verb: Verb, id: &str) -> Result<Device, GraphError> {
    let device = call.api.backend.device(call.tenant(), id_of(id)?).await?;
    let device = device.filter(|device| !device.record.removed());
    let device = device.ok_or_else(|| unknown(id))?;
    let key = Key::Device(device.record.device_id);
    let rights = &call.principal.rights;
    match rights.authorize(&call.control(), call.tenant(), verb, key, None) {
        Ok(()) => Ok(device),
        Err(Refusal::Unknown { .. }) => Err(unknown(id)),
        Err(refusal) => Err(refusal.into()),
    }
}

/// `GET managedDevices`.
pub(super) async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadDevices)?;
    list::list(&call, query.as_deref(), list::CONTEXT, None).await
}

/// `GET managedDevices/$count`.
pub(super) async fn count(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadDevices)?;
    list::count(&call, query.as_deref()).await
}

/// `GET managedDevices/{id}`.
pub(super) async fn one(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadDevices)?;
    let device = find(&call, Verb::Read, &id).await?;
    let formatted = Formatted::of(&device, &call.control());
    let document = DeviceRow::new(&device, &formatted).document();
    let expand = |document: &mut Map<String, Value>, expand: &Expand| {
        expanded(&call, &device, document, expand)
    };
    collection::single(&call, query.as_deref(), COLLECTION, document, &expand)
}

/// `PATCH managedDevices/{id}`: what operators set on a device. Whole documents may be sent back.
pub(super) async fn patch(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::UpdateDevices)?;
    let mut properties = body::object(&headers, body).await?;
    let device = find(&call, Verb::Update, &id).await?;
    check_tags(&call, &device, &mut properties)?;
    let key = Key::Device(device.record.device_id);
    change_by(&call, &headers, Change::Update { key, properties }).await?;
    let formatted = Formatted::of(&device, &call.control());
    let document = DeviceRow::new(&device, &formatted).document();
    Ok(collection::entity(&call, list::CONTEXT, document))
}

/// The scope tags of a device are those of its groups, so a document can only repeat them.
fn check_tags(call: &Call, device: &Device, properties: &mut Properties) -> Result<(), GraphError> {
    let Some(sent) = properties.remove("roleScopeTagIds") else {
        return Ok(());
    };
    let tags = call
        .control()
        .tags_of_targets(call.tenant(), &device.targets);
    let tags: Value = tags.iter().map(ToString::to_string).collect();
    if sent == tags {
        return Ok(());
    }
    let message = format!(
        "roleScopeTagIds: the device has the scope tags of its groups, {tags}; assign a tag to one of its groups \
         (roleScopeTags/{{id}}/assign), or the device to another group."
    );
    Err(GraphError::bad_request(message))
}

/// `DELETE managedDevices/{id}`.
pub(super) async fn delete(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, GraphError> {
    call.require(Action::DeleteDevices)?;
    body::precondition(&headers)?;
    let device = find(&call, Verb::Delete, &id).await?.record.device_id;
    let caller = caller_of(&call, Precondition::Nothing);
    let removed = call
        .api
        .backend
        .remove_device(caller, call.tenant(), device)
        .await?;
    match removed {
        Some(true) => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(false) | None => Err(unknown(&id)),
    }
}

/// `GET managedDevices/{id}/deviceCompliancePolicyStates`.
pub(super) async fn policy_states(
    call: Call,
    Path(id): Path<String>,
) -> Result<Response, GraphError> {
    call.require(Action::ReadDevices)?;
    let device = find(&call, Verb::Read, &id).await?;
    let states = states::of_policies(&call, &device);
    let context = format!("{}('{id}')/deviceCompliancePolicyStates", list::CONTEXT);
    Ok(collection::answer(
        &call, &context, states, None, None, None,
    ))
}

/// `GET managedDevices/{id}/deviceCompliancePolicyStates/{state}/settingStates`.
pub(super) async fn setting_states(
    call: Call,
    Path((id, state)): Path<(String, String)>,
) -> Result<Response, GraphError> {
    call.require(Action::ReadDevices)?;
    let device = find(&call, Verb::Read, &id).await?;
    let states = states::of_settings(&call, &device, &state);
    let states = states.ok_or_else(|| {
        GraphError::not_found(format!(
            "No deviceCompliancePolicyState has the id '{state}'."
        ))
    })?;
    let context = format!(
        "{}('{id}')/deviceCompliancePolicyStates('{state}')/settingStates",
        list::CONTEXT
    );
    Ok(collection::answer(
        &call, &context, states, None, None, None,
    ))
}

/// \[OWN\] `GET muster/devices/{id}/why`: the rows of the rules that decided the state of a device, with the facts.
pub(super) async fn reasons(call: Call, Path(id): Path<String>) -> Result<Response, GraphError> {
    call.require(Action::ReadDevices)?;
    let device = find(&call, Verb::Read, &id).await?;
    let policy = call.api.backend.policy();
    let now = call.api.backend.clock().time.as_seconds();
    let rules = policy.for_targets(device.record.tenant, &device.targets);
    let lines = rules.map(|rules| {
        let decisions = decide(&device.record, &device.cold, &device.facets, &rules, now);
        why(&device.record, &device.facets, &rules, &decisions)
    });
    Ok(axum::Json(json!({ "id": id, "why": lines.unwrap_or_default() })).into_response())
}
