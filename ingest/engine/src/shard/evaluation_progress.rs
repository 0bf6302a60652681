//! Whether the cell of every device agrees with the policy in force.
//!
//! A check-in is evaluated on arrival. But when a policy change or the passing of time would move a device to another
//! cell, a full cell table keeps it where it is ([`Shard::apply_policy`](super::Shard::apply_policy)), and a recovery
//! may restore such devices. So agreement is established only by a pass over all slots that moves every device it has
//! to; the sweep makes one every minute. Until then the facets of a cell are not reused. Owned by the shard; constant
//! size.

use std::ops::Range;

use crate::ids::SlotIndex;

/// Progress of the pass over all slots. Initially incomplete.
#[derive(Debug, Default)]
pub(super) struct EvaluationProgress {
    complete: bool,
    /// All slots below were evaluated in this pass, and every device was moved that had to be.
    through: SlotIndex,
}

impl EvaluationProgress {
    /// Whether reevaluating any device would leave it in its cell, apart from the sensor state.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Records that `slots` were evaluated; `end` is one past the last slot, `not_moved` whether a device stayed in its
    /// cell because the cell table is full.
    pub(super) fn record(&mut self, slots: Range<SlotIndex>, end: SlotIndex, not_moved: bool) {
        if not_moved {
            // The next slots do not continue a run from slot 0: progress starts with the next pass.
            *self = Self::default();
            return;
        }
        if slots.start <= self.through {
            self.through = slots.end;
        }
        self.complete |= self.through >= end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: SlotIndex = SlotIndex(200);

    fn slots(start: u32, end: u32) -> Range<SlotIndex> {
        SlotIndex(start)..SlotIndex(end)
    }

    #[test]
    fn progress_is_complete_once_every_slot_was_evaluated_in_turn() {
        let mut progress = EvaluationProgress::default();
        progress.record(slots(0, 100), END, false);
        assert!(!progress.is_complete());
        progress.record(slots(100, 200), END, false);
        assert!(progress.is_complete());
    }

    #[test]
    fn a_device_that_was_not_moved_takes_another_pass() {
        let mut progress = EvaluationProgress::default();
        progress.record(slots(0, 200), END, false);
        progress.record(slots(0, 100), END, true);
        assert!(!progress.is_complete());
        progress.record(slots(100, 200), END, false);
        assert!(!progress.is_complete(), "a device below was not moved");
        progress.record(slots(0, 100), END, false);
        assert!(!progress.is_complete());
        progress.record(slots(100, 200), END, false);
        assert!(progress.is_complete());
    }

    #[test]
    fn a_shard_without_devices_is_complete() {
        let mut progress = EvaluationProgress::default();
        progress.record(slots(0, 0), SlotIndex(0), false);
        assert!(progress.is_complete());
    }
}
