//! Cells: the histogram every count is read from (design D7).
//!
//! A cell is an interned (tenant, cohort, facet word) with the number of devices in it. Cells are only
//! ever added, in the order of first use, so an id stays good for the life of a data directory and a
//! device record needs 4 bytes for all its countable attributes. One shard owns one table. Bounded by
//! `cells_max`: a check-in that would need one more is rejected, never folded into a neighbour.

use foldhash::HashMap;

use crate::bytes::Reader;
use crate::cohort::CohortId;
use crate::facet::{FacetWord, Facets};
use crate::ids::TenantIndex;

/// Number of a cell in its shard, dense from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(pub u32);

/// What all devices of a cell have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey {
    /// Whose devices.
    pub tenant: TenantIndex,
    /// Their cohort in this shard.
    pub cohort: CohortId,
    /// Their facets.
    pub facets: FacetWord,
}

/// Size of [`CellKey::encode`].
const CELL_KEY_BYTES: usize = 12;

impl CellKey {
    /// The bytes the store keeps: tenant u16, zero u16, cohort u32, facet word u32, little-endian.
    pub fn encode(&self) -> [u8; CELL_KEY_BYTES] {
        let mut bytes = [0; CELL_KEY_BYTES];
        bytes[0..2].copy_from_slice(&self.tenant.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.cohort.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.facets.0.to_le_bytes());
        bytes
    }

    /// Reads [`CellKey::encode`]; `None` if the bytes are no cell key.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let tenant = TenantIndex(reader.u16()?);
        if reader.u16()? != 0 {
            return None;
        }
        let cohort = CohortId(reader.u32()?);
        let facets = FacetWord(reader.u32()?);
        Facets::from_word(facets)?;
        reader.is_empty().then_some(Self {
            tenant,
            cohort,
            facets,
        })
    }
}

/// A cell as check-ins look at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) key: CellKey,
    /// What a check-in has for [`muster_wire::CheckInRecord::codes`] if its device was filed here for these.
    pub(crate) codes: [u8; 5],
}

impl Cell {
    fn new(key: CellKey) -> Self {
        // Codes that no check-in has, where the facets cannot be told.
        let codes = Facets::from_word(key.facets).map_or([u8::MAX; 5], |facets| facets.codes());
        Self { key, codes }
    }
}

/// The cells of one shard and how many devices each holds.
#[derive(Debug)]
pub(crate) struct CellTable {
    cells: Vec<Cell>,
    counts: Vec<u32>,
    ids: HashMap<CellKey, CellId>,
    max: usize,
}

impl CellTable {
    /// An empty table that never grows beyond `max` cells.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            cells: Vec::new(),
            counts: Vec::new(),
            ids: HashMap::default(),
            max,
        }
    }

    /// Changes the bound. Cells beyond it stay; new ones are refused.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// The cell of `key`, and whether it is new; `None` if the table is full.
    pub(crate) fn intern(&mut self, key: CellKey) -> Option<(CellId, bool)> {
        if let Some(&id) = self.ids.get(&key) {
            return Some((id, false));
        }
        if self.cells.len() >= self.max {
            return None;
        }
        let id = CellId(self.cells.len() as u32);
        self.cells.push(Cell::new(key));
        self.counts.push(0);
        self.ids.insert(key, id);
        Some((id, true))
    }

    /// What the devices of a cell have in common. Ids come from this table, so they are in range.
    pub(crate) fn key(&self, id: CellId) -> CellKey {
        self.cell(id).key
    }

    /// The same, with what a check-in is compared with.
    pub(crate) fn cell(&self, id: CellId) -> &Cell {
        &self.cells[id.0 as usize]
    }

    /// The key of an id read from disk.
    pub(crate) fn get(&self, id: CellId) -> Option<CellKey> {
        self.cells.get(id.0 as usize).map(|cell| cell.key)
    }

    /// One device more in this cell.
    pub(crate) fn enter(&mut self, id: CellId) {
        self.counts[id.0 as usize] += 1;
    }

    /// One device less in this cell. A count below zero is a broken invariant, never bad input.
    pub(crate) fn leave(&mut self, id: CellId) {
        let count = &mut self.counts[id.0 as usize];
        *count = count
            .checked_sub(1)
            .expect("a device left a cell that holds none");
    }

    /// Every cell with its number of devices, in the order of ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CellKey, u32)> + '_ {
        self.cells
            .iter()
            .map(|cell| cell.key)
            .zip(self.counts.iter().copied())
    }

    /// Number of cells.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: u16) -> CellKey {
        CellKey {
            tenant: TenantIndex(tenant),
            cohort: CohortId(0),
            facets: Facets::default().word(),
        }
    }

    #[test]
    fn interning_is_stable_and_bounded() {
        let mut table = CellTable::new(2);
        assert_eq!(table.intern(key(0)), Some((CellId(0), true)));
        assert_eq!(table.intern(key(1)), Some((CellId(1), true)));
        assert_eq!(table.intern(key(0)), Some((CellId(0), false)));
        assert_eq!(table.intern(key(2)), None);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn keys_round_trip_and_other_bytes_are_refused() {
        let cell = CellKey {
            tenant: TenantIndex(513),
            cohort: CohortId(70_000),
            ..key(0)
        };
        assert_eq!(CellKey::decode(&cell.encode()), Some(cell));
        assert_eq!(CellKey::decode(&cell.encode()[..11]), None);
        let mut spoiled = cell.encode();
        spoiled[2] = 1;
        assert_eq!(CellKey::decode(&spoiled), None);
    }

    #[test]
    #[should_panic(expected = "holds none")]
    fn leaving_an_empty_cell_is_a_broken_invariant() {
        let mut table = CellTable::new(1);
        let (id, _) = table.intern(key(0)).unwrap();
        table.leave(id);
    }
}
