//! Errors in the form of Graph: one shape at every status.
//!
//! `{"error": {"code", "message", "innerError": {"date", "request-id", "client-request-id"}}}`; a document with faults
//! has them in `details`. The ids and the date are added when the response is finished (`answer.rs`), because only
//! that knows them.

use axum::http::header::{HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use muster_control::{Fault, Faults, Refusal};
use serde_json::{Value, json};

use crate::error::ApiError;

/// Seconds after which a client that was refused for want of capacity may retry.
const RETRY_SECONDS: u16 = 1;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct GraphError {
    /// The status.
    pub(super) status: StatusCode,
    /// The code, for scripts.
    pub(super) code: &'static str,
    /// What is wrong and what to do, for people.
    pub(super) message: String,
    /// The faults of a document.
    pub(super) details: Vec<Value>,
}

impl GraphError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// The request is malformed.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// The request has no valid token. The message is the same for every cause, so that an attacker cannot tell them apart.
    pub(super) fn unauthenticated() -> Self {
        let message = "The access token is missing, unknown, expired or revoked.";
        Self::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            message,
        )
    }

    /// The principal may not do this.
    pub(super) fn forbidden(action: &str) -> Self {
        Self::denied(format!("The role of the caller does not allow {action}."))
    }

    /// The principal may not do this, or not with this object.
    fn denied(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            message,
        )
    }

    /// The token is good, and the user may do nothing.
    pub(super) fn no_role(claim: &str) -> Self {
        let message = format!(
            "The user has no role: no value of the claim {claim} in the token is mapped to a role definition of the tenant."
        );
        Self::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            message,
        )
    }

    /// The resource does not exist, or the principal is not allowed to know that it does.
    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", what)
    }

    /// The resource exists and has no such method.
    pub(super) fn method_not_allowed(method: &Method) -> Self {
        let message = format!("The method {method} is not supported for this resource.");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            message,
        )
    }

    /// The state of the resource does not allow this.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// The token of a page or delta is too old: start again.
    pub(super) fn gone(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "resyncRequired", message)
    }

    /// The body is too large.
    pub(super) fn too_large(max: usize) -> Self {
        let message = format!("The request body is larger than {max} bytes.");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            message,
        )
    }

    /// The body is not JSON.
    pub(super) fn media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "The request body must be application/json.",
        )
    }

    /// The principal has too many requests in progress.
    pub(super) fn throttled(max: usize) -> Self {
        let message = format!("The caller has {max} requests in progress; retry later.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
    }

    /// The server cannot answer now.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "serviceNotAvailable",
            message,
        )
    }

    fn internal(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerError",
            message,
        )
    }

    /// The body, without what only the request knows.
    pub(super) fn body(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if !self.details.is_empty() {
            error["details"] = self.details.clone().into();
        }
        json!({ "error": error })
    }
}

impl From<ApiError> for GraphError {
    fn from(error: ApiError) -> Self {
        let message = error.to_string();
        match error {
            ApiError::Refused(refusal) => refusal.into(),
            ApiError::UnknownTenant
            | ApiError::UnknownDevice
            | ApiError::UnknownDevices(_)
            | ApiError::UnknownMember => Self::not_found(message),
            ApiError::BodyTooLarge { max } => Self::too_large(max),
            ApiError::BadRequest(_) => Self::bad_request(message),
            ApiError::TenantHasDevices { .. } => Self::conflict(message),
            ApiError::NotInForce
            | ApiError::Busy { .. }
            | ApiError::TooManyRequests { .. }
            | ApiError::Timeout { .. }
            | ApiError::StorePoisoned
            | ApiError::Starting
            | ApiError::Draining => Self::unavailable(message),
            _ => Self::internal(message),
        }
    }
}

impl From<Refusal> for GraphError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Invalid(faults) => invalid(&faults),
            Refusal::Forbidden { .. } => Self::denied(message),
            // As if they did not exist.
            Refusal::UnknownMembers(ids) => ApiError::UnknownDevices(ids).into(),
            Refusal::UnknownTenant | Refusal::Unknown { .. } => Self::not_found(message),
            Refusal::Exists { .. }
            | Refusal::Limit { .. }
            | Refusal::InUse { .. }
            | Refusal::Unchanged => Self::conflict(message),
            Refusal::BuiltIn { .. } | Refusal::Unchangeable { .. } => Self::bad_request(message),
            Refusal::Stale { .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "PreconditionFailed",
                message,
            ),
        }
    }
}

/// A document with faults: the first is the message, all are details.
fn invalid(faults: &Faults) -> GraphError {
    let first = faults.listed().first();
    let message = first.map_or_else(|| faults.to_string(), ToString::to_string);
    let detail = |fault: &Fault| json!({ "code": fault.kind.name(), "target": fault.target, "message": fault.to_string() });
    let mut error = GraphError::bad_request(message);
    error.details = faults.listed().iter().map(detail).collect();
    error
}

impl IntoResponse for GraphError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let header: Option<(HeaderName, HeaderValue)> = match self.status {
            // Without `claims`, which would make SDKs ask for another token.
            StatusCode::UNAUTHORIZED => {
                Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, HeaderValue::from(RETRY_SECONDS)))
            }
            _ => None,
        };
        response.headers_mut().extend(header);
        response.extensions_mut().insert(self);
        response
    }
}
