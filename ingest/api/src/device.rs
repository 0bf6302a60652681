//! `GET /devices/{tenant}/{id}`: the record and inventory of one device, with an explanation of its state.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use muster_engine::{decide, evaluate};
use muster_wire::{DeviceId, Flags, Inventory, Owner};
use serde_json::{Value, json};

use crate::backend::Device;
use crate::error::ApiError;
use crate::{Api, tenant, times, why};

pub(super) async fn device(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path((tenant_name, id)) = path.map_err(|error| ApiError::BadRequest(error.body_text()))?;
    let tenant = tenant::index(&api, &tenant_name)?;
    let device_id = id_of(&id)?;
    let device = api.backend.device(tenant, device_id).await?;
    let device = device.ok_or(ApiError::UnknownDevice)?;
    Ok(Json(object(&api, &tenant_name, &device)))
}

/// The device id in a path.
pub(super) fn id_of(text: &str) -> Result<DeviceId, ApiError> {
    let id = text.parse().ok().filter(|id: &DeviceId| !id.is_zero());
    id.ok_or_else(|| ApiError::BadRequest("the device id must be a UUID with hyphens".to_owned()))
}

fn object(api: &Api, tenant: &str, device: &Device) -> Value {
    let Device {
        record,
        cold,
        facets,
        stale_since,
        targets,
        inventory,
    } = device;
    let owner = inventory
        .as_ref()
        .map_or(Owner::Unknown, |known| known.owner);
    // Tags are a set: order and repetition have no meaning.
    let tags: BTreeSet<_> = inventory.iter().flat_map(|known| &known.tags).collect();
    let policy = api.backend.policy();
    // Time may have changed the device since it was evaluated. What is explained is what is shown.
    let now = api.backend.clock().time.as_seconds();
    let (facets, why) = match policy.for_targets(record.tenant, targets) {
        // A removed device stays as it was.
        Some(rules) if !record.removed() => {
            let decisions = decide(record, cold, facets, &rules, now);
            let why = why::why(record, facets, &rules, &decisions);
            (evaluate(record, cold, *facets, &rules, now), why)
        }
        _ => (*facets, Vec::new()),
    };
    json!({
        "id": record.device_id.to_string(),
        "tenant": tenant,
        "seq": record.seq,
        "platform": facets.platform.name(),
        "management_agent": facets.management_agent.name(),
        "managed_by": facets.managed_by().name(),
        "onboarding_status": facets.onboarding_status().name(),
        "onboarded": facets.onboarded,
        "ever_onboarded": facets.ever_onboarded(),
        "foreign_org": facets.foreign_org,
        "registered": record.flags.contains(Flags::REGISTERED),
        "risk": facets.risk.name(),
        "partner_threat": facets.partner_threat.name(),
        "threat_setting": facets.threat_setting.status(),
        "threat_setting_reason": facets.threat_setting.reason(),
        "compliance": facets.compliance.name(),
        "is_compliant": facets.compliance.is_compliant(),
        "sensor": facets.sensor.name(),
        "why": why,
        "removed_at": times::seconds(cold.removed_at),
        "first_seen": times::seconds(cold.first_seen),
        "last_check_in": times::seconds(record.last_check_in),
        "stale_since": stale_since.and_then(times::seconds),
        "last_contact": times::seconds(record.last_contact),
        "last_telemetry": times::seconds(record.last_telemetry),
        "last_full_report": times::seconds(record.last_full_report),
        "boot_id": record.boot_id,
        "payload": format!("{:08x}", record.payload),
        "flags": record.flags.names().collect::<Vec<_>>(),
        "owner": owner.name(),
        "tags": tags,
        "inventory_revision": cold.inventory_revision,
        "inventory": inventory.as_ref().map(inventory_object),
    })
}

/// The stored inventory. An empty string on the wire means unknown and becomes null here.
fn inventory_object(inventory: &Inventory) -> Value {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let [a, b, c, d] = Inventory::unpack_version(inventory.os_version);
    json!({
        "revision": inventory.revision,
        "owner": inventory.owner.name(),
        "device_name": known(&inventory.device_name),
        "os_name": known(&inventory.os_name),
        "os_version": format!("{a}.{b}.{c}.{d}"),
        "model": known(&inventory.model),
        "manufacturer": known(&inventory.manufacturer),
        "serial_number": known(&inventory.serial_number),
        "user_principal_name": known(&inventory.user_principal_name),
        "tags": inventory.tags,
    })
}
