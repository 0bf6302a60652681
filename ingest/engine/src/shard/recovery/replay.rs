//! Applies the events of one journal value to the slots whose pages do not include it.
//!
//! Changes records only: index, cells, deadlines and free slots are built at the end of the recovery. Every event must
//! fit the state before it; otherwise its defect is returned.

use muster_wire::Inventory;

use super::super::Shard;
use super::super::evaluation::{evaluate, observe, report_and_observe};
use super::super::inventory::created_by_inventory;
use super::super::lookup::LOOKAHEAD;
use super::super::policies::PolicySets;
use super::super::sequence;
use crate::device::{ColdRecord, DeviceRecord};
use crate::facet::Facets;
use crate::ids::{ProfileId, Sequence, SlotIndex, TenantIndex};
use crate::journal::{
    CheckInEntry, DeviceAction, REPEATED_BYTES, Repeated, Segment, slot_of, targeted_of,
};
use crate::time::Timestamp;

/// The replay of one journal value.
pub(super) struct Replay<'a> {
    pub(super) shard: &'a mut Shard,
    pub(super) page_sequences: &'a [Sequence],
    pub(super) sequence: Sequence,
    pub(super) now: Timestamp,
}

impl Replay<'_> {
    /// Whether the page of a slot does not include the value.
    fn is_newer_than_page(&self, slot: SlotIndex) -> bool {
        let page = self.page_sequences.get(slot.page().0 as usize);
        page.is_none_or(|page| *page < self.sequence)
    }

    pub(super) fn segment(
        &mut self,
        policies: &PolicySets,
        segment: Segment<'_>,
    ) -> Result<(), &'static str> {
        match segment {
            Segment::CheckIns { tenant, records } => {
                for records in records.chunks(LOOKAHEAD) {
                    let slots = records.iter().map(CheckInEntry::slot_of);
                    self.shard.prefetch_slots(slots);
                    for bytes in records {
                        let entry = CheckInEntry::read(bytes).ok_or("an invalid check-in")?;
                        self.check_in(policies, tenant, &entry)?;
                    }
                }
            }
            Segment::Repeated { tenant, records } => {
                self.repeated(policies, tenant, records)?;
            }
            Segment::Inventory {
                tenant,
                slot,
                archive,
            } => {
                let inventory = Inventory::from_bytes(archive);
                let inventory = inventory.map_err(|_| "an invalid inventory")?;
                self.inventory(policies, tenant, slot, &inventory)?;
            }
            Segment::Action {
                action,
                tenant,
                slot,
                device_id,
            } => {
                let found = self.slot(slot)?;
                if self.is_newer_than_page(slot) && !found.is_of(tenant, &device_id) {
                    return Err("an action on a device that is not in its slot");
                }
                self.action(policies, action, slot)?;
            }
            Segment::Due {
                time,
                reached,
                slots,
            } => {
                for slot in slots.iter().map(slot_of) {
                    self.slot(slot)?;
                    self.evaluate(policies, slot, time);
                }
                self.shard.time.reached(time, reached);
            }
            Segment::Freed { slots } => {
                for slot in slots.iter().map(slot_of) {
                    self.slot(slot)?;
                    self.write(slot, DeviceRecord::default(), ColdRecord::default());
                }
            }
            Segment::Targeted { devices } => {
                for (slot, profile) in devices.iter().map(targeted_of) {
                    self.slot(slot)?;
                    self.target(policies, slot, profile);
                }
            }
            Segment::ClockSetBack => self.clock_set_back(policies),
            // The caller's.
            Segment::Policy { .. } | Segment::PolicyReached { .. } | Segment::Profile { .. } => (),
        }
        Ok(())
    }

    /// The record in a slot that exists.
    fn slot(&self, slot: SlotIndex) -> Result<DeviceRecord, &'static str> {
        let exists = slot < self.shard.slots_end();
        exists
            .then(|| *self.shard.devices.get(slot))
            .ok_or("an event in a slot that does not exist")
    }

    /// A new device is in a slot that was used before, or in the next one.
    fn is_used_or_next(&self, slot: SlotIndex) -> Result<(), &'static str> {
        if slot > self.shard.devices.unused() {
            return Err("a new device in a slot that is not the next one");
        }
        Ok(())
    }

    /// Replaces the records of a slot, unless its page includes the value.
    fn write(&mut self, slot: SlotIndex, record: DeviceRecord, cold: ColdRecord) {
        if self.is_newer_than_page(slot) {
            self.shard.devices.write(slot, record, cold);
            self.shard.checkpoint.dirty.insert(slot.page());
        }
    }

    fn check_in(
        &mut self,
        policies: &PolicySets,
        tenant: TenantIndex,
        CheckInEntry { slot, record }: &CheckInEntry,
    ) -> Result<(), &'static str> {
        let slot = *slot;
        self.is_used_or_next(slot)?;
        if !self.is_newer_than_page(slot) {
            return Ok(());
        }
        let policies = policies
            .of(tenant)
            .ok_or("its tenant is not in the policy set")?;
        let now = self.now.as_seconds();
        let exists = slot < self.shard.slots_end();
        let found = exists.then(|| {
            (
                *self.shard.devices.get(slot),
                *self.shard.devices.cold(slot),
            )
        });
        let (mut stored, mut cold) = found.unwrap_or_default();
        if !stored.is_occupied() {
            (stored.device_id, stored.tenant) = (record.device_id(), tenant);
            cold.first_seen = now;
        } else if !stored.is_of(tenant, &record.device_id()) {
            return Err("a check-in of a device that is not in its slot");
        }
        if record.seq() <= stored.seq || stored.removed() {
            return Err("a check-in that the shard does not accept");
        }
        let policy = policies.of(slot, stored.profile());
        report_and_observe(&mut stored, record, policy, now);
        self.write(slot, stored, cold);
        Ok(())
    }

    fn repeated(
        &mut self,
        policies: &PolicySets,
        tenant: TenantIndex,
        records: &[[u8; REPEATED_BYTES]],
    ) -> Result<(), &'static str> {
        let policies = policies
            .of(tenant)
            .ok_or("its tenant is not in the policy set")?;
        for records in records.chunks(LOOKAHEAD) {
            let slots = records.iter().map(Repeated::slot_of);
            self.shard.prefetch_slots(slots);
            for bytes in records {
                let repeated =
                    Repeated::read(bytes).ok_or("a repeated check-in with unknown flags")?;
                let slot = repeated.slot;
                let mut record = self.slot(slot)?;
                if !self.is_newer_than_page(slot) {
                    continue;
                }
                let is_there = record.tenant == tenant && repeated.is_of(&record.device_id);
                if !is_there || record.seq == 0 {
                    return Err("a repeated check-in whose device is not in its slot");
                }
                if repeated.seq <= record.seq || record.removed() {
                    return Err("a check-in that the shard does not accept");
                }
                let reported = Facets::from_word(record.facets);
                let mut reported = reported.ok_or("a device with unreadable facets")?;
                record.flags = repeated.flags;
                reported.set_flags(repeated.flags);
                let policy = policies.of(slot, record.profile());
                let now = self.now.as_seconds();
                observe(&mut record, reported, repeated.seq, policy, now);
                *self.shard.devices.get_mut(slot) = record;
                self.shard.checkpoint.dirty.insert(slot.page());
            }
        }
        Ok(())
    }

    fn inventory(
        &mut self,
        policies: &PolicySets,
        tenant: TenantIndex,
        slot: SlotIndex,
        inventory: &Inventory,
    ) -> Result<(), &'static str> {
        self.is_used_or_next(slot)?;
        if !self.is_newer_than_page(slot) {
            return Ok(());
        }
        let exists = slot < self.shard.slots_end();
        let stored = exists.then(|| *self.shard.devices.get(slot));
        match stored.filter(DeviceRecord::is_occupied) {
            Some(stored) if !stored.is_of(tenant, &inventory.device_id) => {
                Err("an inventory of a device that is not in its slot")
            }
            Some(stored) => {
                let mut cold = *self.shard.devices.cold(slot);
                cold.inventory_revision = inventory.revision;
                self.write(slot, stored, cold);
                Ok(())
            }
            None => {
                let policies = policies.of(tenant);
                let policies = policies.ok_or("its tenant is not in the policy set")?;
                let policy = policies.of(slot, ProfileId::default());
                let now = self.now.as_seconds();
                let (record, cold) = created_by_inventory(tenant, inventory, policy, now);
                self.write(slot, record, cold);
                Ok(())
            }
        }
    }

    fn action(
        &mut self,
        policies: &PolicySets,
        action: DeviceAction,
        slot: SlotIndex,
    ) -> Result<(), &'static str> {
        let (mut record, mut cold) = (self.slot(slot)?, *self.shard.devices.cold(slot));
        match action {
            DeviceAction::Reset => sequence::reset(&mut record, &mut cold, self.now),
            DeviceAction::Remove => {
                record.set_removed(true);
                cold.removed_at = self.now.as_seconds();
            }
            DeviceAction::Restore => {
                record.set_removed(false);
                cold.removed_at = 0;
            }
        }
        self.write(slot, record, cold);
        if action == DeviceAction::Restore {
            self.evaluate(policies, slot, self.shard.time.of(slot));
        }
        Ok(())
    }

    fn target(&mut self, policies: &PolicySets, slot: SlotIndex, profile: ProfileId) {
        if self.is_newer_than_page(slot) {
            self.shard.devices.get_mut(slot).set_profile(profile);
            self.shard.checkpoint.dirty.insert(slot.page());
            self.evaluate(policies, slot, self.shard.time.of(slot));
        }
    }

    /// Evaluates the devices that a policy pass has reached.
    pub(super) fn policy_slice(&mut self, policies: &PolicySets, from: SlotIndex, end: SlotIndex) {
        for slot in from.until(end.min(self.shard.slots_end())) {
            self.evaluate(policies, slot, self.shard.time.of(slot));
        }
    }

    fn clock_set_back(&mut self, policies: &PolicySets) {
        let now = self.now.as_seconds();
        self.shard.time.reached(now, SlotIndex::MAX);
        for slot in SlotIndex(0).until(self.shard.slots_end()) {
            let (mut record, mut cold) = (
                *self.shard.devices.get(slot),
                *self.shard.devices.cold(slot),
            );
            if record.is_occupied() {
                record.clip_times(now);
                cold.clip_times(now);
                self.write(slot, record, cold);
                self.evaluate(policies, slot, now);
            }
        }
    }

    /// Evaluates the device in a slot, if there is one that is not removed.
    fn evaluate(&mut self, policies: &PolicySets, slot: SlotIndex, time: u32) {
        let mut record = *self.shard.devices.get(slot);
        if record.counted_in().is_none() || !self.is_newer_than_page(slot) {
            return;
        }
        let Some(policy) = policies.at(&record, slot) else {
            return;
        };
        let Some(reported) = Facets::from_word(record.facets) else {
            return;
        };
        let facets = evaluate(&record, reported, policy, time).word();
        if facets != record.facets {
            record.facets = facets;
            *self.shard.devices.get_mut(slot) = record;
            self.shard.checkpoint.dirty.insert(slot.page());
        }
    }
}
