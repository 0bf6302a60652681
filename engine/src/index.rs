//! From (tenant, device id) to the slot of a device.
//!
//! Holds slots only; the key is compared in the record itself, so the index costs about 5 bytes a
//! device. Device ids come from outside, so the hash is keyed with a seed that only this process knows.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use muster_wire::DeviceId;
use std::hash::{BuildHasher, Hasher};

use crate::device::DeviceRecord;
use crate::policy::TenantIndex;
use crate::slab::{DeviceSlab, SlotIndex};

#[derive(Debug)]
pub(crate) struct DeviceIndex {
    slots: HashTable<SlotIndex>,
    hash: FixedState,
}

impl DeviceIndex {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: HashTable::new(),
            hash: FixedState::with_seed(seed),
        }
    }

    /// The hash under which a device is kept.
    pub(crate) fn hash(&self, tenant: TenantIndex, device: &DeviceId) -> u64 {
        hash_device(&self.hash, tenant, device)
    }

    /// The slot of a device, if it is known.
    pub(crate) fn find(
        &self,
        hash: u64,
        tenant: TenantIndex,
        device: &DeviceId,
        slab: &DeviceSlab,
    ) -> Option<SlotIndex> {
        let same = |slot: &SlotIndex| is_of(slab.get(*slot), tenant, device);
        self.slots.find(hash, same).copied()
    }

    /// Number of devices.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// A slot that a device with this hash may have; seldom the wrong one.
    pub(crate) fn candidate(&self, hash: u64) -> Option<SlotIndex> {
        self.slots.find(hash, |_| true).copied()
    }

    /// Makes room for so many devices in all, so that filling the index moves nothing.
    pub(crate) fn reserve(&mut self, devices: usize, slab: &DeviceSlab) {
        let Self { slots, hash: state } = self;
        let additional = devices.saturating_sub(slots.len());
        slots.reserve(additional, |slot| hash_of(state, slab.get(*slot)));
    }

    /// Adds the slot of a device, unless the index has it already; says whether it was new.
    pub(crate) fn insert_new(
        &mut self,
        hash: u64,
        slot: SlotIndex,
        record: &DeviceRecord,
        slab: &DeviceSlab,
    ) -> bool {
        let Self { slots, hash: state } = self;
        let same = |slot: &SlotIndex| is_of(slab.get(*slot), record.tenant, &record.device_id);
        match slots.entry(hash, same, |slot| hash_of(state, slab.get(*slot))) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(slot);
                true
            }
        }
    }

    /// Adds the slot of a device that is not in the index yet.
    pub(crate) fn insert(&mut self, hash: u64, slot: SlotIndex, slab: &DeviceSlab) {
        let Self { slots, hash: state } = self;
        slots.insert_unique(hash, slot, |slot| hash_of(state, slab.get(*slot)));
    }

    /// Forgets a slot, which nothing but damage does.
    #[cfg(test)]
    pub(crate) fn remove(&mut self, hash: u64, slot: SlotIndex) {
        if let Ok(entry) = self.slots.find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
    }
}

fn is_of(record: &DeviceRecord, tenant: TenantIndex, device: &DeviceId) -> bool {
    record.device_id == *device && record.tenant == tenant
}

fn hash_of(state: &FixedState, record: &DeviceRecord) -> u64 {
    hash_device(state, record.tenant, &record.device_id)
}

fn hash_device(state: &FixedState, tenant: TenantIndex, device: &DeviceId) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_u128(u128::from_le_bytes(*device.as_bytes()));
    hasher.write_u16(tenant);
    hasher.finish()
}
