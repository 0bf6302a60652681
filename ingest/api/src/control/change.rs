//! Reads a change from a request: permission, precondition, body. The backend carries it out.

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use muster_control::{Change, Precondition, Properties, Refusal};
use muster_engine::TenantIndex;
use tokio::time::timeout;

use crate::Api;
use crate::backend::{Caller, Changed};
use crate::error::ApiError;

/// Maximum size of a body: several times that of the largest object.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// Carries out the change that `change` makes from the properties in the body.
pub(super) async fn carry_out(
    api: &Api,
    tenant: TenantIndex,
    headers: &HeaderMap,
    body: Body,
    change: impl FnOnce(Properties) -> Change,
) -> Result<Changed, ApiError> {
    let change = |properties| Ok(change(properties));
    try_carry_out(api, tenant, headers, body, change).await
}

/// The same for a body in which `change` may find faults.
pub(super) async fn try_carry_out(
    api: &Api,
    tenant: TenantIndex,
    headers: &HeaderMap,
    body: Body,
    change: impl FnOnce(Properties) -> Result<Change, Refusal>,
) -> Result<Changed, ApiError> {
    require_permission(api)?;
    let expected = precondition(headers)?;
    let change = change(read(api, body).await?).map_err(ApiError::Refused)?;
    api.backend
        .change(Caller::local(expected), tenant, change)
        .await
}

/// Carries out a change that needs no body.
pub(super) async fn without_body(
    api: &Api,
    tenant: TenantIndex,
    headers: &HeaderMap,
    change: Change,
) -> Result<Changed, ApiError> {
    require_permission(api)?;
    let expected = precondition(headers)?;
    api.backend
        .change(Caller::local(expected), tenant, change)
        .await
}

pub(super) fn require_permission(api: &Api) -> Result<(), ApiError> {
    if api.backend.takes_changes() {
        Ok(())
    } else {
        Err(ApiError::ChangesOff)
    }
}

/// The header `If-Match`: one ETag, or `*`. Other preconditions are refused, because to ignore one could destroy what
/// it protects.
fn precondition(headers: &HeaderMap) -> Result<Precondition, ApiError> {
    let refused = |text: &str| Err(ApiError::BadRequest(text.to_owned()));
    if headers.contains_key(IF_NONE_MATCH) {
        return refused("If-None-Match is not supported for changes; use If-Match");
    }
    let mut found = headers.get_all(IF_MATCH).iter();
    let (Some(value), further) = (found.next(), found.next()) else {
        return Ok(Precondition::Nothing);
    };
    if further.is_some() {
        return refused("If-Match: more than one");
    }
    match value.to_str().map(str::trim) {
        Ok("*") => Ok(Precondition::Exists),
        text => match text.map(str::parse) {
            Ok(Ok(etag)) => Ok(Precondition::Is(etag)),
            _ => refused("If-Match: allowed: * or the ETag of a response, with its quotes"),
        },
    }
}

pub(super) async fn read(api: &Api, body: Body) -> Result<Properties, ApiError> {
    let invalid =
        |cause: &str| ApiError::BadRequest(format!("the request body is invalid: {cause}"));
    let read = timeout(api.timeouts.request, to_bytes(body, BODY_BYTES_MAX)).await;
    let body = read.map_err(|_| invalid("it was not complete in time"))?;
    let body = body.map_err(|error| {
        if is_too_large(&error) {
            let max = BODY_BYTES_MAX;
            ApiError::BodyTooLarge { max }
        } else {
            invalid(&error.to_string())
        }
    })?;
    serde_json::from_slice(&body).map_err(|error| invalid(&error.to_string()))
}

/// The type of the cause is not public in `axum`.
fn is_too_large(error: &axum::Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(|cause| cause.to_string().contains("length limit exceeded"))
}
