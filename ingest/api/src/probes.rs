//! `GET /live` and `GET /ready`: for whoever restarts the process, and for whoever sends it traffic.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::Api;

/// The process answers. Also while poisoned: a restart is for the operator to decide, who may want to
/// free space on the disk first.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// What `reason` says when the audit has found the counters wrong.
const DRIFT: &str = "drift";

/// Ready is serving, with counters that no audit has found wrong.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> (StatusCode, Json<Value>) {
    let now = api.backend.readiness();
    let (name, drift) = (now.phase, now.audit_drift);
    if now.is_serving && drift == 0 {
        return (
            StatusCode::OK,
            Json(json!({ "ready": true, "phase": name })),
        );
    }
    let mut body = json!({ "ready": false, "phase": name });
    let mut message = format!("the server is {name}");
    if let Some(reason) = now.poisoned {
        message = format!("{message}: {reason}");
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
