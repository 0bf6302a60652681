//! `deviceManagement/settings`: a complex value in Graph, not an entity.

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use muster_control::{Action, Change, Key};
use serde_json::{Map, Value, json};

use super::body;
use super::call::Call;
use super::changes::change_by;
use super::collection::options;
use super::error::GraphError;
use crate::odata::{Kind, Property, Schema};

const CONTEXT: &str = "microsoft.graph.deviceManagementSettings";

/// What has the settings.
pub(super) const PARENT: Schema = Schema {
    name: "microsoft.graph.deviceManagement",
    properties: &[
        Property::new("id", Kind::Text),
        Property::new("settings", Kind::Text),
    ],
    subtypes: &[],
};

/// The settings of the tenant.
fn settings(call: &Call) -> Map<String, Value> {
    let found = call.control().object(call.tenant(), Key::Settings);
    let mut document = found
        .map(|(object, _)| object.document(Key::Settings))
        .unwrap_or_default();
    document.remove("@odata.type");
    document
}

/// `GET deviceManagement/settings`.
pub(super) async fn read(call: Call) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let mut document = Map::new();
    document.insert("@odata.context".to_owned(), call.context(CONTEXT).into());
    document.append(&mut settings(&call));
    Ok(axum::Json(document).into_response())
}

/// `GET deviceManagement`, of which clients read the settings.
pub(super) async fn parent(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadOrganization)?;
    let options = options(query.as_deref())?;
    let is_unknown = |name: &&String| PARENT.index_of(name).is_none();
    if let Some(name) = options.select.iter().find(is_unknown) {
        let message = format!("Could not find a property named '{name}' on deviceManagement.");
        return Err(GraphError::bad_request(message));
    }
    Ok(shown(&call))
}

fn shown(call: &Call) -> Response {
    let body = json!({
        "@odata.context": call.context("deviceManagement"),
        "id": "deviceManagement",
        "settings": settings(call),
    });
    axum::Json(body).into_response()
}

/// `PATCH deviceManagement`, which changes settings.
pub(super) async fn patch(
    call: Call,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::UpdateCompliancePolicies)?;
    let mut sent = body::object(&headers, body).await?;
    let settings = sent.remove("settings");
    let Some(Value::Object(properties)) = settings else {
        return Err(GraphError::bad_request(
            "The body must have an object 'settings'.",
        ));
    };
    if let Some(name) = sent
        .keys()
        .find(|name| *name != "id" && !name.contains('@'))
    {
        let message = format!("Could not find a property named '{name}' on deviceManagement.");
        return Err(GraphError::bad_request(message));
    }
    let key = Key::Settings;
    change_by(&call, &headers, Change::Update { key, properties }).await?;
    Ok(shown(&call))
}
