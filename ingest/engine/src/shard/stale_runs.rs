//! Devices whose check-ins are stale, and since when: for operators, no rule reads it.
//!
//! Beside the records, so that an accepted check-in pays nothing: a run ends when the seq of its device has changed, which
//! is noticed when somebody asks. Bounded by [`RUNS_MAX`]. Not durable: after a restart a run begins with its next stale
//! check-in.

use std::collections::BTreeMap;

use muster_wire::DeviceId;

use crate::ids::{SlotIndex, TenantIndex};

/// Devices of a shard that are remembered, 64 KiB. Further ones are not; the metric of stale records counts them.
const RUNS_MAX: usize = 1024;

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

/// The runs of a shard, by slot.
#[derive(Debug, Default)]
pub(super) struct StaleRuns(BTreeMap<SlotIndex, Run>);

impl StaleRuns {
    /// Notes a stale check-in of the device in a slot, which has this seq.
    #[cold]
    pub(super) fn note(&mut self, slot: SlotIndex, seq: u64, now: u32) {
        let has_room = self.0.len() < RUNS_MAX;
        let known = self.0.get(&slot);
        if known.map_or(has_room, |run| run.seq != seq) {
            self.0.insert(slot, Run { seq, since: now });
        }
    }

    /// The slots that are remembered, in order.
    pub(super) fn slots(&self) -> impl Iterator<Item = SlotIndex> + '_ {
        self.0.keys().copied()
    }

    /// Since when the check-ins of the device in a slot are stale; `None` if its last one was not.
    pub(super) fn since(&self, slot: SlotIndex, seq: u64) -> Option<u32> {
        let run = self.0.get(&slot)?;
        (run.seq == seq).then_some(run.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_keeps_its_begin_until_the_seq_changes() {
        let (mut runs, slot) = (StaleRuns::default(), SlotIndex(3));
        runs.note(slot, 9, 100);
        runs.note(slot, 9, 200);
        assert_eq!(
            (runs.since(slot, 9), runs.since(slot, 10)),
            (Some(100), None)
        );
        runs.note(slot, 10, 300);
        assert_eq!(runs.since(slot, 10), Some(300));
        assert_eq!(runs.since(SlotIndex(4), 9), None);
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let mut runs = StaleRuns::default();
        for slot in 0..2 * RUNS_MAX as u32 {
            runs.note(SlotIndex(slot), 1, 1);
        }
        assert_eq!(runs.0.len(), RUNS_MAX);
    }
}
