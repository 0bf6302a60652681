//! Finding devices, many at a time: index and records lie all over memory, and the processor can wait for
//! many cache misses side by side if nothing in between depends on what they bring.
//!
//! Hot path, of check-ins as of recovery: no allocation. Decides nothing.

use muster_wire::DeviceId;

use super::Shard;
use crate::ids::{SlotIndex, TenantIndex};

/// How many devices are looked up before the first of them is applied.
pub(super) const LOOKAHEAD: usize = 32;

/// What was found of a device.
#[derive(Clone, Copy, Default)]
pub(super) struct Lookup {
    pub(super) hash: u64,
    pub(super) slot: Option<SlotIndex>,
}

impl Shard {
    /// Reads a word of every record that these hashes may be of, index first, then records, with no
    /// branch in between that depends on what was read. Changes nothing and decides nothing; a wrong
    /// candidate costs a wasted read.
    pub(super) fn prefetch(&self, lookups: &[Lookup]) {
        let mut candidates = [SlotIndex(0); LOOKAHEAD];
        for (candidate, lookup) in candidates.iter_mut().zip(lookups) {
            *candidate = self.index.candidate(lookup.hash).unwrap_or_default();
        }
        self.bring_slots_near(candidates.into_iter());
    }

    /// Reads a word of the record in each of these slots, which need not exist.
    pub(super) fn bring_slots_near(&self, slots: impl Iterator<Item = SlotIndex>) {
        let touched = slots.fold(0, |sum, slot| sum ^ self.devices.touch(slot));
        // Keeps the reads, whose values nobody needs.
        std::hint::black_box(touched);
    }

    /// Finds a device.
    pub(super) fn look_up(&self, tenant: TenantIndex, device_id: &DeviceId) -> Lookup {
        let hash = self.index.hash(tenant, device_id);
        Lookup {
            hash,
            slot: self.index.find(hash, tenant, device_id, &self.devices),
        }
    }
}
