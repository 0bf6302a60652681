//! `GET /counts`: the number of devices in each state, by tenant and in total.
//!
//! Sums the cells of the view: its cost depends on the number of cells, not on the number of devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use muster_engine::Counts;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::tenant::TenantQuery;
use crate::{Api, rows};

pub(super) async fn counts(
    State(api): State<Arc<Api>>,
    query: Result<Query<TenantQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let only = TenantQuery::index(query, &api)?;
    let mut total = Counts::default();
    let cells = api.backend.cells(only);
    let control = api.backend.control();
    let shown = control.tenants().map(|(index, _)| index);
    let shown = shown.filter(|index| only.is_none_or(|only| only == *index));
    let mut by_tenant: BTreeMap<_, _> = shown.map(|index| (index, Counts::default())).collect();
    for cell in cells {
        let Some(counts) = by_tenant.get_mut(&cell.tenant) else {
            continue;
        };
        total.add(&cell.facets, cell.count);
        counts.add(&cell.facets, cell.count);
    }
    let after = format!("],\"total\":{}}}", Value::Object(numbers(&total)));
    let rows = by_tenant.into_iter().map(move |(index, counts)| {
        let mut row = Map::new();
        row.insert("tenant".into(), control.tenant_name(index).into());
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
