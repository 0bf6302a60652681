//! `GET /metrics`: the metrics of the whole server, rendered by the backend.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::Api;
use crate::error::ApiError;

/// The content type of the backend's text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let text = api.backend.metrics(Arc::clone(&api.connections)).await?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
