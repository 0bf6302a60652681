//! `GET /counts`: the number of devices in each state, by tenant and in total.
//!
//! Sums the cells of all shards: its cost depends on the number of cells, not on the number of devices.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use muster_engine::{Counts, TenantIndex};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::tenant::{self, TenantQuery};
use crate::{Api, rows};

pub(super) async fn counts(
    State(api): State<Arc<Api>>,
    query: Result<Query<TenantQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let only = TenantQuery::index(query, &api)?;
    let mut total = Counts::default();
    let cells = api.backend.cells().await?;
    let control = api.backend.control();
    let mut by_tenant = vec![Counts::default(); usize::from(control.next_tenant())];
    for cell in cells {
        if only.is_some_and(|only| only != cell.tenant) || !control.has_tenant(cell.tenant) {
            continue;
        }
        total.add(&cell.facets, cell.count);
        if let Some(counts) = by_tenant.get_mut(usize::from(cell.tenant)) {
            counts.add(&cell.facets, cell.count);
        }
    }
    let after = format!("],\"total\":{}}}", Value::Object(numbers(&total)));
    let by_tenant = by_tenant
        .into_iter()
        .zip(0..)
        .map(|(counts, index)| (counts, TenantIndex(index)));
    let by_tenant = by_tenant.filter(move |(_, index)| control.has_tenant(*index));
    let shown = by_tenant.filter(move |(_, index)| only.is_none_or(|only| only == *index));
    let rows = shown.map(move |(counts, index)| {
        let mut row = Map::new();
        row.insert("tenant".into(), tenant::name(&api, index).into());
        row.append(&mut numbers(&counts));
        row
    });
    Ok(rows::answer("{\"tenants\":[", rows, after))
}

/// Every member of every group, including zeros, so that clients need no list of members.
fn numbers(counts: &Counts) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, number) in counts.totals() {
        object.insert(name.into(), number.into());
    }
    for (name, members) in counts.groups() {
        let members = members
            .into_iter()
            .map(|(member, number)| (member.to_owned(), number.into()));
        object.insert(name.into(), Value::Object(members.collect()));
    }
    object
}
