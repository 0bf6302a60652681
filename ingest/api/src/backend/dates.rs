//! What a list in the order of a date asks the shards for.
//!
//! Pure. A shard thread evaluates it for every record, so it allocates nothing.

use std::fmt;
use std::ops::RangeInclusive;

use muster_engine::{ColdRecord, DeviceRecord, FacetWord};
use muster_wire::DeviceId;

use super::{Device, Position};

/// A date of a device, in seconds since the epoch; 0 if it has not happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Date {
    /// Its last check-in.
    LastCheckIn,
    /// Its first record.
    FirstSeen,
}

/// Which devices are wanted, and in which order: by the date, then by the id.
pub struct DateQuery {
    /// The date.
    pub date: Date,
    /// Whether late dates are first. Ids always ascend.
    pub descending: bool,
    /// The dates that are wanted.
    pub range: RangeInclusive<u32>,
    /// Only devices behind this one.
    pub after: Option<(u32, DeviceId)>,
    /// The most that are wanted. With 0 they are only counted.
    pub limit: usize,
    /// Whether devices with these facets are wanted.
    pub matches: Box<dyn Fn(FacetWord) -> bool + Send + Sync>,
}

impl fmt::Debug for DateQuery {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DateQuery")
            .field("date", &self.date)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A device that is wanted. Those that come first are less than the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dated {
    /// The date, so that an earlier place in the order is a lower number.
    pub key: u32,
    /// The device.
    pub device_id: DeviceId,
    /// Where it is.
    pub position: Position,
}

impl DateQuery {
    /// The key of a device.
    #[must_use]
    pub fn key(&self, record: &DeviceRecord, cold: &ColdRecord) -> u32 {
        let date = match self.date {
            Date::LastCheckIn => record.last_check_in,
            Date::FirstSeen => cold.first_seen,
        };
        turned(date, self.descending)
    }

    /// Whether a device is among the first ones, as far as its date says, if `last` is the last of `count` that were
    /// found so far.
    #[must_use]
    pub fn wants(&self, dated: &Dated, last: Option<&Dated>, count: usize) -> bool {
        let is_early =
            count < self.limit || self.limit == 0 || last.is_some_and(|last| dated < last);
        let is_behind = self.after.is_none_or(|(date, device_id)| {
            (turned(date, self.descending), device_id) < (dated.key, dated.device_id)
        });
        is_early && is_behind && self.range.contains(&turned(dated.key, self.descending))
    }
}

/// The key of a date, and the date of a key.
const fn turned(date: u32, descending: bool) -> u32 {
    if descending { !date } else { date }
}

/// The first devices of an order, and how many there are.
#[derive(Clone, Debug, Default)]
pub struct DatedDevices {
    /// In the order of the query, at most its limit, as they were when their shards were asked.
    pub first: Vec<Device>,
    /// With a limit of 0: the number of all that are wanted.
    pub count: u64,
}
