//! From (tenant, device id) to the slot of a device.
//!
//! Holds slots only; the key is compared in the record itself, so the index costs 5 bytes for each entry of the table.
//! Device ids come from outside, so the hash is keyed with a seed that only this process knows.
//!
//! The check-ins of a thread wait while a table grows. So it is filled again from the records in order, which is some
//! times faster than moving its entries, which refer to records all over the memory. And shards have about as many
//! devices, so while a fleet enrols the tables of a thread would all be full at the same time: each shard keeps
//! another part of its table empty, from none to a quarter.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use muster_wire::DeviceId;
use std::hash::{BuildHasher, Hasher};

use crate::device::DeviceRecord;
use crate::ids::{ShardId, SlotIndex, TenantIndex};
use crate::shard_map::SHARDS;
use crate::slab::DeviceSlab;

/// A table has room for `UNIT` entries, and a number below [`SPARES`] more, for each `UNIT` devices.
const UNIT: usize = 3 * SPARES;

/// As many as there are shards: each has another number.
const SPARES: usize = SHARDS as usize;

/// Difference between the numbers of consecutive shards, which one thread has: those of a few are far apart.
const SPARES_STEP: usize = 29;

/// A table is filled again with room for one more device for each of this many: an index whose devices come and go has
/// entries that cannot be used, and would otherwise soon be full again.
const DEVICES_PER_FREE: usize = 8;

/// Maximum size of the tables of all shards in bytes. The size of a table is a power of two, and it may be full to seven
/// eighths, so it has up to 16/7 of the slots for which it has room, of 5 bytes each.
#[must_use]
pub const fn index_bytes_max(devices: u64) -> u64 {
    const EMPTY: u64 = SHARDS as u64 * 128;
    let with_free = devices + devices / DEVICES_PER_FREE as u64;
    let room = with_free * (UNIT + SPARES) as u64 / UNIT as u64;
    room * 16 / 7 * 5 + EMPTY
}

#[derive(Debug)]
pub(crate) struct DeviceIndex {
    slots: HashTable<SlotIndex>,
    /// The table grows before it has more devices.
    devices_max: usize,
    /// Entries for each [`UNIT`] devices.
    room: usize,
    hash: FixedState,
}

impl DeviceIndex {
    pub(crate) fn new(shard: ShardId, seed: u64) -> Self {
        Self {
            slots: HashTable::new(),
            devices_max: 0,
            room: UNIT + usize::from(shard.0) * SPARES_STEP % SPARES,
            hash: FixedState::with_seed(seed),
        }
    }

    /// The hash of a device.
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

    /// A slot that a device with this hash may have; rarely the wrong one.
    pub(crate) fn candidate(&self, hash: u64) -> Option<SlotIndex> {
        self.slots.find(hash, |_| true).copied()
    }

    /// Empties the index, with room for this many devices.
    pub(crate) fn empty(&mut self, devices: usize) {
        self.slots = HashTable::new(); // frees the memory of the old table first
        self.slots = HashTable::with_capacity((devices * self.room).div_ceil(UNIT));
        self.devices_max = self.slots.capacity() * UNIT / self.room;
    }

    /// Adds the slot of a device, unless the index has it already; returns whether it was new.
    pub(crate) fn insert_new(
        &mut self,
        hash: u64,
        slot: SlotIndex,
        record: &DeviceRecord,
        slab: &DeviceSlab,
    ) -> bool {
        let Self {
            slots, hash: state, ..
        } = self;
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
        // The capacity is lower if there are entries of removed devices.
        let devices = self.slots.len();
        if devices >= self.devices_max.min(self.slots.capacity()) {
            self.empty(devices + devices / DEVICES_PER_FREE + 1);
            for known in slab.occupied().filter(|known| *known != slot) {
                self.insert_unique(hash_of(&self.hash, slab.get(known)), known, slab);
            }
        }
        self.insert_unique(hash, slot, slab);
    }

    fn insert_unique(&mut self, hash: u64, slot: SlotIndex, slab: &DeviceSlab) {
        let state = &self.hash;
        let of_known = |slot: &SlotIndex| hash_of(state, slab.get(*slot));
        self.slots.insert_unique(hash, slot, of_known);
    }

    /// Removes a slot.
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
    hasher.write_u16(tenant.0);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ColdRecord;

    fn index(shard: u16) -> DeviceIndex {
        DeviceIndex::new(ShardId(shard), 7)
    }

    fn add(index: &mut DeviceIndex, slab: &mut DeviceSlab, number: u32) -> SlotIndex {
        let device_id = DeviceId::from_bytes(u128::from(number + 1).to_le_bytes());
        let record = DeviceRecord {
            device_id,
            ..DeviceRecord::default()
        };
        let slot = slab.insert(record, ColdRecord::default());
        index.insert(index.hash(record.tenant, &device_id), slot, slab);
        slot
    }

    /// The memory bound of the server depends on it.
    #[test]
    fn devices_that_come_and_go_are_found_in_bounded_memory() {
        const COME: u32 = 20_000;
        for shard in [0, 1, 5, 47] {
            let (mut index, mut slab) = (index(shard), DeviceSlab::default());
            let (mut slots, mut devices_max) = (Vec::new(), 0);
            for number in 0..COME {
                slots.push(add(&mut index, &mut slab, number));
                // After the first half each one replaces an older one.
                if number >= COME / 2 {
                    let slot = slots[(number - COME / 2) as usize];
                    index.remove(hash_of(&index.hash, slab.get(slot)), slot);
                    slab.free(slot);
                }
                devices_max = devices_max.max(u64::from(slab.devices()));
                let bytes = index.slots.allocation_size() as u64;
                assert!(bytes <= index_bytes_max(devices_max), "{number}: {bytes}");
            }
            assert_eq!(index.len(), (COME / 2) as usize);
            for (number, slot) in (0..).zip(&slots) {
                let id = DeviceId::from_bytes(u128::from(number + 1_u32).to_le_bytes());
                let hash = index.hash(TenantIndex(0), &id);
                let found = index.find(hash, TenantIndex(0), &id, &slab);
                assert_eq!(found, (number >= COME / 2).then_some(*slot));
            }
        }
    }

    #[test]
    fn no_two_shards_grow_at_the_same_number_of_devices() {
        let mut full: Vec<_> = (0..SHARDS)
            .map(|shard| {
                let mut index = index(shard);
                index.empty(50_000);
                assert!(index.devices_max >= 50_000);
                index.devices_max * (1 << 20) / index.slots.capacity()
            })
            .collect();
        full.sort_unstable();
        assert!(full[0] > (3 << 18) && full[47] == 1 << 20, "{full:?}");
        let apart = full.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(apart.min() > Some((1 << 20) / 256), "{full:?}");
    }

    /// Otherwise devices that come and go would fill it again and again.
    #[test]
    fn a_table_that_was_filled_again_has_room() {
        let (mut index, mut slab) = (index(0), DeviceSlab::default());
        for number in 0..20_000 {
            let full = index.devices_max;
            add(&mut index, &mut slab, number);
            if index.devices_max != full {
                let room = index.devices_max - index.len();
                assert!(
                    room >= number as usize / DEVICES_PER_FREE,
                    "{number}: {room}"
                );
            }
        }
    }
}
