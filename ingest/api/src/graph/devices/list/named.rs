//! Lists in the order of names, and lists of names: the order in memory says which devices come next, and only those are
//! read.
//!
//! Used if it reads fewer devices than a pass over all of them, or over those whose facets match, and given up if it turns
//! out to read many more: then the list does that. Both ways find the same rows in the same order.

use std::collections::HashMap;

use muster_wire::DeviceId;

use super::Query;
use crate::backend::{Device, ROWS_MAX};
use crate::graph::devices::projection::Projection;
use crate::graph::devices::row::SCHEMA;
use crate::graph::error::GraphError;
use crate::graph::names::{Named, Range, name_of};
use crate::odata::{Filter, OrderBy, Position, Value, fold_text};

/// Names that are read at least before a walk is given up.
const NAMES_MIN: u64 = 20_000;

/// A walk is given up when it has read this many times as many names as expected.
const SURPRISE: u64 = 4;

/// To read a device whose facets match costs as much as to pass over this many names.
const ROW_COST: u64 = 4;

/// Which names to read, in which order, and how many at most.
#[derive(Debug)]
struct Walk {
    /// In the order of the list.
    ranges: Vec<Range>,
    descending: bool,
    after: Option<Named>,
    names_max: u64,
}

/// The index of the name in the schema.
fn name() -> usize {
    let name = SCHEMA.index_of("deviceName");
    name.expect("the name is in the schema")
}

/// Whether an order is that of names; if so, whether it descends.
fn direction(order: &OrderBy) -> Option<bool> {
    let [first, second] = order.keys() else {
        return None;
    };
    let is_by_id = SCHEMA.index_of("id") == Some(second.property) && !second.descending;
    (first.property == name() && is_by_id).then_some(first.descending)
}

/// The name and id in a position of such an order.
fn named_at(position: &Position<'_>) -> Option<Named> {
    match position.values() {
        [name, Value::Guid(id)] => Some(Named {
            name: match name {
                Value::Text(name) => fold_text(name),
                Value::Guid(id) => DeviceId::from_bytes(*id).to_string(),
                _ => return None,
            },
            id: DeviceId::from_bytes(*id),
        }),
        _ => None,
    }
}

