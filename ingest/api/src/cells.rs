//! `GET /cells`: the counters by cell, for comparison with an external count.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use muster_control::ControlPlane;
use muster_engine::Facets;
use serde::Serialize;

use crate::backend::Cell;
use crate::error::ApiError;
use crate::tenant::TenantQuery;
use crate::{Api, rows};

/// The names of a cell's facets, the same as those of `GET /devices`.
#[derive(Debug, Serialize)]
pub(super) struct FacetNames {
    platform: &'static str,
    management_agent: &'static str,
    managed_by: &'static str,
    onboarding_status: &'static str,
    risk: &'static str,
    partner_threat: &'static str,
    sensor: &'static str,
    compliance: &'static str,
    threat_setting: &'static str,
    threat_setting_reason: Option<&'static str>,
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
            sensor: facets.sensor.name(),
            compliance: facets.compliance.name(),
            threat_setting: facets.threat_setting.status(),
            threat_setting_reason: facets.threat_setting.reason(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct CellRow {
    tenant: String,
    facets: u64,
    count: u64,
    #[serde(flatten)]
    names: FacetNames,
}

pub(super) async fn cells(
    State(api): State<Arc<Api>>,
    query: Result<Query<TenantQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let only = TenantQuery::index(query, &api)?;
    let mut cells = api.backend.cells(only);
    let control = api.backend.control();
    cells.retain(|cell| control.has_tenant(cell.tenant));
    cells.sort_unstable_by_key(|cell| (cell.tenant, cell.facets));
    let rows = cells.into_iter().map(move |cell| row(&control, cell));
    Ok(rows::answer("{\"cells\":[", rows, "]}".to_owned()))
}

fn row(control: &ControlPlane, cell: Cell) -> CellRow {
    CellRow {
        tenant: control.tenant_name(cell.tenant),
        facets: cell.facets.word().0,
        count: cell.count,
        names: FacetNames::from(&cell.facets),
    }
}
