//! `GET /policy`: the rules of one tenant in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use muster_engine::rules::threat::platform_has_threshold;
use muster_wire::Platform;
use serde_json::{Map, Value, json};

use super::Ops;
use super::counts::TenantQuery;
use super::error::ApiError;

pub(super) async fn policy(
    State(ops): State<Arc<Ops>>,
    query: Result<Query<TenantQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let context = &ops.context;
    let index = TenantQuery::index(query, context)?;
    let index = index.ok_or_else(|| ApiError::BadRequest("name one: ?tenant=NAME".to_owned()))?;
    let rules = context
        .tenant_policy(index)
        .ok_or(ApiError::UnknownTenant)?;
    let by_platform = |value: &dyn Fn(Platform) -> Value| -> Map<String, Value> {
        let platforms = Platform::ALL
            .iter()
            .filter(|platform| platform_has_threshold(**platform));
        platforms
            .map(|platform| (platform.name().to_owned(), value(*platform)))
            .collect()
    };
    Ok(Json(json!({
        "tenant": context.tenant_name(index),
        "revision": context.policy.revision().0,
        "secure_by_default": rules.secure_by_default,
        "auto_create_devices": rules.auto_create_devices,
        "thresholds": by_platform(&|platform| rules.threshold(platform).name().into()),
        "blocked_on_missing_partner_data":
            by_platform(&|platform| rules.blocked_on_missing(platform).into()),
        "sensor_inactive_seconds": rules.sensor_limits.inactive_seconds,
        "no_sensor_data_seconds": rules.sensor_limits.no_sensor_data_seconds,
    })))
}
