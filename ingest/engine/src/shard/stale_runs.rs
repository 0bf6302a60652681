//! Devices whose check-ins are stale, and since when: for operators; no rule uses it.
//!
//! Beside the records, so that an accepted check-in pays nothing: a run ends when the seq of its device has changed,
//! which is noticed when somebody asks, or when there is no room for another one. Bounded by [`RUNS_MAX`], of which
//! each tenant has a share, so that no tenant hides the devices of another. Not durable: after a restart a run begins
//! with its next stale check-in.

use std::collections::BTreeMap;

use muster_wire::DeviceId;

use crate::ids::{SlotIndex, TenantIndex};

/// Devices of a shard that are remembered, 8 KiB; one for each tenant if there are more tenants. Further ones are not
/// remembered; the metric of stale records counts them.
const RUNS_MAX: usize = 128;

/// A device whose check-ins are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleDevice {
    /// Its tenant.
    pub tenant: TenantIndex,
    /// Its id.
    pub device_id: DeviceId,
    /// Its stored seq.
    pub seq: u64,
    /// When the first stale check-in after an accepted one came, in seconds.
    pub since: u32,
}

/// Consecutive stale check-ins of one device.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The seq of the device during the run.
    seq: u64,
    /// When the first of them came, in seconds.
    since: u32,
}

/// The runs of a tenant, by slot.
#[derive(Debug, Default)]
struct Runs {
    by_slot: BTreeMap<SlotIndex, Run>,
    /// Stale check-ins that found no room since the runs were last searched for those that have ended.
    refused: usize,
}

/// The runs of a shard, by tenant.
#[derive(Debug, Default)]
pub(super) struct StaleRuns(BTreeMap<TenantIndex, Runs>);

impl StaleRuns {
    /// Notes a stale check-in of the device in a slot, which has this seq. `tenants` is the number of all tenants;
    /// `seq_of` returns the seq of the device in a slot.
    #[cold]
    pub(super) fn note(
        &mut self,
        (tenant, tenants): (TenantIndex, usize),
        (slot, seq): (SlotIndex, u64),
        now: u32,
        seq_of: impl Fn(SlotIndex) -> u64,
    ) {
        let share = (RUNS_MAX / tenants.max(1)).max(1);
        let runs = self.0.entry(tenant).or_default();
        if runs.make_room(slot, share, seq_of) {
            let run = Run { seq, since: now };
            let known = runs.by_slot.entry(slot).or_insert(run);
            if known.seq != seq {
                *known = run;
            }
        }
    }

    /// Forgets the run of a slot, whose device is gone.
    pub(super) fn forget(&mut self, tenant: TenantIndex, slot: SlotIndex) {
        if let Some(runs) = self.0.get_mut(&tenant) {
            runs.by_slot.remove(&slot);
        }
    }

    /// The slots that are remembered, in order by tenant.
    pub(super) fn slots(&self) -> impl Iterator<Item = SlotIndex> + '_ {
        self.0
            .values()
            .flat_map(|runs| runs.by_slot.keys().copied())
    }

    /// Since when the check-ins of the device in a slot are stale; `None` if its last one was not.
    pub(super) fn since(&self, tenant: TenantIndex, slot: SlotIndex, seq: u64) -> Option<u32> {
        let run = self.0.get(&tenant)?.by_slot.get(&slot)?;
        (run.seq == seq).then_some(run.since)
    }
}

impl Runs {
    /// Whether there is room for the run of a slot. A full share is searched for runs that have ended once for every
    /// `share` stale check-ins that found no room, so that each costs as much as a lookup.
    fn make_room(
        &mut self,
        slot: SlotIndex,
        share: usize,
        seq_of: impl Fn(SlotIndex) -> u64,
    ) -> bool {
        if self.by_slot.len() < share || self.by_slot.contains_key(&slot) {
            return true;
        }
        self.refused += 1;
        if self.refused < share {
            return false;
        }
        self.refused = 0;
        self.by_slot.retain(|slot, run| seq_of(*slot) == run.seq);
        self.by_slot.len() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: (TenantIndex, usize) = (TenantIndex(0), 1);

    /// A run of every slot from `slots`, whose devices have seq 1.
    fn note_all(runs: &mut StaleRuns, of: (TenantIndex, usize), slots: std::ops::Range<u32>) {
        for slot in slots.map(SlotIndex) {
            runs.note(of, (slot, 1), 7, |_| 1);
        }
    }

    fn len(runs: &StaleRuns) -> usize {
        runs.slots().count()
    }

    #[test]
    fn a_run_keeps_its_begin_until_the_seq_changes() {
        let (mut runs, slot) = (StaleRuns::default(), SlotIndex(3));
        runs.note(ONE, (slot, 9), 100, |_| 9);
        runs.note(ONE, (slot, 9), 200, |_| 9);
        let since = |runs: &StaleRuns, slot, seq| runs.since(ONE.0, slot, seq);
        assert_eq!(
            (since(&runs, slot, 9), since(&runs, slot, 10)),
            (Some(100), None)
        );
        runs.note(ONE, (slot, 10), 300, |_| 10);
        assert_eq!(since(&runs, slot, 10), Some(300));
        assert_eq!(since(&runs, SlotIndex(4), 9), None);
        assert_eq!(runs.since(TenantIndex(1), slot, 10), None);
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let mut runs = StaleRuns::default();
        note_all(&mut runs, ONE, 0..3 * RUNS_MAX as u32);
        assert_eq!(len(&runs), RUNS_MAX);
    }

    #[test]
    fn a_tenant_that_fills_its_share_leaves_those_of_the_others() {
        let (mut runs, slot) = (StaleRuns::default(), SlotIndex(5000));
        note_all(&mut runs, (TenantIndex(0), 2), 0..4000);
        assert_eq!(len(&runs), RUNS_MAX / 2);
        runs.note((TenantIndex(1), 2), (slot, 1), 9, |_| 1);
        assert_eq!(runs.since(TenantIndex(1), slot, 1), Some(9));
        let many = StaleRuns::default();
        let many = (0..2000).fold(many, |mut many, tenant| {
            note_all(&mut many, (TenantIndex(tenant), 2000), 0..3);
            many
        });
        assert_eq!(len(&many), 2000, "one for each tenant");
    }

    #[test]
    fn runs_that_have_ended_make_room_for_others() {
        let mut runs = StaleRuns::default();
        let (max, new) = (RUNS_MAX as u32, SlotIndex(9999));
        note_all(&mut runs, ONE, 0..max);
        // All but the first two have continued since.
        let seq_of = |slot: SlotIndex| if slot.0 < 2 || slot == new { 1 } else { 2 };
        for _ in 0..RUNS_MAX {
            runs.note(ONE, (new, 1), 9, seq_of);
        }
        assert_eq!(runs.since(ONE.0, new, 1), Some(9));
        assert_eq!(len(&runs), 3);
        assert_eq!(runs.since(ONE.0, SlotIndex(1), 1), Some(7));
    }
}
