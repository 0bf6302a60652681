//! `GET /clock` and `POST /clock/confirm`: the service time, and a step of the wall clock that it has not followed yet.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::Api;
use crate::backend::{Clock, ClockMove, ClockStep};
use crate::error::ApiError;
use crate::times::timestamp;

pub(super) async fn clock(State(api): State<Arc<Api>>) -> Json<Value> {
    let Clock { time, wall, step } = api.backend.clock();
    Json(json!({
        "time": timestamp(time),
        "wall": timestamp(wall),
        "step": step.map(shown),
    }))
}

pub(super) async fn confirm(State(api): State<Arc<Api>>) -> Result<Json<Value>, ApiError> {
    let ClockMove { before, after } = api.backend.confirm_clock()?;
    Ok(Json(
        json!({ "before": timestamp(before), "after": timestamp(after) }),
    ))
}

fn shown(step: ClockStep) -> Value {
    json!({
        "seconds": step.ms as f64 / 1_000.0,
        "follows_in_seconds": step.follows_in_ms.div_ceil(1_000),
    })
}
