//! Lookup of tenants by name and by index, and the query parameter `tenant`.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use muster_engine::TenantIndex;
use serde::Deserialize;

use crate::Api;
use crate::error::ApiError;

/// The query of routes that can be limited to one tenant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantQuery {
    tenant: Option<String>,
}

impl TenantQuery {
    /// The index of the requested tenant; `None` for all tenants.
    pub(super) fn index(
        query: Result<Query<Self>, QueryRejection>,
        api: &Api,
    ) -> Result<Option<TenantIndex>, ApiError> {
        let Query(query) = query.map_err(|error| ApiError::BadRequest(error.body_text()))?;
        query.tenant.map(|name| index(api, &name)).transpose()
    }
}

/// The index of a tenant by its name.
pub(super) fn index(api: &Api, name: &str) -> Result<TenantIndex, ApiError> {
    let index = api.backend.control().tenant_named(name);
    index.ok_or(ApiError::UnknownTenant)
}

/// The name of a tenant by its index.
pub(super) fn name(api: &Api, index: TenantIndex) -> String {
    api.backend.control().tenant_name(index)
}
