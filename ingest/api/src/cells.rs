//! `GET /cells`: the counters by cell, for comparison with an external count.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use muster_engine::Facets;
use serde::Serialize;

use crate::Api;
use crate::error::ApiError;
use crate::tenant::{self, TenantQuery};

/// The names of a cell's facets, the same as those of `GET /devices`.
#[derive(Debug, Serialize)]
pub(super) struct FacetNames {
    platform: &'static str,
    management_agent: &'static str,
    managed_by: &'static str,
    onboarding_status: &'static str,
    risk: &'static str,
    partner_threat: &'static str,
    registered: bool,
    sensor: &'static str,
    compliance: &'static str,
    threat_setting: &'static str,
}

impl From<&Facets> for FacetNames {
    fn from(facets: &Facets) -> Self {
        Self {
            platform: facets.platform.name(),
            management_agent: facets.management_agent.name(),
            managed_by: facets.managed_by().name(),
            onboarding_status: facets.onboarding_status().name(),
            risk: facets.risk.name(),
            partner_threat: facets.partner_threat.name(),
            registered: facets.registered,
            sensor: facets.sensor.name(),
            compliance: facets.compliance.name(),
            threat_setting: facets.threat_setting.name(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct CellRow {
    tenant: String,
    owner: &'static str,
    tags: Vec<String>,
    facets: u32,
    count: u64,
    #[serde(flatten)]
    names: FacetNames,
}

#[derive(Debug, Serialize)]
pub(super) struct Cells {
    cells: Vec<CellRow>,
}

pub(super) async fn cells(
    State(api): State<Arc<Api>>,
    query: Result<Query<TenantQuery>, QueryRejection>,
) -> Result<Json<Cells>, ApiError> {
    let only = TenantQuery::index(query, &api)?;
    let cells = api.backend.cells().await?.into_iter();
    // Merges the shards' cells, sorted by tenant, cohort, facets.
    let mut merged: BTreeMap<_, u64> = BTreeMap::new();
    for cell in cells.filter(|cell| only.is_none_or(|only| only == cell.tenant)) {
        let key = (cell.tenant, cell.cohort, cell.facets);
        *merged.entry(key).or_default() += cell.count;
    }
    let cells = merged
        .into_iter()
        .map(|((tenant, cohort, facets), count)| CellRow {
            tenant: tenant::name(&api, tenant),
            owner: cohort.owner().name(),
            tags: cohort.tags().to_vec(),
            facets: facets.word().0,
            count,
            names: FacetNames::from(&facets),
        });
    Ok(Json(Cells {
        cells: cells.collect(),
    }))
}
