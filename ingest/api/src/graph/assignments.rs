//! The assignments of compliance policies: read, replaced as a whole, expanded.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use muster_control::{Action, Change, ControlPlane, Key, Object, Refusal};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::collection;
use super::error::GraphError;
use super::objects::{change_by, id_of};
use super::{body, groups};
use crate::odata::Expand;

/// Expands `assignments` of a policy.
pub(super) fn expand(
    call: &Call,
    control: &ControlPlane,
    key: Key,
    document: &mut Map<String, Value>,
    expand: &Expand,
) -> Result<(), GraphError> {
    match expand.name.to_ascii_lowercase().as_str() {
        "assignments" => {
            let rows = rows(call, control, key)?;
            document.insert("assignments".to_owned(), rows.into());
            Ok(())
        }
        _ => collection::no_expansion(document, expand),
    }
}

fn rows(call: &Call, control: &ControlPlane, key: Key) -> Result<Vec<Value>, GraphError> {
    let found = control.object(call.tenant(), key);
    let Some((object @ Object::Policy(_), _)) = found else {
        return Err(Refusal::Unknown { key }.into());
    };
    let id = key.id().map(|id| id.to_string()).unwrap_or_default();
    let Some(Value::Array(mut all)) = object.document(key).remove("assignments") else {
        return Ok(Vec::new());
    };
    for assignment in &mut all {
        let target = &mut assignment["target"];
        let of = target["groupId"].as_str();
        let of = of.unwrap_or(groups::ALL_DEVICES_ID).to_owned();
        target["deviceAndAppManagementAssignmentFilterId"] = Value::Null;
        target["deviceAndAppManagementAssignmentFilterType"] = "none".into();
        *assignment = json!({ "id": format!("{id}_{of}"), "target": target.take() });
    }
    Ok(all)
}

/// `GET {policy}/assignments`.
pub(super) async fn list(
    call: Call,
    Path(id): Path<String>,
    _: RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadCompliancePolicies)?;
    let key = Key::Policy(id_of(&id, "deviceCompliancePolicy")?);
    let rows = rows(&call, &call.control(), key)?;
    let context = format!("deviceManagement/deviceCompliancePolicies('{id}')/assignments");
    Ok(collection::answer(&call, &context, rows, None, None, None))
}

/// `POST {policy}/assign`, which replaces all assignments.
pub(super) async fn assign(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::AssignCompliancePolicies)?;
    let key = Key::Policy(id_of(&id, "deviceCompliancePolicy")?);
    let mut sent = body::object(&headers, body).await?;
    let assignments = sent.remove("assignments");
    let assignments = assignments
        .filter(Value::is_array)
        .ok_or_else(|| GraphError::bad_request("The body must have a list 'assignments'."))?;
    let mut properties = Map::new();
    properties.insert("assignments".to_owned(), assignments);
    let change = Change::Update { key, properties };
    let control = change_by(&call, &headers, change).await?;
    let rows = rows(&call, &control, key)?;
    Ok(axum::Json(json!({ "value": rows })).into_response())
}
