//! `GET /sessions`: who is connected, oldest first.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::{Ops, times};
use crate::net::SessionInfo;

/// Sessions listed if the request names no limit.
const LIMIT_DEFAULT: usize = 1000;

/// The most sessions listed, about 3 MB of JSON.
const LIMIT_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsQuery {
    limit: Option<usize>,
}

pub(super) async fn sessions(
    State(ops): State<Arc<Ops>>,
    query: Result<Query<SessionsQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit > LIMIT_MAX {
        return Err(ApiError::BadRequest(format!("limit: at most {LIMIT_MAX}")));
    }
    let sessions = ops.context.registry.list();
    let listed: Vec<Value> = sessions
        .iter()
        .take(limit)
        .map(|session| object(session))
        .collect();
    Ok(Json(json!({ "sessions": listed, "total": sessions.len() })))
}

fn object(session: &SessionInfo) -> Value {
    json!({
        "id": session.id,
        "identity": session.identity.to_string(),
        "remote": session.remote.to_string(),
        "connected_at": times::timestamp(session.connected_at),
        "records_received": session.records_received.load(Ordering::Relaxed),
        "records_acknowledged": session.records_acknowledged.load(Ordering::Relaxed),
        "frames_in_flight": session.frames_in_flight.load(Ordering::Relaxed),
    })
}
