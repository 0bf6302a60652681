//! `GET /sessions`: the open sessions, oldest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::Session;
use crate::error::ApiError;
use crate::{Api, times};

/// Default of `limit`.
const LIMIT_DEFAULT: usize = 1000;

/// Maximum of `limit`: about 3 MB of JSON.
const LIMIT_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsQuery {
    limit: Option<usize>,
}

pub(super) async fn sessions(
    State(api): State<Arc<Api>>,
    query: Result<Query<SessionsQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit > LIMIT_MAX {
        return Err(ApiError::BadRequest(format!("limit: at most {LIMIT_MAX}")));
    }
    let sessions = api.backend.sessions(limit);
    let listed: Vec<Value> = sessions.listed.iter().map(object).collect();
    Ok(Json(json!({ "sessions": listed, "total": sessions.total })))
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
