//! `POST /backup`: backs up the store while the server runs.
//!
//! The backend decides which directories are allowed. The backup is not verified here: `muster backup` recounts it in
//! its own process, outside of the server's memory.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::Api;
use crate::error::ApiError;

/// Maximum size of a request body: a path has at most 4 KiB, and JSON escapes a byte of it with at most 6.
const BODY_BYTES_MAX: usize = 32 << 10;

/// The body of the request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    directory: PathBuf,
}

pub(super) async fn backup(
    State(api): State<Arc<Api>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let invalid =
        |cause: &str| ApiError::BadRequest(format!("the request body is invalid: {cause}"));
    let read = timeout(api.timeouts.request, to_bytes(body, BODY_BYTES_MAX)).await;
    let body = read
        .map_err(|_| invalid("it was not complete in time"))?
        .map_err(|error| invalid(&error.to_string()))?;
    let request: BackupRequest =
        serde_json::from_slice(&body).map_err(|error| invalid(&error.to_string()))?;
    let copied = api.backend.back_up(request.directory).await?;
    Ok(Json(json!({ "directory": copied })))
}
