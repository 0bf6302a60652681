//! From (tenant, device id) to the slot of a device.
//!
//! Holds slots only; the key is compared in the record itself, so the index costs about 5 bytes per device. Device ids
//! come from outside, so the hash is keyed with a seed that only this process knows.
//!
//! A hash table that is full moves all of its entries when it grows, and reads the record of each. So the index has
//! some small tables that grow separately: a check-in waits for the growth of at most one of them. The tables get
//! unequal shares of the devices, the largest twice that of the smallest: equal tables would all grow at the same time,
//! and the check-ins of an enrolling fleet would wait for all of them.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use muster_wire::DeviceId;
use std::hash::{BuildHasher, Hasher};

use crate::device::DeviceRecord;
use crate::ids::{SlotIndex, TenantIndex};
use crate::slab::DeviceSlab;

/// Number of tables: one has about 26,000 entries when 10 M devices are on 48 shards, which takes a millisecond to grow.
/// Few, because a check-in reads the header of one, and those of all tables should stay in the cache.
pub const INDEX_TABLES: usize = 8;

/// The hashes are divided into this many parts, of which each table has some.
const PARTS: usize = 256;

/// The table of each part.
static TABLE_OF_PART: [u8; PARTS] = tables_of_parts();

/// Table `n` gets a share of 8 + n: it grows some time after the next larger one.
const fn tables_of_parts() -> [u8; PARTS] {
    let all = share_below(INDEX_TABLES);
    let mut tables = [0; PARTS];
    let mut table = 0;
    let mut part = 0;
    while part < PARTS {
        while part * all >= share_below(table + 1) * PARTS {
            table += 1;
        }
        tables[part] = table as u8;
        part += 1;
    }
    tables
}

/// The shares of all tables below this one together.
const fn share_below(table: usize) -> usize {
    table * INDEX_TABLES + table * table.saturating_sub(1) / 2
}

#[derive(Debug)]
pub(crate) struct DeviceIndex {
    tables: [HashTable<SlotIndex>; INDEX_TABLES],
    hash: FixedState,
}

impl DeviceIndex {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            tables: std::array::from_fn(|_| HashTable::new()),
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
        self.tables[table_of(hash)].find(hash, same).copied()
    }

    /// Number of devices.
    pub(crate) fn len(&self) -> usize {
        self.tables.iter().map(HashTable::len).sum()
    }

    /// A slot that a device with this hash may have; rarely the wrong one.
    pub(crate) fn candidate(&self, hash: u64) -> Option<SlotIndex> {
        self.tables[table_of(hash)].find(hash, |_| true).copied()
    }

    /// Reserves room for this many devices in total, so that filling the index moves almost no entries.
    pub(crate) fn reserve(&mut self, devices: usize, slab: &DeviceSlab) {
        let Self {
            tables,
            hash: state,
        } = self;
        for (table, slots) in tables.iter_mut().enumerate() {
            let additional = index_table_entries(table, devices).saturating_sub(slots.len());
            slots.reserve(additional, |slot| hash_of(state, slab.get(*slot)));
        }
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
            tables,
            hash: state,
        } = self;
        let slots = &mut tables[table_of(hash)];
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
        let Self {
            tables,
            hash: state,
        } = self;
        let slots = &mut tables[table_of(hash)];
        slots.insert_unique(hash, slot, |slot| hash_of(state, slab.get(*slot)));
    }

    /// Removes a slot.
    pub(crate) fn remove(&mut self, hash: u64, slot: SlotIndex) {
        if let Ok(entry) = self.tables[table_of(hash)].find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
    }
}

/// Maximum number of entries of this table with this many devices, which it exceeds with a probability of one in a
/// billion.
fn index_table_entries(table: usize, devices: usize) -> usize {
    let parts = TABLE_OF_PART.iter().filter(|of| usize::from(**of) == table);
    let mean = (devices * parts.count()).div_ceil(PARTS);
    mean + 6 * mean.isqrt()
}

/// The table of a hash. A table itself uses the seven highest bits and as many of the lowest as it needs.
fn table_of(hash: u64) -> usize {
    usize::from(TABLE_OF_PART[(hash >> 45) as usize % PARTS])
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

    /// The memory bound of the server depends on it.
    #[test]
    fn devices_spread_over_the_tables() {
        const DEVICES: u32 = 100_000;
        let (mut index, mut slab) = (DeviceIndex::new(7), DeviceSlab::default());
        for number in 0..DEVICES {
            let device_id = DeviceId::from_bytes(u128::from(number + 1).to_le_bytes());
            let hash = index.hash(TenantIndex(0), &device_id);
            let slot = slab.insert(
                DeviceRecord {
                    device_id,
                    ..DeviceRecord::default()
                },
                ColdRecord::default(),
            );
            index.insert(hash, slot, &slab);
        }
        assert_eq!(index.len(), DEVICES as usize);
        let lengths = index.tables.each_ref().map(HashTable::len);
        for (table, length) in lengths.into_iter().enumerate() {
            let at_most = index_table_entries(table, DEVICES as usize);
            assert!(length <= at_most, "table {table}: {length} of {at_most}");
        }
        let (first, last) = (lengths[0] as f64, lengths[INDEX_TABLES - 1] as f64);
        assert!((1.7..2.3).contains(&(last / first)), "{first}, {last}");
    }

    /// While a fleet doubles, every table grows once, and at most two of them in a sixteenth of that time.
    #[test]
    fn tables_do_not_grow_all_at_the_same_time() {
        const HALF: usize = 200_000;
        let (mut index, mut slab) = (DeviceIndex::new(7), DeviceSlab::default());
        let mut add = |index: &mut DeviceIndex, number: usize| {
            let device_id = DeviceId::from_bytes((number as u128 + 1).to_le_bytes());
            let hash = index.hash(TenantIndex(0), &device_id);
            let slot = slab.insert(
                DeviceRecord {
                    device_id,
                    ..DeviceRecord::default()
                },
                ColdRecord::default(),
            );
            let capacity = index.tables[table_of(hash)].capacity();
            index.insert(hash, slot, &slab);
            index.tables[table_of(hash)].capacity() > capacity
        };
        for number in 0..HALF {
            add(&mut index, number);
        }
        let mut all = 0;
        let mut next = HALF;
        for sixteenth in 1..=16_i32 {
            // Equal steps of the logarithm, because growth is exponential.
            let end = (HALF as f64 * 2_f64.powf(f64::from(sixteenth) / 16.0)) as usize;
            let grown = (next..end)
                .filter(|number| add(&mut index, *number))
                .count();
            assert!(grown <= 2, "{grown} tables in part {sixteenth}");
            all += grown;
            next = end;
        }
        assert!((7..=9).contains(&all), "{all} tables");
    }
}
