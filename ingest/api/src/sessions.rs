//! `GET /sessions`: the open sessions, oldest first.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Session;
use crate::error::ApiError;
use crate::{Api, rows, times};

/// Default of `limit`.
const LIMIT_DEFAULT: usize = 1000;

/// Maximum of `limit`: about 3 MB of JSON.
pub const LIMIT_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsQuery {
    limit: Option<usize>,
}

pub(super) async fn sessions(
    State(api): State<Arc<Api>>,
    query: Result<Query<SessionsQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit > LIMIT_MAX {
        return Err(ApiError::BadRequest(format!(
            "the parameter limit must be at most {LIMIT_MAX}"
        )));
    }
    let sessions = api.backend.sessions(limit);
    let rows = sessions.listed.into_iter().map(|session| object(&session));
    let after = format!("],\"total\":{}}}", sessions.total);
    Ok(rows::answer("{\"sessions\":[", rows, after))
}

fn object(session: &Session) -> Value {
    json!({
        "id": session.id,
        "identity": session.identity.to_string(),
        "remote": session.remote.to_string(),
        "connected_at": times::timestamp(session.connected_at),
        "records_received": session.records_received,
        "records_acknowledged": session.records_acknowledged,
        "frames_in_flight": session.frames_in_flight,
    })
}
