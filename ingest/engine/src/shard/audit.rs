//! The online audit: counts the devices of a running shard from their records and compares the result with the
//! counters.
//!
//! A round scans all slots, some in each [`Audit::step`], and counts the records of each cell. A write to a slot that
//! the scan has passed updates this count, so at the end of the round the count is consistent with one point in time
//! and must equal the counters. During the scan the index must find every device at its slot.
//!
//! A completed round proves: each counter equals the number of records with its tenant and facets; every device is in
//! exactly one slot, and in the shard that owns it. The count is derived from the records alone, taken before and after
//! each write, never from transitions or counters, so the round in which one of those goes wrong reports it. A record
//! that changes without a write is reported by the next round. Every device is also evaluated again, as of the time and
//! by the policy of its slot: its facets must not change, and its deadline must not be too late. So a deadline that was
//! missed is reported. Whether the rules are right is the recount's, with the oracle.
//!
//! Owned by the thread of the shard. Costs one comparison per accepted check-in, a second table of cells, and two
//! lookups and an evaluation per device and round.

use std::collections::hash_map::Entry;

use foldhash::HashMap;

use super::deadline::{deadline, retention_ends};
use super::evaluation::evaluate;
use super::policies::PolicySets;
use crate::cell::{CellKey, CellTable};
use crate::context::EvaluationTime;
use crate::deadlines::{Deadlines, NEVER};
use crate::device::DeviceRecord;
use crate::facet::Facets;
use crate::ids::{ShardId, SlotIndex};
use crate::index::DeviceIndex;
use crate::shard_map::ShardMap;
use crate::slab::DeviceSlab;

#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Slots below this one are counted.
    cursor: SlotIndex,
    /// The devices counted so far, without zeros. Negative only if a record changed without a write.
    cells: HashMap<CellKey, i64>,
    devices: u64,
    misplaced: u64,
    outdated: u64,
}

/// The parts of a shard that the audit reads.
pub(super) struct Audited<'a> {
    pub(super) shard: ShardId,
    pub(super) devices: &'a DeviceSlab,
    pub(super) index: &'a DeviceIndex,
    pub(super) cells: &'a CellTable,
    pub(super) deadlines: &'a Deadlines,
    pub(super) policies: &'a PolicySets,
    pub(super) time: EvaluationTime,
}

/// The result of a round of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRound {
    /// Devices, counted from records, with the removed ones.
    pub devices: u64,
    /// Sum over all cells of the difference between counter and records.
    pub miscounted: u64,
    /// Devices that the index does not find at their slot, or that belong to another shard; plus the differences
    /// between counted devices, index entries and the slab's number of devices.
    pub misplaced: u64,
    /// Devices whose facets do not follow from their record, or whose deadline is too late.
    pub outdated: u64,
}

impl AuditRound {
    /// 0 if counters, index and records agree.
    pub fn drift(&self) -> u64 {
        self.miscounted + self.misplaced + self.outdated
    }
}

impl Audit {
    /// Records a write to a slot; call it before the record is replaced.
    #[inline]
    pub(super) fn record_write(
        &mut self,
        slot: SlotIndex,
        before: &DeviceRecord,
        after: &DeviceRecord,
    ) {
        if slot < self.cursor {
            self.devices += u64::from(after.is_occupied());
            self.devices -= u64::from(before.is_occupied());
            self.move_device(before.counted_in(), after.counted_in());
        }
    }

    fn move_device(&mut self, before: Option<CellKey>, after: Option<CellKey>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.add(before, -1);
        }
        if let Some(after) = after {
            self.add(after, 1);
        }
    }

    fn add(&mut self, cell: CellKey, devices: i64) {
        match self.cells.entry(cell) {
            Entry::Occupied(mut count) => {
                *count.get_mut() += devices;
                if *count.get() == 0 {
                    count.remove();
                }
            }
            Entry::Vacant(count) => {
                count.insert(devices);
            }
        }
    }

    /// Counts the devices of the next `slots` slots. At the end of a round, compares and starts the next round.
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
            if let Some(cell) = record.counted_in() {
                self.add(cell, 1);
            }
            let is_owned = map.shard_of(&record.device_id) == audited.shard;
            if !is_owned || !audited.index_finds(slot, record) {
                self.misplaced += 1;
            }
            self.outdated += u64::from(audited.is_outdated(slot, record));
        }
        self.cursor = end;
        if end.0 < slots_end {
            return None;
        }
        let round = self.finish_round(audited);
        self.reset();
        Some(round)
    }

    fn finish_round(&self, audited: &Audited<'_>) -> AuditRound {
        let differences = self.cells.iter().map(|(cell, counted)| {
            let counter = audited.cells.devices(*cell);
            counted.abs_diff(i64::from(counter))
        });
        let counters = audited.cells.iter();
        let without_devices = counters.filter(|(cell, _)| !self.cells.contains_key(cell));
        let miscounted = differences.chain(without_devices.map(|(_, counter)| counter.into()));
        let in_index = self.devices.abs_diff(audited.index.len() as u64);
        let in_slab = self.devices.abs_diff(u64::from(audited.devices.devices()));
        AuditRound {
            devices: self.devices,
            miscounted: miscounted.sum(),
            misplaced: self.misplaced + in_index + in_slab,
            outdated: self.outdated,
        }
    }

    fn reset(&mut self) {
        self.cursor = SlotIndex(0);
        self.cells.clear();
        self.devices = 0;
        self.misplaced = 0;
        self.outdated = 0;
    }
}

impl Audited<'_> {
    fn index_finds(&self, slot: SlotIndex, record: &DeviceRecord) -> bool {
        let (tenant, id) = (record.tenant, &record.device_id);
        let hash = self.index.hash(tenant, id);
        self.index.find(hash, tenant, id, self.devices) == Some(slot)
    }

    fn is_outdated(&self, slot: SlotIndex, record: &DeviceRecord) -> bool {
        let Some(policy) = self.policies.at(record, slot) else {
            return false;
        };
        let cold = self.devices.cold(slot);
        let at = self.deadlines.get(slot);
        if record.removed() {
            return at != retention_ends(record, cold, policy).unwrap_or(NEVER);
        }
        let Some(reported) = Facets::from_word(record.facets) else {
            return true;
        };
        let time = self.time.of(slot);
        let facets = evaluate(record, cold, reported, policy, time).word();
        facets != record.facets || at > deadline(record, policy, time)
    }
}
