//! `GET /policy`: the policy in force for one tenant.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use muster_engine::DeviceRules;
use muster_engine::rules::threat::{PlatformRules, platform_has_policies, platform_has_threshold};
use muster_wire::Platform;
use serde_json::{Map, Value, json};

use crate::Api;
use crate::error::ApiError;
use crate::tenant::{self, TenantQuery};

pub(super) async fn policy(
    State(api): State<Arc<Api>>,
    query: Result<Query<TenantQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let index = TenantQuery::index(query, &api)?;
    let index = index.ok_or_else(|| {
        ApiError::BadRequest("the parameter tenant is required: ?tenant=NAME".to_owned())
    })?;
    let policy = api.backend.policy();
    let rules = policy.tenant(index).ok_or(ApiError::UnknownTenant)?;
    let by_platform = |value: &dyn Fn(&PlatformRules) -> Value| -> Map<String, Value> {
        let platforms = Platform::ALL
            .iter()
            .filter(|platform| platform_has_threshold(**platform));
        platforms
            .map(|platform| (platform.name().to_owned(), value(rules.platform(*platform))))
            .collect()
    };
    let with_policies = Platform::ALL
        .iter()
        .filter(|platform| platform_has_policies(**platform));
    let requirements: Map<String, Value> = with_policies
        .map(|platform| {
            let of_platform = device_requirements(&rules.platform(*platform).device);
            (platform.name().to_owned(), of_platform)
        })
        .collect();
    Ok(Json(json!({
        "tenant": tenant::name(&api, index),
        "revision": policy.revision().0,
        "secure_by_default": rules.secure_by_default,
        "auto_create_devices": rules.auto_create_devices,
        "policy_assigned": by_platform(&|rules| rules.policy_assigned.into()),
        "thresholds": by_platform(&|rules| rules.threshold.name().into()),
        "connector": by_platform(&|rules| rules.connector.name().into()),
        "blocked_on_missing_partner_data": by_platform(&|rules| rules.blocked_on_missing.into()),
        "device_requirements": requirements,
        "sensor_inactive_seconds": rules.sensor_limits.inactive_seconds,
        "no_sensor_data_seconds": rules.sensor_limits.no_sensor_data_seconds,
        "report_valid_seconds": rules.validity_seconds,
    })))
}

/// What policies require of the device itself; null for what they do not. Versions are packed as in inventories.
fn device_requirements(rules: &DeviceRules) -> Value {
    json!({
        "os_minimum": (rules.os_minimum != 0).then_some(rules.os_minimum),
        "os_maximum": (rules.os_maximum != u64::MAX).then_some(rules.os_maximum),
        "blocks_jailbroken": rules.blocks_jailbroken,
        "requires_encryption": rules.requires_encryption,
    })
}
