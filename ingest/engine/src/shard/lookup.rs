//! Batched device lookup with prefetch: index entries and records are scattered over memory, and the processor overlaps
//! cache misses as long as no instruction between them depends on the data.
//!
//! Hot path of check-ins and of recovery: no allocation. Bounded by [`LOOKAHEAD`]. Changes no state.

use muster_wire::DeviceId;

use super::Shard;
use crate::ids::{SlotIndex, TenantIndex};

/// Devices that are looked up before the first of them is applied.
pub(super) const LOOKAHEAD: usize = 32;

/// The result of a device lookup.
#[derive(Clone, Copy, Default)]
pub(super) struct Lookup {
    pub(super) hash: u64,
    pub(super) slot: Option<SlotIndex>,
}

impl Shard {
    /// Prefetches the candidate records of these hashes: first the index entries, then the records, with no branch on
    /// the data in between. A wrong candidate costs one wasted read.
    pub(super) fn prefetch(&self, lookups: &[Lookup]) {
        let mut candidates = [SlotIndex(0); LOOKAHEAD];
        for (candidate, lookup) in candidates.iter_mut().zip(lookups) {
            *candidate = self.index.candidate(lookup.hash).unwrap_or_default();
        }
        self.prefetch_slots(candidates.into_iter());
    }

    /// Prefetches the records in these slots. A slot that does not exist is skipped.
    pub(super) fn prefetch_slots(&self, slots: impl Iterator<Item = SlotIndex>) {
        let touched = slots.fold(0, |sum, slot| sum ^ self.devices.touch(slot));
        // Without this the compiler removes the reads, whose values are unused.
        std::hint::black_box(touched);
    }

    /// Looks up one device.
    pub(super) fn look_up(&self, tenant: TenantIndex, device_id: &DeviceId) -> Lookup {
        let hash = self.index.hash(tenant, device_id);
        Lookup {
            hash,
            slot: self.index.find(hash, tenant, device_id, &self.devices),
        }
    }
}
