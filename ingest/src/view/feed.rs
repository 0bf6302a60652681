//! The change feed of a tenant: its latest transitions, in the order in which they became durable.
//!
//! Owned by the tenant's part of the view, under its lock. Bounded by [`CHANGES_MAX`] and by [`AGE_MAX_SECONDS`], for
//! each tenant by itself, so that one whose devices change all the time takes nothing from what another can read. In
//! memory only: a reader that asks for older changes, or for those of an earlier run of the server, has to list anew.

use std::collections::VecDeque;

use muster_api::{DeviceChange, TooOld};
use muster_engine::Transition;
use muster_wire::DeviceId;

use super::packed::{pack, unpack};

/// Changes of one tenant. Beyond that the oldest is evicted.
pub(crate) const CHANGES_MAX: usize = 1 << 17;

/// Age at which a change leaves the feed, in seconds: a day.
pub(super) const AGE_MAX_SECONDS: u32 = 86_400;

/// A change, without its position.
#[derive(Clone, Copy, Debug)]
struct Entry {
    device_id: DeviceId,
    before: u64,
    after: u64,
    /// Service time of its batch in seconds.
    at: u32,
}

/// Memory of a change.
pub(crate) const CHANGE_BYTES: usize = size_of::<Entry>();

/// What entered and left a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turnover {
    /// Changes that entered.
    pub(super) entered: u64,
    /// Changes that left because they were too old.
    pub(super) expired: u64,
    /// Changes that left because there were too many.
    pub(super) evicted: u64,
}

impl std::ops::AddAssign for Turnover {
    fn add_assign(&mut self, other: Self) {
        self.entered += other.entered;
        self.expired += other.expired;
        self.evicted += other.evicted;
    }
}

/// The feed of one tenant.
#[derive(Debug)]
pub(super) struct Feed {
    /// Position of the oldest change in it.
    first: u64,
    changes: VecDeque<Entry>,
    changes_max: usize,
}

impl Feed {
    /// An empty feed whose first change will have the position `first`.
    pub(super) fn new(first: u64, changes_max: usize) -> Self {
        Self {
            first,
            changes: VecDeque::new(),
            changes_max: changes_max.max(1),
        }
    }

    /// Appends the transitions of a batch.
    pub(super) fn append<'a>(
        &mut self,
        transitions: impl IntoIterator<Item = &'a Transition>,
        at: u32,
    ) -> Turnover {
        let mut turnover = Turnover::default();
        let is_expired = |entry: &Entry| entry.at.saturating_add(AGE_MAX_SECONDS) <= at;
        while self.changes.front().is_some_and(is_expired) {
            self.drop_oldest();
            turnover.expired += 1;
        }
        for transition in transitions {
            if self.changes.len() == self.changes_max {
                self.drop_oldest();
                turnover.evicted += 1;
            }
            self.changes.push_back(Entry {
                device_id: transition.device_id,
                before: pack(transition.before),
                after: pack(transition.after),
                at,
            });
            turnover.entered += 1;
        }
        turnover
    }

    /// Drops all changes, and returns how many.
    pub(super) fn clear(&mut self) -> u64 {
        let dropped = std::mem::take(&mut self.changes).len() as u64;
        self.first += dropped;
        dropped
    }

    fn drop_oldest(&mut self) {
        self.changes.pop_front();
        self.first += 1;
    }

    /// The position that the next change will have.
    pub(super) fn head(&self) -> u64 {
        self.first + self.changes.len() as u64
    }

    /// Up to `limit` changes from a position on.
    pub(super) fn since(&self, position: u64, limit: usize) -> Result<Vec<DeviceChange>, TooOld> {
        if position > self.head() {
            return Err(TooOld);
        }
        let skipped = position.checked_sub(self.first).ok_or(TooOld)?;
        // Fits: it is at most the number of changes.
        let entries = self.changes.range(skipped as usize..).take(limit);
        let changes = (position..)
            .zip(entries)
            .map(|(position, entry)| DeviceChange {
                position,
                device_id: entry.device_id,
                before: unpack(entry.before),
                after: unpack(entry.after),
                at: entry.at,
            });
        Ok(changes.collect())
    }
}

#[cfg(test)]
mod tests {
    use muster_engine::{FacetWord, ProfileId, SlotIndex, TenantIndex};

    use super::*;

    fn transition(number: u8) -> Transition {
        Transition {
            slot: SlotIndex(0),
            device_id: DeviceId::from_bytes([number; 16]),
            tenant: TenantIndex(0),
            before: None,
            after: Some(FacetWord(number.into())),
            profile: ProfileId(0),
            has_new_inventory: false,
        }
    }

    /// Positions and facets from a position on.
    fn since(feed: &Feed, position: u64, limit: usize) -> Option<Vec<(u64, u64)>> {
        let changes = feed.since(position, limit).ok()?;
        let changes = changes.iter().map(|change| (change.position, change.after));
        changes
            .map(|(position, after)| Some((position, after?.0)))
            .collect()
    }

    #[test]
    fn a_reader_that_continues_at_the_head_misses_nothing() {
        let mut feed = Feed::new(100, 10);
        assert_eq!((feed.head(), since(&feed, 100, 9)), (100, Some(vec![])));
        feed.append(&[1, 2, 3].map(transition), 7);
        assert_eq!(since(&feed, 100, 2), Some(vec![(100, 1), (101, 2)]));
        assert_eq!(since(&feed, 102, 2), Some(vec![(102, 3)]));
        assert_eq!((feed.head(), since(&feed, 103, 2)), (103, Some(vec![])));
        for of_another_run in [0, 99, 104, u64::MAX] {
            assert_eq!(since(&feed, of_another_run, 9), None, "{of_another_run}");
        }
    }

    #[test]
    fn the_oldest_changes_leave_by_number_and_by_age() {
        let mut feed = Feed::new(0, 3);
        let turnover = feed.append(&[1, 2, 3, 4].map(transition), 7);
        let expected = Turnover {
            entered: 4,
            evicted: 1,
            expired: 0,
        };
        assert_eq!(turnover, expected);
        assert_eq!((since(&feed, 0, 9), feed.changes.len()), (None, 3));
        assert_eq!(since(&feed, 1, 9), Some(vec![(1, 2), (2, 3), (3, 4)]));
        // The clock may be set back.
        let turnover = feed.append(&[transition(5)], 6);
        assert_eq!((turnover.expired, turnover.evicted), (0, 1));
        let turnover = feed.append(&[transition(6)], 7 + AGE_MAX_SECONDS);
        assert_eq!((turnover.expired, turnover.evicted), (3, 0));
        assert_eq!(since(&feed, 4, 9), None);
        assert_eq!(since(&feed, 5, 9), Some(vec![(5, 6)]));
    }
}
