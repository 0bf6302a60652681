//! Whether every device is filed as the policy in force says.
//!
//! Who checks in is judged at once. But a full cell table leaves a device where it is when the policy or the time moves
//! it ([`Shard::apply_policy`](super::Shard::apply_policy)), and a recovery may bring such devices back. So this is
//! known only after all slots have been judged in turn, and none was left behind; a sweep does that every minute.
//! Until then no verdict is taken over from the cell of a device. Owned by the shard; decides nothing else.

use std::ops::Range;

use crate::ids::SlotIndex;

/// Begins as not known.
#[derive(Debug, Default)]
pub(super) struct Judged {
    all: bool,
    /// Slots below have been judged one after the other, and none was left behind.
    through: SlotIndex,
}

impl Judged {
    /// Whether what was derived for a cell is what would be derived now, but for the state of the sensor.
    pub(super) fn all(&self) -> bool {
        self.all
    }

    /// Some of the slots up to `end` have been judged.
    pub(super) fn note(&mut self, slots: Range<SlotIndex>, end: SlotIndex, left_behind: bool) {
        if left_behind {
            // The rest of this round no longer follows on what was judged: it counts from the next one on.
            *self = Self::default();
            return;
        }
        if slots.start <= self.through {
            self.through = slots.end;
        }
        self.all |= self.through >= end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_judged_once_every_slot_was_in_turn() {
        let mut judged = Judged::default();
        judged.note(SlotIndex(0)..SlotIndex(100), SlotIndex(200), false);
        assert!(!judged.all());
        judged.note(SlotIndex(100)..SlotIndex(200), SlotIndex(200), false);
        assert!(judged.all());
    }

    #[test]
    fn one_that_is_left_behind_takes_another_round() {
        let mut judged = Judged::default();
        judged.note(SlotIndex(0)..SlotIndex(200), SlotIndex(200), false);
        judged.note(SlotIndex(0)..SlotIndex(100), SlotIndex(200), true);
        assert!(!judged.all());
        judged.note(SlotIndex(100)..SlotIndex(200), SlotIndex(200), false);
        assert!(!judged.all(), "the slots before were not all filed");
        judged.note(SlotIndex(0)..SlotIndex(100), SlotIndex(200), false);
        assert!(!judged.all());
        judged.note(SlotIndex(100)..SlotIndex(200), SlotIndex(200), false);
        assert!(judged.all());
    }

    #[test]
    fn nobody_is_judged_at_once() {
        let mut judged = Judged::default();
        judged.note(SlotIndex(0)..SlotIndex(0), SlotIndex(0), false);
        assert!(judged.all());
    }
}
