//! The audit: a recount of the devices while the shard goes on, compared with its counters.
//!
//! A round walks over all slots, some at each [`Audit::step`], and counts the devices of each cell by
//! what their records say. A record that is written behind the walk moves its device within that count,
//! so at the end of the round the count is that of one moment, and the counters of that moment must be
//! equal to it. On the way every device must be found by the index, at its slot.
//!
//! What a round proves: at its end each counter equals the number of records that name its cell, every
//! device is in one slot only, in a cell of its tenant, and in the shard that owns it. The count follows
//! records, read from the slab before and after the one place that writes them, and never looks at
//! transitions or counters, so a wrong step of either is found by the round in which it happens. A
//! record that changes without being written is found by the next round. Whether the cell is the right
//! one for the device is not its question: that is for the rules and their oracle.
//!
//! Owned by the thread of the shard. Costs one comparison for each accepted check-in, 8 bytes a cell, and a
//! look into the index for each device and round.

use crate::cell::{CellId, CellTable};
use crate::device::DeviceRecord;
use crate::ids::{ShardId, SlotIndex};
use crate::index::DeviceIndex;
use crate::shard_map::ShardMap;
use crate::slab::DeviceSlab;

#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Slots below are counted.
    cursor: SlotIndex,
    /// By cell: the devices counted so far. Below zero only if a record changed behind our back.
    cells: Vec<i64>,
    devices: u64,
    misplaced: u64,
}

/// What the audit reads of its shard.
pub(super) struct Audited<'a> {
    pub(super) shard: ShardId,
    pub(super) devices: &'a DeviceSlab,
    pub(super) index: &'a DeviceIndex,
    pub(super) cells: &'a CellTable,
}

/// What a round of the audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRound {
    /// Devices, by their records.
    pub devices: u64,
    /// By how many devices the counters differ from the records, over all cells.
    pub miscounted: u64,
    /// Devices that the index does not find where they are, or that are in a cell or shard of others;
    /// and what the index or the number of devices has too many or too few.
    pub misplaced: u64,
}

impl AuditRound {
    /// 0 if everything is as it must be.
    pub fn drift(&self) -> u64 {
        self.miscounted + self.misplaced
    }
}

impl Audit {
    /// Takes note that a record is about to be replaced.
    #[inline]
    pub(super) fn written(&mut self, slot: SlotIndex, before: &DeviceRecord, after: &DeviceRecord) {
        if slot < self.cursor {
            self.follow(before.is_occupied().then_some(before.cell), after.cell);
        }
    }

    fn follow(&mut self, before: Option<CellId>, after: CellId) {
        match before {
            Some(before) if before == after => return,
            Some(before) => {
                // A cell that is not there was not counted either.
                if let Some(count) = self.cells.get_mut(before.0 as usize) {
                    *count -= 1;
                }
            }
            None => self.devices += 1,
        }
        self.add(after.0 as usize);
    }

    fn add(&mut self, cell: usize) {
        if cell >= self.cells.len() {
            self.cells.resize(cell + 1, 0);
        }
        self.cells[cell] += 1;
    }

    /// Counts the devices of the next `slots` slots; at the end of a round, compares and begins anew.
    pub(super) fn step(
        &mut self,
        slots: u32,
        map: ShardMap,
        audited: &Audited<'_>,
    ) -> Option<AuditRound> {
        let slots_end = audited.devices.slots();
        let end = SlotIndex(self.cursor.0.saturating_add(slots).min(slots_end));
        for slot in self.cursor.until(end) {
            let record = audited.devices.get(slot);
            if !record.is_occupied() {
                continue;
            }
            self.devices += 1;
            let key = audited.cells.get(record.cell);
            let in_its_cell = key.is_some_and(|key| key.tenant == record.tenant);
            if key.is_some() {
                self.add(record.cell.0 as usize);
            }
            let is_ours = map.shard_of(&record.device_id) == audited.shard;
            if !in_its_cell || !is_ours || !audited.is_found_at(slot, record) {
                self.misplaced += 1;
            }
        }
        self.cursor = end;
        if end.0 < slots_end {
            return None;
        }
        let round = self.end_of_round(audited);
        self.begin_again();
        Some(round)
    }

    fn end_of_round(&self, audited: &Audited<'_>) -> AuditRound {
        let counted = self.cells.iter().copied();
        let counted = counted.chain(std::iter::repeat(0));
        let miscounted = audited.cells.iter().zip(counted);
        let miscounted = miscounted.map(|((_, count), counted)| counted.abs_diff(i64::from(count)));
        let in_index = self.devices.abs_diff(audited.index.len() as u64);
        let in_slab = self.devices.abs_diff(u64::from(audited.devices.devices()));
        AuditRound {
            devices: self.devices,
            miscounted: miscounted.sum(),
            misplaced: self.misplaced + in_index + in_slab,
        }
    }

    fn begin_again(&mut self) {
        self.cursor = SlotIndex(0);
        self.cells.fill(0);
        self.devices = 0;
        self.misplaced = 0;
    }
}

impl Audited<'_> {
    fn is_found_at(&self, slot: SlotIndex, record: &DeviceRecord) -> bool {
        let (tenant, id) = (record.tenant, &record.device_id);
        let hash = self.index.hash(tenant, id);
        self.index.find(hash, tenant, id, self.devices) == Some(slot)
    }
}
