//! Lists in the order of a date of the record: the shards say which devices come first, and only those are read.
//!
//! A device is listed as it was when its shard was asked: dates move all the time.

use std::ops::RangeInclusive;

use muster_wire::DeviceId;

use super::Query;
use crate::backend::{Date, DateQuery, Device};
use crate::graph::devices::projection::Projection;
use crate::graph::devices::row::{NEVER_TICKS, SCHEMA};
use crate::graph::error::GraphError;
use crate::odata::{Filter, OrderBy, Position, TICKS_PER_SECOND, Value};

/// The dates of records, by their properties.
const DATES: [(&str, Date); 2] = [
    ("lastSyncDateTime", Date::LastCheckIn),
    ("enrolledDateTime", Date::FirstSeen),
];

/// If fewer than one device in this many matches by its facets, they are read instead.
const RARE_ONE_IN: u64 = 1_000;

/// A date with its property.
fn dates() -> impl Iterator<Item = (&'static str, usize, Date)> {
    DATES.into_iter().map(|(name, date)| {
        let property = SCHEMA.index_of(name);
        (name, property.expect("the name is in the schema"), date)
    })
}

/// The date of an order by one, its property, and whether it descends.
fn date_of(order: &OrderBy) -> Option<(usize, Date, bool)> {
    let [first, second] = order.keys() else {
        return None;
    };
    let is_by_id = SCHEMA.index_of("id") == Some(second.property) && !second.descending;
    let (_, property, date) = dates().find(|(_, property, _)| *property == first.property)?;
    is_by_id.then_some((property, date, first.descending))
}

/// The date and the id in a position of such an order.
fn dated_at(position: &Position<'_>) -> Option<(u32, DeviceId)> {
    match position.values() {
        [Value::Date(ticks), Value::Guid(id)] => {
            Some((seconds(*ticks)?, DeviceId::from_bytes(*id)))
        }
        _ => None,
    }
}

impl<P: Projection> Query<'_, P> {
    /// The order by a date of a list whose request has none: if the filter is about this date.
    pub(super) fn implied_date_order(&self) -> Option<&'static str> {
        let filter = self.filter.as_ref().filter(|_| self.is_ordered())?;
        let is_limited = |property| filter.between(property) != (i64::MIN..=i64::MAX);
        let mut dates = dates();
        dates
            .find(|(_, property, _)| is_limited(*property))
            .map(|(name, ..)| name)
    }

    /// Like [`Query::sorted`], if the shards can say which devices come first; `None` if they cannot.
    pub(super) async fn by_date(
        &self,
        order: &OrderBy,
        after: Option<&Position<'_>>,
        skip: usize,
        rows: usize,
    ) -> Result<Option<(Vec<Device>, bool)>, GraphError> {
        let Some((property, date, descending)) = date_of(order).filter(|_| self.is_ordered())
        else {
            return Ok(None);
        };
        let keep = skip + rows + 1;
        if !self.is_decided_with(property) || self.is_rare(keep as u64) {
            return Ok(None);
        }
        let after = match after.map(dated_at) {
            Some(None) => return Ok(None),
            Some(after) => after,
            None => None,
        };
        let query = DateQuery {
            date,
            descending,
            range: self.seconds_between(property),
            after,
            limit: keep,
            matches: self.matches(),
        };
        let (backend, tenant) = (&self.call.api.backend, self.call.tenant());
        let _permit = self.call.api.scan_permit().await?;
        let mut found = backend.by_date(tenant, query).await?.first;
        let has_more = found.len() == keep;
        found.retain(|device| self.has(device));
        let page = found.into_iter().skip(skip).take(rows);
        Ok(Some((page.collect(), has_more)))
    }

    /// The number of matching devices, if only facets and a date of the record decide.
    pub(super) async fn count_by_date(&self) -> Result<Option<u64>, GraphError> {
        let Some((_, property, date)) =
            dates().find(|(_, property, _)| self.is_ordered() && self.is_decided_with(*property))
        else {
            return Ok(None);
        };
        let query = DateQuery {
            date,
            descending: false,
            range: self.seconds_between(property),
            after: None,
            limit: 0,
            matches: self.matches(),
        };
        let _permit = self.call.api.scan_permit().await?;
        let counted = self.call.api.backend.by_date(self.call.tenant(), query);
        Ok(Some(counted.await?.count))
    }

    /// Whether facets and limits of this date decide the whole filter.
    fn is_decided_with(&self, date: usize) -> bool {
        let facets = self.projection.facet_properties();
        let all = self.filter.as_ref().map_or(&[][..], Filter::conjuncts);
        all.iter()
            .all(|condition| condition.uses_only(&facets) || condition.is_limit_of(date))
    }

    /// Whether so few devices match by their facets that they are better read themselves.
    fn is_rare(&self, keep: u64) -> bool {
        let matches = self.matches();
        let (mut devices, mut matching) = (0, 0);
        for cell in self.call.api.backend.cells(Some(self.call.tenant())) {
            devices += cell.count;
            if matches(cell.facets.word()) {
                matching += cell.count;
            }
        }
        matching < devices && matching < devices / RARE_ONE_IN + keep
    }

    /// The seconds of a date that the filter leaves.
    fn seconds_between(&self, property: usize) -> RangeInclusive<u32> {
        let ticks = self.filter.as_ref().map(|filter| filter.between(property));
        ticks.map_or(0..=u32::MAX, |ticks| seconds_in(&ticks))
    }
}

/// The seconds whose dates are in a range of ticks. A date that has not happened is 0, and before all others.
fn seconds_in(ticks: &RangeInclusive<i64>) -> RangeInclusive<u32> {
    let (begin, end) = (*ticks.start(), *ticks.end());
    let has_never = ticks.contains(&NEVER_TICKS);
    let first =
        begin.div_euclid(TICKS_PER_SECOND) + i64::from(begin.rem_euclid(TICKS_PER_SECOND) > 0);
    let first = if has_never { 0 } else { first.max(1) };
    let last = end
        .div_euclid(TICKS_PER_SECOND)
        .max(if has_never { 0 } else { i64::MIN });
    match (
        u32::try_from(first),
        u32::try_from(last.min(u32::MAX.into())),
    ) {
        (Ok(first), Ok(last)) => first..=last,
        // They are all before 1970 or after 2106.
        _ => RangeInclusive::new(1, 0),
    }
}

/// The seconds of a date.
fn seconds(ticks: i64) -> Option<u32> {
    match ticks {
        NEVER_TICKS => Some(0),
        ticks => u32::try_from(ticks / TICKS_PER_SECOND).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_those_whose_dates_are_in_the_range() {
        let second = TICKS_PER_SECOND;
        let none = || RangeInclusive::new(1, 0);
        for (ticks, expected) in [
            (i64::MIN..=i64::MAX, 0..=u32::MAX),
            (second..=3 * second, 1..=3),
            (second + 1..=3 * second - 1, 2..=2),
            (second + 1..=second + 2, none()),
            (0..=second, 1..=1),
            (i64::MIN..=NEVER_TICKS, 0..=0),
            (NEVER_TICKS..=5 * second, 0..=5),
            (NEVER_TICKS + 1..=5 * second, 1..=5),
            (i64::MIN..=NEVER_TICKS - 1, none()),
            (10_000_000_000 * second..=i64::MAX, none()),
        ] {
            let found = seconds_in(&ticks);
            let is_same = found == expected || (found.is_empty() && expected.is_empty());
            assert!(is_same, "{ticks:?}: {found:?}");
        }
        assert_eq!(seconds(NEVER_TICKS), Some(0));
        assert_eq!(seconds(7 * second), Some(7));
    }
}
