//! What operators do to one device, under `/tenants/{tenant}/devices/{id}`: `DELETE` removes it, `POST …/restore` restores
//! it, `POST …/resetSequence` resets its numbers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use muster_control::Precondition;
use muster_engine::TenantIndex;
use muster_wire::DeviceId;
use serde_json::{Value, json};

use super::Segment;
use super::change::require_permission;
use crate::backend::Caller;
use crate::error::ApiError;
use crate::{Api, device, tenant};

pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (_, tenant, device_id) = changeable(&api, path)?;
    let removed =
        api.backend
            .remove_device(Caller::local(Precondition::Nothing), tenant, device_id);
    let removed = removed.await?;
    removed.ok_or(ApiError::UnknownDevice)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn restore(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (_, tenant, device_id) = changeable(&api, path)?;
    let restored =
        api.backend
            .restore_device(Caller::local(Precondition::Nothing), tenant, device_id);
    let restored = restored.await?;
    restored.ok_or(ApiError::UnknownDevice)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn reset_sequence(
    State(api): State<Arc<Api>>,
    path: Segment<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (tenant_name, tenant, device_id) = changeable(&api, path)?;
    let reset = api
        .backend
        .reset_sequence(Caller::local(Precondition::Nothing), tenant, device_id);
    let reset = reset.await?;
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

/// The device of a request that may change it.
fn changeable(
    api: &Api,
    path: Segment<(String, String)>,
) -> Result<(String, TenantIndex, DeviceId), ApiError> {
    let Path((name, id)) = path.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let tenant = tenant::index(api, &name)?;
    let device_id = device::id_of(&id)?;
    require_permission(api)?;
    Ok((name, tenant, device_id))
}
