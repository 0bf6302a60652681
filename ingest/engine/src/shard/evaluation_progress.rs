//! Whether the cell of every device agrees with the policy in force.
//!
//! A check-in is evaluated at once. But a full cell table leaves a device in its cell when the policy or the time would
//! move it ([`Shard::apply_policy`](super::Shard::apply_policy)), and a recovery may bring such devices back. So
//! agreement is known only after all slots have been evaluated in turn and no device was left behind; the sweep does
//! that every minute. Until then no verdict is taken from the cell of a device. Owned by the shard.

use std::ops::Range;

use crate::ids::SlotIndex;

/// Starts as incomplete.
#[derive(Debug, Default)]
pub(super) struct EvaluationProgress {
    complete: bool,
    /// All slots below were evaluated in turn, and no device was left behind.
    through: SlotIndex,
}

impl EvaluationProgress {
    /// Whether the facets of every cell are those that an evaluation would give now, except for the sensor state.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Records that `slots` were evaluated; `end` is the end of all slots.
    pub(super) fn record(&mut self, slots: Range<SlotIndex>, end: SlotIndex, left_behind: bool) {
        if left_behind {
            // The rest of this round does not follow on evaluated slots: progress starts with the next round.
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
    fn a_device_that_is_left_behind_takes_another_round() {
        let mut progress = EvaluationProgress::default();
        progress.record(slots(0, 200), END, false);
        progress.record(slots(0, 100), END, true);
        assert!(!progress.is_complete());
        progress.record(slots(100, 200), END, false);
        assert!(!progress.is_complete(), "a device below was left behind");
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
