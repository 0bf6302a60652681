//! `GET /audit/verify` and, for operators, `GET muster/audit/verify`: compares the control log with its hash chain.
//!
//! The head in the response is what an operator keeps elsewhere, and sends later as `pin`.

use std::sync::Arc;

use axum::Json;
use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::QueryRejection;
use muster_control::PinnedHead;
use serde::Deserialize;

use crate::Api;
use crate::backend::AuditVerification;
use crate::error::ApiError;

/// What the log is compared with besides its own chain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pin: Option<String>,
}

impl Wanted {
    /// The pin.
    pub(crate) fn pin(&self) -> Result<Option<PinnedHead>, ApiError> {
        let pin = self.pin.as_deref().map(str::parse).transpose();
        pin.map_err(|error: muster_control::PinError| ApiError::BadRequest(format!("pin: {error}")))
    }
}

/// `GET /audit/verify`.
pub(super) async fn of_server(
    State(api): State<Arc<Api>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<AuditVerification>, ApiError> {
    let Query(wanted) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    Ok(Json(api.backend.verify_audit(wanted.pin()?).await?))
}
