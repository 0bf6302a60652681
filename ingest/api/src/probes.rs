//! `GET /live` and `GET /ready`: the liveness and readiness probes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::Api;

/// Always live, also while poisoned: the operator decides about a restart, and may have to free disk space first.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// The `reason` if the audit has found drift.
const DRIFT: &str = "drift";

/// Ready if the server is serving and the audit has found no drift.
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
            "the server is {name}, but its audit has found a drift of {drift} devices: restart to rebuild the counters"
        );
        body["reason"] = DRIFT.into();
    }
    body["code"] = "notReady".into();
    body["message"] = message.into();
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}
