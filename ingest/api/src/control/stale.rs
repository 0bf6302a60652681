//! `GET /tenants/{tenant}/staleDevices`: the devices whose check-ins are stale.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use muster_engine::StaleDevice;
use serde_json::{Value, json};

use super::Segment;
use crate::error::ApiError;
use crate::{Api, times};

pub(super) async fn devices(
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
