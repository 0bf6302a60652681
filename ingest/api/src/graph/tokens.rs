//! \[OWN\] `muster/tokens`: API tokens. A secret is in the response to its creation, and never again.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, Change, ControlPlane, Key, Object, ObjectId, Refusal};
use serde_json::{Map, Value};

use super::body;
use super::call::Call;
use super::changes::{change_by, id_of};
use super::collection::{self, Collection, entity, no_expansion};
use super::error::GraphError;
use super::schemas::TOKEN;
use crate::documents as document;
use crate::secrets::{TokenRequest, new_secret};

const COLLECTION: Collection = Collection {
    schema: &TOKEN,
    context: "muster/tokens",
    order: "displayName",
};

/// `GET muster/tokens`.
pub(super) async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadRoles)?;
    let control = call.control();
    let ids = control.tokens(call.tenant()).map(|(id, ..)| id);
    let rows = ids.filter_map(|id| shown(&call, &control, id));
    let rows = rows.map(Value::Object).collect();
    collection::list(&call, query.as_deref(), COLLECTION, rows, &no_expansion)
}

/// The document of a token, with the name of its role.
fn shown(call: &Call, control: &ControlPlane, id: ObjectId) -> Option<Map<String, Value>> {
    let key = Key::Token(id);
    let (object, etag) = control.object(call.tenant(), key)?;
    let Object::Token(token) = &object else {
        return None;
    };
    let mut document = document::of(&object, key, etag);
    document.remove("@odata.etag");
    let role = token.role.map(Key::RoleDefinition);
    let role = role.and_then(|role| control.object(call.tenant(), role));
    if let Some((Object::RoleDefinition(role), _)) = role {
        document.insert("role".to_owned(), role.display_name.as_str().into());
    }
    Some(document)
}

/// `GET muster/tokens/{id}`.
pub(super) async fn one(
    call: Call,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, GraphError> {
    call.require(Action::ReadRoles)?;
    let id = id_of(&id, "token")?;
    let document = shown(&call, &call.control(), id);
    let key = Key::Token(id);
    let document = Value::Object(document.ok_or(Refusal::Unknown { key })?);
    collection::single(&call, query.as_deref(), COLLECTION, document, &no_expansion)
}

/// `POST muster/tokens`.
pub(super) async fn create(
    call: Call,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::ManageTokens)?;
    let sent = body::object(&headers, body).await?;
    let secret = new_secret();
    let now = call.api.backend.clock().time;
    let token = TokenRequest::read(&sent)
        .and_then(|request| request.token(&call.control(), call.tenant(), &secret, now));
    let token = token.map_err(GraphError::bad_request)?;
    let id = call.api.backend.new_object_id();
    let control = change_by(&call, &headers, Change::Issue { id, token }).await?;
    let document = shown(&call, &control, id);
    let key = Key::Token(id);
    let mut document = document.ok_or(Refusal::Unknown { key })?;
    document.insert("secret".to_owned(), secret.into());
    let response = entity(&call, COLLECTION.context, Value::Object(document));
    let id = id.to_string();
    Ok(collection::created(
        &call,
        COLLECTION.context,
        &id,
        response,
    ))
}

/// `DELETE muster/tokens/{id}`: from now on the token is refused.
pub(super) async fn revoke(
    call: Call,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, GraphError> {
    call.require(Action::ManageTokens)?;
    let key = Key::Token(id_of(&id, "token")?);
    change_by(&call, &headers, Change::Delete { key }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
