//! `GET /tenants/{tenant}/staleDevices`: the devices whose check-ins are stale; and
//! `POST /tenants/{tenant}/devices/{id}/resetSequence`, which resets the numbers of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use muster_engine::StaleDevice;
use serde_json::{Value, json};

use super::Segment;
use super::change::require_permission;
use crate::error::ApiError;
use crate::{Api, device, tenant, times};

pub(super) async fn stale(
    State(api): State<Arc<Api>>,
    tenant: Segment<String>,
) -> Result<Json<Value>, ApiError> {
    let tenant = super::tenant_of(&api, tenant)?;
    let mut stale = api.backend.stale_devices().await?;
    stale.retain(|device| device.tenant == tenant);
    stale.sort_unstable_by_key(|device| (device.since, device.device_id));
    let row = |device: &StaleDevice| {
        json!({
            "id": device.device_id.to_string(),
            "seq": device.seq,
            "stale_since": times::seconds(device.since),
        })
    };
    let rows: Vec<Value> = stale.iter().map(row).collect();
    Ok(Json(json!({ "devices": rows })))
}

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
