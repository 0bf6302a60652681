//! The body of a request: JSON, bounded.

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use muster_control::{Precondition, Properties};
use serde_json::Value;

use super::error::GraphError;

/// Maximum size of a body: a batch of 20 documents, or a list of 1,000 members.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Reads a body that must be JSON.
pub(super) async fn json(headers: &HeaderMap, body: Body) -> Result<Value, GraphError> {
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind != "application/json" && !kind.ends_with("+json") {
            return Err(GraphError::media_type());
        }
    }
    let bytes = to_bytes(body, BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|_| GraphError::too_large(BODY_BYTES_MAX))?;
    // Scripts on Windows write a byte order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let parsed = serde_json::from_slice(text);
    parsed
        .map_err(|error| GraphError::bad_request(format!("The request body is not JSON: {error}.")))
}

/// Reads a body that must be a JSON object.
pub(super) async fn object(headers: &HeaderMap, body: Body) -> Result<Properties, GraphError> {
    match json(headers, body).await? {
        Value::Object(properties) => Ok(properties),
        _ => Err(GraphError::bad_request(
            "The request body must be a JSON object.",
        )),
    }
}

/// The header `If-Match`: one ETag, or `*`. Without it the last writer wins.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, GraphError> {
    if headers.contains_key(IF_NONE_MATCH) {
        let message = "If-None-Match is not supported for changes; use If-Match.";
        return Err(GraphError::bad_request(message));
    }
    let mut found = headers.get_all(IF_MATCH).iter();
    let (Some(value), further) = (found.next(), found.next()) else {
        return Ok(Precondition::Nothing);
    };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    match (text, further) {
        ("*", None) => Ok(Precondition::Exists),
        (text, None) if let Ok(etag) = text.parse() => Ok(Precondition::Is(etag)),
        _ => {
            let message = "If-Match must be * or one ETag of a response, with its quotes.";
            Err(GraphError::bad_request(message))
        }
    }
}
