//! The assignments and scheduled actions of compliance policies: read, replaced as a whole, expanded.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{
    Action, Change, CompliancePolicy, ControlPlane, Key, Object, ObjectId, Refusal,
};
use serde_json::{Map, Value, json};

use super::body;
use super::call::Call;
use super::changes::{change_by, id_of};
use super::collection;
use super::error::GraphError;
use crate::odata::Expand;

/// Expands `assignments` or `scheduledActionsForRule` of a policy.
pub(super) fn expand(
    call: &Call,
    control: &ControlPlane,
    key: Key,
    document: &mut Map<String, Value>,
    expand: &Expand,
) -> Result<(), GraphError> {
    let policy = policy_of(call, control, key)?;
    let Key::Policy(id) = key else {
        return collection::no_expansion(document, expand);
    };
    let (name, value) = match expand.name.to_ascii_lowercase().as_str() {
        "assignments" => ("assignments", policy.assignments_document(id)),
        "scheduledactionsforrule" => (
            "scheduledActionsForRule",
            policy.scheduled_actions_document(id),
        ),
        _ => return collection::no_expansion(document, expand),
    };
    document.insert(name.to_owned(), value);
    Ok(())
}

fn policy_of(
    call: &Call,
    control: &ControlPlane,
    key: Key,
) -> Result<CompliancePolicy, GraphError> {
    match call.object(control, key) {
        Some((Object::Policy(policy), _)) => Ok(policy),
        _ => Err(Refusal::Unknown { key }.into()),
    }
}

fn rows(call: &Call, control: &ControlPlane, id: ObjectId) -> Result<Vec<Value>, GraphError> {
    let policy = policy_of(call, control, Key::Policy(id))?;
    match policy.assignments_document(id) {
        Value::Array(rows) => Ok(rows),
        _ => Ok(Vec::new()),
    }
}

/// `GET {policy}/assignments`.
pub(super) async fn list(
    call: Call,
    Path(id): Path<String>,
    _: RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadCompliancePolicies)?;
    let policy = id_of(&id, "deviceCompliancePolicy")?;
    let rows = rows(&call, &call.control(), policy)?;
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
    let policy = id_of(&id, "deviceCompliancePolicy")?;
    let properties = body::object(&headers, body).await?;
    if !properties.get("assignments").is_some_and(Value::is_array) {
        let message = "The body must have a list 'assignments'.";
        return Err(GraphError::bad_request(message));
    }
    let change = Change::Assign { policy, properties };
    let control = change_by(&call, &headers, change).await?;
    let rows = rows(&call, &control, policy)?;
    Ok(axum::Json(json!({ "value": rows })).into_response())
}

/// `POST {policy}/scheduleActionsForRules`, which replaces the scheduled actions.
pub(super) async fn schedule(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::UpdateCompliancePolicies)?;
    let policy = id_of(&id, "deviceCompliancePolicy")?;
    let properties = body::object(&headers, body).await?;
    let change = Change::ScheduleActions { policy, properties };
    change_by(&call, &headers, change).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
