//! \[OWN\] `muster/tokens`: API tokens. A secret is in the response to its creation, and never again.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, Change, Key, Object, Token};
use serde_json::{Map, Value};

use super::body;
use super::call::Call;
use super::changes::{change_by, id_of};
use super::collection::{self, Collection, entity, no_expansion};
use super::error::GraphError;
use super::schemas::TOKEN;
use crate::documents as document;
use crate::secrets::{VALID_DAYS_DEFAULT, new_secret, token};

const COLLECTION: Collection = Collection {
    schema: &TOKEN,
    context: "muster/tokens",
    order: "displayName",
};

/// `GET muster/tokens`.
pub(super) async fn list(call: Call, RawQuery(query): RawQuery) -> Result<Response, GraphError> {
    call.require(Action::ReadRoles)?;
    let control = call.control();
    let row = |(id, token, etag): (_, &Token, _)| {
        Value::Object(shown(&Object::Token(token.clone()), Key::Token(id), etag))
    };
    let rows = control.tokens(call.tenant()).map(row).collect();
    collection::list(&call, query.as_deref(), COLLECTION, rows, &no_expansion)
}

fn shown(object: &Object, key: Key, etag: muster_control::ETag) -> Map<String, Value> {
    let mut document = document::of(object, key, etag);
    document.remove("@odata.etag");
    document
}

/// `POST muster/tokens`.
pub(super) async fn create(
    call: Call,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, GraphError> {
    call.require(Action::ManageTokens)?;
    let sent = body::object(&headers, body).await?;
    if let Some(name) = sent.keys().find(|name| {
        !["displayName", "role", "validDays"].contains(&name.as_str()) && !name.contains('@')
    }) {
        return Err(GraphError::bad_request(format!(
            "A token has no property '{name}'."
        )));
    }
    let text = |name: &str| sent.get(name).and_then(Value::as_str).unwrap_or_default();
    let days = match sent.get("validDays") {
        None => VALID_DAYS_DEFAULT,
        Some(days) => days.as_u64().unwrap_or_default(),
    };
    let secret = new_secret();
    let now = call.api.backend.clock().time;
    let token = token(text("displayName"), text("role"), days, &secret, now);
    let token = token.map_err(GraphError::bad_request)?;
    let id = call.api.backend.new_object_id();
    let control = change_by(&call, &headers, Change::Issue { id, token }).await?;
    let key = Key::Token(id);
    let (object, etag) = control
        .object(call.tenant(), key)
        .ok_or_else(GraphError::unauthenticated)?;
    let mut document = shown(&object, key, etag);
    document.insert("secret".to_owned(), secret.into());
    let mut response = entity(&call, COLLECTION.context, Value::Object(document));
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
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
