//! \[OWN\] `muster/signInCodes`: a link that signs a person in once.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use muster_control::Actor;
use muster_engine::Timestamp;
use serde_json::json;

use super::call::Call;
use super::codes::VALID_SECONDS;
use super::error::GraphError;
use crate::times;

/// `POST muster/signInCodes`: a code for the token of the request, which may do no more than that.
pub(super) async fn create(call: Call) -> Result<Response, GraphError> {
    if !matches!(call.principal.actor, Actor::Token { .. }) {
        // The browser session that it begins lasts as long as a token of Muster, and a user has none.
        return Err(GraphError::bad_request(
            "Only a token of Muster can make a sign-in code.",
        ));
    }
    let now = call.api.backend.clock().time.as_millis() / 1_000;
    let code = call.api.codes.make(&call.principal, now)?;
    let expires = Timestamp::from_millis((now + VALID_SECONDS) * 1_000);
    let body = json!({
        "url": format!("{}/sign-in?code={code}", call.origin),
        "expirationDateTime": times::timestamp(expires),
    });
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}
