//! `GET /policy`: the policy in force for one tenant.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use muster_engine::rules::threat::{PlatformRules, platform_has_threshold};
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
    Ok(Json(json!({
        "tenant": tenant::name(&api, index),
        "revision": policy.revision().0,
        "secure_by_default": rules.secure_by_default,
        "auto_create_devices": rules.auto_create_devices,
        "policy_assigned": by_platform(&|rules| rules.policy_assigned.into()),
        "thresholds": by_platform(&|rules| rules.threshold.name().into()),
        "connector": by_platform(&|rules| rules.connector.name().into()),
        "blocked_on_missing_partner_data": by_platform(&|rules| rules.blocked_on_missing.into()),
        "sensor_inactive_seconds": rules.sensor_limits.inactive_seconds,
        "no_sensor_data_seconds": rules.sensor_limits.no_sensor_data_seconds,
        "report_valid_seconds": rules.validity_seconds,
    })))
}
