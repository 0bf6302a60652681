//! The column of deadlines: for every slot, the second at which time alone may change its device (design D26).
//!
//! A deadline is a lower bound: a check-in that only postpones the change leaves it alone, and a device that is found
//! due early gets a later one. Derived from the records, and kept in memory only. Owned by the slab's shard; 4 bytes for
//! each slot. Does not evaluate.

use crate::device::DEVICE_BYTES;
use crate::ids::SlotIndex;
use crate::slab::CHUNK_RECORDS;

/// The deadline of a device that time alone does not change, and of an empty slot.
pub(crate) const NEVER: u32 = u32::MAX;

/// Memory of a slot: the records of a device and its deadline.
pub const SLOT_BYTES: usize = DEVICE_BYTES + size_of::<u32>();

/// Deadlines whose minimum is compared at once.
const BLOCK: usize = 64;

/// The deadlines of one shard, by slot. Grows by chunks, as the records do.
#[derive(Debug, Default)]
pub(crate) struct Deadlines(Vec<Box<[u32; CHUNK_RECORDS]>>);

impl Deadlines {
    /// Sets the deadline of a slot.
    pub(crate) fn set(&mut self, SlotIndex(slot): SlotIndex, deadline: u32) {
        let (chunk, offset) = (slot as usize / CHUNK_RECORDS, slot as usize % CHUNK_RECORDS);
        while self.0.len() <= chunk {
            let empty = vec![NEVER; CHUNK_RECORDS].into_boxed_slice();
            let empty = empty.try_into().ok();
            self.0
                .push(empty.expect("the slice has the length of a chunk"));
        }
        self.0[chunk][offset] = deadline;
    }

    /// The deadline of a slot.
    pub(crate) fn get(&self, SlotIndex(slot): SlotIndex) -> u32 {
        let chunk = self.0.get(slot as usize / CHUNK_RECORDS);
        chunk.map_or(NEVER, |chunk| chunk[slot as usize % CHUNK_RECORDS])
    }

    /// The first slot from `from` whose deadline is `now` or earlier.
    pub(crate) fn next_due(&self, from: SlotIndex, now: u32) -> Option<SlotIndex> {
        let mut slot = from.0 as usize;
        while let Some(chunk) = self.0.get(slot / CHUNK_RECORDS) {
            let offset = slot % CHUNK_RECORDS;
            let block_end = (offset / BLOCK + 1) * BLOCK;
            let block = &chunk[offset..block_end];
            // The minimum first: it takes no branch for each deadline, and hardly any block has a device that is due.
            if block.iter().fold(NEVER, |min, at| min.min(*at)) <= now {
                let found = block.iter().position(|at| *at <= now);
                return found.map(|found| SlotIndex((slot + found) as u32));
            }
            slot += block.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_slots_are_found_in_order() {
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.next_due(SlotIndex(0), 9), None);
        let last = SlotIndex(3 * CHUNK_RECORDS as u32 - 1);
        for (slot, at) in [
            (SlotIndex(3), 5),
            (SlotIndex(64), 9),
            (last, 1),
            (SlotIndex(70), 10),
        ] {
            deadlines.set(slot, at);
        }
        let mut found = Vec::new();
        let mut from = SlotIndex(0);
        while let Some(slot) = deadlines.next_due(from, 9) {
            found.push(slot.0);
            from = SlotIndex(slot.0 + 1);
        }
        assert_eq!(found, [3, 64, last.0]);
        assert_eq!(deadlines.next_due(SlotIndex(u32::MAX), 9), None);
        assert_eq!(deadlines.get(SlotIndex(u32::MAX)), NEVER);
        assert_eq!(deadlines.get(SlotIndex(70)), 10);
    }
}
