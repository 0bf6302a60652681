//! `POST /tenants/{tenant}/devices/{id}/resetSequence`: resets the numbers of a device whose check-ins are stale.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Segment;
use super::change::require_permission;
use crate::error::ApiError;
use crate::{Api, device, tenant};

pub(super) async fn reset(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let Path((tenant_name, id)) = path.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let tenant = tenant::index(&api, &tenant_name)?;
    let device_id = device::id_of(&id)?;
    require_permission(&api)?;
    let reset = api.backend.reset_sequence(tenant, device_id).await?;
    let reset = reset.ok_or(ApiError::UnknownDevice)?;
    Ok(Json(json!({
        "id": device_id.to_string(),
        "tenant": tenant_name,
        "seq_before": reset.seq_before,
        "seq": reset.seq,
        "inventory_revision_before": reset.inventory_revision_before,
        "inventory_revision": reset.inventory_revision,
    })))
}
