//! `POST /backup`: a copy of the store at this instant, while the server serves.
//!
//! The backend decides where a backup may be made. The copy is not read again here: `muster backup` recounts it,
//! outside of the server's memory.

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

/// Of a body: a path has 4 KiB at most, a letter of it 6 bytes in JSON.
const BODY_BYTES_MAX: usize = 32 << 10;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupRequest {
    directory: PathBuf,
}

pub(super) async fn backup(
    State(api): State<Arc<Api>>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let refused = |what: &str| ApiError::BadRequest(format!("the body is not as expected: {what}"));
    let read = timeout(api.deadlines.request, to_bytes(body, BODY_BYTES_MAX)).await;
    let body = read
        .map_err(|_| refused("it did not come in time"))?
        .map_err(|error| refused(&error.to_string()))?;
    let request: BackupRequest =
        serde_json::from_slice(&body).map_err(|error| refused(&error.to_string()))?;
    let copied = api.backend.back_up(request.directory).await?;
    Ok(Json(json!({ "directory": copied })))
}
