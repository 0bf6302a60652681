//! `GET /live` and `GET /ready`: for whoever restarts the process, and for whoever sends it traffic.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Ops;
use crate::phase::Phase;

/// The process answers. Also while poisoned: a restart is for the operator to decide, who may want to
/// free space on the disk first.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// What `reason` says when the audit has found the counters wrong.
const DRIFT: &str = "drift";

/// Ready is serving, with counters that no audit has found wrong.
pub(super) async fn ready(State(ops): State<Arc<Ops>>) -> (StatusCode, Json<Value>) {
    let phase = ops.context.phase.get();
    let name = phase.name();
    let drift = ops.context.metrics.audit_drift.get();
    if phase == Phase::Serving && drift == 0 {
        return (
            StatusCode::OK,
            Json(json!({ "ready": true, "phase": name })),
        );
    }
    let mut body = json!({ "ready": false, "phase": name });
    let mut message = format!("the server is {name}");
    if phase == Phase::Poisoned {
        let reason = ops
            .context
            .store
            .health()
            .poisoned()
            .map(|reason| reason.as_str());
        message.extend(reason.map(|reason| format!(": {reason}")));
        body["reason"] = reason.into();
    } else if drift != 0 {
        message = format!(
            "the server is {name}, but its audit has found counters wrong by {drift}: restart to count anew"
        );
        body["reason"] = DRIFT.into();
    }
    body["code"] = "notReady".into();
    body["message"] = message.into();
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}
