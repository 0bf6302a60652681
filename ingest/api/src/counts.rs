//! `GET /counts`: the number of devices in each state, by tenant and in total.
//!
//! Sums the cells of all shards: its cost depends on the number of cells, not on the number of devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use muster_engine::Counts;
use serde_json::{Map, Value, json};

use crate::Api;
use crate::error::ApiError;
use crate::tenant::TenantQuery;

pub(super) async fn counts(
    State(api): State<Arc<Api>>,
    query: Result<Query<TenantQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let only = TenantQuery::index(query, &api)?;
    let tenants = api.backend.tenants();
    let mut total = Counts::default();
    let mut by_tenant = vec![Counts::default(); tenants.len()];
    for cell in api.backend.cells().await? {
        if only.is_some_and(|only| only != cell.tenant) {
            continue;
        }
        total.add(&cell.facets, cell.count);
        if let Some(counts) = by_tenant.get_mut(usize::from(cell.tenant)) {
            counts.add(&cell.facets, cell.count);
        }
    }
    let shown = tenants.iter().zip(&by_tenant).enumerate();
    let tenants: Vec<Value> = shown
        .filter(|(index, _)| only.is_none_or(|only| usize::from(only) == *index))
        .map(|(_, (name, counts))| {
            let mut object = Map::new();
            object.insert("tenant".into(), name.as_str().into());
            object.append(&mut numbers(counts));
            Value::Object(object)
        })
        .collect();
    Ok(Json(
        json!({ "tenants": tenants, "total": numbers(&total) }),
    ))
}

/// Every member of every dimension, including zeros, so that clients need no list of members.
fn numbers(counts: &Counts) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("devices".into(), counts.devices().into());
    object.insert("onboarded".into(), counts.onboarded().into());
    object.insert("not_onboarded".into(), counts.not_onboarded().into());
    for (name, members) in counts
        .dimensions()
        .into_iter()
        .chain([("subsets", counts.subsets())])
    {
        let members = members
            .into_iter()
            .map(|(member, number)| (member.to_owned(), number.into()));
        object.insert(name.into(), Value::Object(members.collect()));
    }
    object
}
