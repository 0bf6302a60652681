//! \[OWN\] `muster/tokens`: API tokens. A secret is in the response to its creation, and never again.

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Action, BuiltInRole, Change, DisplayName, Key, Object, Token};
use muster_engine::Timestamp;
use serde_json::{Map, Value};

use super::auth::{hash_of, new_secret};
use super::body;
use super::call::Call;
use super::collection::{self, Collection, entity, no_expansion};
use super::error::GraphError;
use super::objects::{change_by, id_of};
use super::schemas::TOKEN;
use crate::control::document;

const COLLECTION: Collection = Collection {
    schema: &TOKEN,
    context: "muster/tokens",
    order: "displayName",
};

/// Days that a token is valid without `validDays`.
pub const VALID_DAYS_DEFAULT: u64 = 90;

/// Days that a token may be valid.
pub const VALID_DAYS_MAX: u64 = 3_650;

const DAY_MS: u64 = 24 * 3600 * 1_000;

/// A token with this secret, made now.
///
/// # Errors
/// The name, the role or the number of days is not allowed.
pub fn token(
    name: &str,
    role: &str,
    valid_days: u64,
    secret: &str,
    now: Timestamp,
) -> Result<Token, String> {
    let display_name =
        DisplayName::new(name).ok_or("displayName: a text of 1 to 256 characters")?;
    let role = BuiltInRole::from_name(role).ok_or_else(|| {
        let names: Vec<_> = BuiltInRole::ALL.iter().map(|role| role.name()).collect();
        format!("role: one of {}", names.join(", "))
    })?;
    if !(1..=VALID_DAYS_MAX).contains(&valid_days) {
        return Err(format!(
            "validDays: a whole number from 1 to {VALID_DAYS_MAX}"
        ));
    }
    let expires = now.as_millis() + valid_days * DAY_MS;
    Ok(Token {
        display_name,
        hash: hash_of(secret),
        role,
        created_at: now,
        expires_at: Timestamp::from_millis(expires),
    })
}

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
