//! Cells: the number of devices for each tenant and combination of facets, from which every count is read (design D20).
//!
//! Derived from the device records and kept in memory only: a recovery counts the records. A device is in exactly one
//! cell, a cell exists while a device is in it, so cells never outnumber devices, and no device is rejected for want of
//! one. Owned by the shard. A table that has grown keeps its memory, so entering and leaving do not allocate.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::facet::FacetWord;
use crate::ids::TenantIndex;

/// What all devices of a cell have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// The tenant of the devices.
    pub tenant: TenantIndex,
    /// Their facets.
    pub facets: FacetWord,
}

/// A cell with its count: 16 bytes, where a pair of key and count takes 24.
#[derive(Clone, Copy, Debug)]
struct Cell {
    facets: FacetWord,
    tenant: TenantIndex,
    /// Never 0.
    devices: u32,
}

/// Size of an entry in the table.
pub const CELL_BYTES: usize = size_of::<Cell>();

const _: () = assert!(CELL_BYTES == 16);

impl Cell {
    fn key(&self) -> CellKey {
        CellKey {
            tenant: self.tenant,
            facets: self.facets,
        }
    }
}

/// The cells of one shard.
#[derive(Debug)]
pub(crate) struct CellTable {
    cells: HashTable<Cell>,
    hash: FixedState,
    /// Cells by tenant.
    of_tenants: Vec<u32>,
}

impl CellTable {
    /// An empty table. Clients choose facets, so `seed` should be unpredictable to them.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            cells: HashTable::new(),
            hash: FixedState::with_seed(seed),
            of_tenants: Vec::new(),
        }
    }

    /// Adds a device to this cell.
    pub(crate) fn enter(&mut self, key: CellKey) {
        let Self {
            cells,
            hash: state,
            of_tenants,
        } = self;
        let hash = hash_of(state, key);
        match cells.entry(
            hash,
            |cell| cell.key() == key,
            |cell| hash_of(state, cell.key()),
        ) {
            Entry::Occupied(mut cell) => cell.get_mut().devices += 1,
            Entry::Vacant(cell) => {
                let tenant = usize::from(key.tenant);
                if of_tenants.len() <= tenant {
                    of_tenants.resize(tenant + 1, 0);
                }
                of_tenants[tenant] += 1;
                cell.insert(Cell {
                    facets: key.facets,
                    tenant: key.tenant,
                    devices: 1,
                });
            }
        }
    }

    /// Removes a device from this cell, and with the last device the cell. To leave a cell that does not exist is a
    /// broken invariant, never bad input.
    pub(crate) fn leave(&mut self, key: CellKey) {
        let hash = hash_of(&self.hash, key);
        let mut cell = self
            .cells
            .find_entry(hash, |cell| cell.key() == key)
            .expect("a device left a cell without devices");
        if cell.get().devices > 1 {
            cell.get_mut().devices -= 1;
        } else {
            cell.remove();
            self.of_tenants[usize::from(key.tenant)] -= 1;
        }
    }

    /// Number of devices in this cell.
    pub(crate) fn devices(&self, key: CellKey) -> u32 {
        let hash = hash_of(&self.hash, key);
        let cell = self.cells.find(hash, |cell| cell.key() == key);
        cell.map_or(0, |cell| cell.devices)
    }

    /// Number of cells by tenant.
    pub(crate) fn of_tenants(&self) -> &[u32] {
        &self.of_tenants
    }

    /// Every cell with its number of devices, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CellKey, u32)> + '_ {
        self.cells.iter().map(|cell| (cell.key(), cell.devices))
    }
}

fn hash_of(state: &FixedState, key: CellKey) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write_u64(key.facets.0);
    hasher.write_u16(key.tenant.0);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: u16, facets: u64) -> CellKey {
        CellKey {
            tenant: TenantIndex(tenant),
            facets: FacetWord(facets),
        }
    }

    #[test]
    fn a_cell_exists_while_a_device_is_in_it() {
        let mut table = CellTable::new(7);
        for cell in [key(0, 1), key(1, 1), key(0, 1)] {
            table.enter(cell);
        }
        let mut cells: Vec<_> = table.iter().collect();
        cells.sort_unstable();
        assert_eq!(cells, [(key(0, 1), 2), (key(1, 1), 1)]);
        assert_eq!(table.of_tenants(), [1, 1]);
        table.leave(key(0, 1));
        table.leave(key(1, 1));
        assert_eq!(table.iter().collect::<Vec<_>>(), [(key(0, 1), 1)]);
        assert_eq!((table.devices(key(0, 1)), table.devices(key(1, 1))), (1, 0));
        assert_eq!(table.of_tenants(), [1, 0]);
    }

    /// The hot path must not allocate, whatever states devices pass through.
    #[test]
    fn a_table_grows_with_its_cells_and_not_with_moves() {
        let mut table = CellTable::new(7);
        (0..1000).for_each(|facets| table.enter(key(0, facets)));
        let mut capacity = table.cells.capacity();
        let mut growths = 0;
        for facets in 0..100_000 {
            table.leave(key(0, facets));
            table.enter(key(0, facets + 1000));
            growths += u32::from(table.cells.capacity() > capacity);
            capacity = capacity.max(table.cells.capacity());
        }
        assert_eq!(table.iter().count(), 1000);
        assert!(growths <= 1, "{growths}: once, for the removed cells");
    }

    #[test]
    #[should_panic(expected = "without devices")]
    fn leaving_an_empty_cell_is_a_broken_invariant() {
        CellTable::new(7).leave(key(0, 1));
    }
}