impl<P: Projection> Query<'_, P> {
    /// The order of the list if the request has none: that of names if the filter is about names.
    pub(super) fn implied_order(&self) -> Option<&'static str> {
        self.names().map(|_| "deviceName")
    }

    /// The names that the filter leaves, without overlap, in ascending order; `None` if it leaves all.
    fn names(&self) -> Option<Vec<Range>> {
        let filter = self.filter.as_ref().filter(|_| self.is_ordered())?;
        if let Some(mut texts) = filter.equal_to(name()) {
            texts.sort_unstable();
            texts.dedup();
            let equal = texts.into_iter().map(|text| Range::Equal(text.to_owned()));
            return Some(equal.collect());
        }
        let prefix = filter.prefix(name())?;
        Some(vec![Range::Prefix(prefix.to_owned())])
    }

    /// Like [`Query::sorted`], if the order of names helps; `None` if it does not.
    pub(super) async fn by_name(
        &self,
        order: &OrderBy,
        after: Option<&Position<'_>>,
        skip: usize,
        rows: usize,
    ) -> Result<Option<(Vec<Device>, bool)>, GraphError> {
        let Some(descending) = direction(order).filter(|_| self.is_ordered()) else {
            return Ok(None);
        };
        let after = match after.map(named_at) {
            Some(None) => return Ok(None),
            Some(after) => after,
            None => None,
        };
        let keep = skip + rows + 1;
        let Some(walk) = self.plan(descending, after, keep as u64).await? else {
            return Ok(None);
        };
        let mut found = Vec::new();
        let is_complete = self
            .walk(walk, keep, |device| {
                found.push(device);
                found.len() < keep
            })
            .await?;
        if !is_complete {
            return Ok(None);
        }
        let has_more = found.len() == keep;
        let page = found.into_iter().skip(skip).take(rows);
        Ok(Some((page.collect(), has_more)))
    }

    /// The number of matching devices, if the filter leaves few names.
    pub(super) async fn count_by_name(&self) -> Result<Option<u64>, GraphError> {
        if self.names().is_none() {
            return Ok(None);
        }
        let Some(walk) = self.plan(false, None, u64::MAX).await? else {
            return Ok(None);
        };
        let mut count = 0;
        let is_complete = self
            .walk(walk, ROWS_MAX, |_| {
                count += 1;
                true
            })
            .await?;
        Ok(is_complete.then_some(count))
    }

    /// How to find the first `keep` rows by their names; `None` if another way reads less.
    async fn plan(
        &self,
        descending: bool,
        after: Option<Named>,
        keep: u64,
    ) -> Result<Option<Walk>, GraphError> {
        let (api, tenant) = (&self.call.api, self.call.tenant());
        let ranges = self.names();
        let is_sparse = self.has_other_conditions();
        // Without a limit it would read every device.
        if ranges.is_none() && (is_sparse || keep == u64::MAX) {
            return Ok(None);
        }
        let matches = self.matches();
        let (mut devices, mut matching) = (0, 0);
        for cell in api.backend.cells(Some(tenant)) {
            devices += cell.count;
            if matches(cell.facets.word()) {
                matching += cell.count;
            }
        }
        let rows_cost = matching.saturating_mul(ROW_COST);
        let expected = keep.saturating_mul(devices) / matching.max(1);
        if ranges.is_none() && matching < devices && rows_cost < expected {
            return Ok(None);
        }
        if !api.device_names.prepare(&api.backend, tenant).await? {
            return Ok(None);
        }
        let mut ranges = ranges.unwrap_or_else(|| vec![Range::All]);
        if descending {
            ranges.reverse();
        }
        let mut in_ranges = 0;
        for range in &ranges {
            let count = api.device_names.count(tenant, range, NAMES_MIN).await;
            in_ranges += count.unwrap_or(NAMES_MIN);
        }
        let names = match in_ranges {
            few if few < NAMES_MIN => few,
            _ if is_sparse => return Ok(None),
            _ => expected,
        };
        if matching < devices && rows_cost < names {
            return Ok(None);
        }
        Ok(Some(Walk {
            ranges,
            descending,
            after,
            names_max: names.saturating_mul(SURPRISE).max(NAMES_MIN),
        }))
    }

    /// Whether conditions remain that neither facets nor names decide, so that few of the names may match.
    fn has_other_conditions(&self) -> bool {
        let mut decided = self.projection.facet_properties();
        decided.push(name());
        let all = self.filter.as_ref().map_or(&[][..], Filter::conjuncts);
        !all.iter().all(|condition| condition.uses_only(&decided))
    }

    /// Passes the matching devices to `each` in the order of their names, until it returns false. Returns whether it did,
    /// or whether there are no more; false if it has read too many names.
    async fn walk(
        &self,
        walk: Walk,
        keep: usize,
        mut each: impl FnMut(Device) -> bool,
    ) -> Result<bool, GraphError> {
        let (api, tenant) = (&self.call.api, self.call.tenant());
        let Walk {
            ranges,
            descending,
            mut after,
            names_max,
        } = walk;
        let (mut names, mut limit) = (0, keep.min(ROWS_MAX));
        for range in &ranges {
            if let Some(last) = &after
                && range.is_behind(last, descending)
            {
                continue;
            }
            // Only the range of the last row continues after it.
            after = after.filter(|last| range.contains(&last.name));
            loop {
                let next = api
                    .device_names
                    .next(tenant, range, after.as_ref(), descending, limit);
                let Some(next) = next.await else {
                    return Ok(false);
                };
                let Some(last) = next.last() else {
                    after = None;
                    break;
                };
                after = Some(last.clone());
                names += next.len() as u64;
                for device in self.devices(next).await? {
                    if !each(device) {
                        return Ok(true);
                    }
                }
                if names > names_max {
                    return Ok(false);
                }
                limit = ROWS_MAX;
            }
        }
        Ok(true)
    }

    /// The matching ones of some devices that still have these names, in the same order.
    async fn devices(&self, names: Vec<Named>) -> Result<Vec<Device>, GraphError> {
        let (backend, tenant) = (&self.call.api.backend, self.call.tenant());
        let ids = names.iter().map(|named| named.id).collect();
        let found = backend.matching(tenant, ids, self.matches()).await?;
        let found = found.into_iter().filter(|device| self.has(device));
        let mut found: HashMap<_, _> = found
            .map(|device| (device.record.device_id, device))
            .collect();
        let mut devices = Vec::with_capacity(found.len());
        for named in names {
            if found
                .get(&named.id)
                .is_some_and(|device| name_of(device) == named)
            {
                devices.extend(found.remove(&named.id));
            }
        }
        Ok(devices)
    }
}
