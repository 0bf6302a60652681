//! Applies the events of a journal value that pages do not include.
//!
//! Changes records only: index, cells, deadlines and free slots are built at the end of the recovery. Every event must
//! fit the state before it; otherwise its defect is returned.

use muster_wire::{CheckInRecord, Inventory};

use super::super::Shard;
use super::super::evaluation::{evaluate, observe, report_and_observe};
use super::super::inventory::created_by_inventory;
use super::super::policies::PolicySets;
use super::super::sequence;
use crate::device::{ColdRecord, DeviceRecord};
use crate::facet::Facets;
use crate::ids::{ProfileId, SlotIndex, TenantIndex};
use crate::journal::{Change, DeviceAction, JournalValue, Repeated};

/// The replay of an event of a journal value.
pub(super) struct Replay<'a> {
    shard: &'a mut Shard,
    policies: &'a PolicySets,
    value: &'a JournalValue<'a>,
}

impl<'a> Replay<'a> {
    pub(super) fn of(
        shard: &'a mut Shard,
        policies: &'a PolicySets,
        value: &'a JournalValue<'a>,
    ) -> Self {
        Self {
            shard,
            policies,
            value,
        }
    }

    pub(super) fn change(
        &mut self,
        slot: SlotIndex,
        change: Change<'_>,
    ) -> Result<(), &'static str> {
        match change {
            Change::CheckIn(tenant, bytes) => {
                let record = CheckInRecord::validate(bytes).map_err(|_| "an invalid check-in")?;
                return self.check_in(tenant, slot, &record);
            }
            Change::Repeated(tenant, repeated) => return self.repeated(tenant, slot, repeated),
            Change::Inventory(tenant, archive) => {
                let inventory = Inventory::from_bytes(archive);
                let inventory = inventory.map_err(|_| "an invalid inventory")?;
                return self.inventory(tenant, slot, &inventory);
            }
            Change::Action(tenant, device_id, action) => {
                if !self.slot(slot)?.is_of(tenant, &device_id) {
                    return Err("an action on a device that is not in its slot");
                }
                self.action(action, slot)?;
            }
            Change::Due(time) => {
                self.slot(slot)?;
                self.evaluate(slot, time);
            }
            Change::Freed => {
                self.slot(slot)?;
                self.write(slot, DeviceRecord::default(), ColdRecord::default());
            }
            Change::Targeted(profile) => {
                self.slot(slot)?;
                self.target(slot, profile);
            }
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

    fn write(&mut self, slot: SlotIndex, record: DeviceRecord, cold: ColdRecord) {
        self.shard.devices.write(slot, record, cold);
        self.shard.checkpoint.dirty.insert(slot.page());
    }

    fn check_in(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        record: &CheckInRecord,
    ) -> Result<(), &'static str> {
        self.is_used_or_next(slot)?;
        let policies = self
            .policies
            .of(tenant)
            .ok_or("its tenant is not in the policy set")?;
        let now = self.value.now.as_seconds();
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
        report_and_observe(&mut stored, &cold, record, policy, now);
        self.write(slot, stored, cold);
        Ok(())
    }

    fn repeated(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        repeated: Repeated,
    ) -> Result<(), &'static str> {
        let policies = self
            .policies
            .of(tenant)
            .ok_or("its tenant is not in the policy set")?;
        let mut record = self.slot(slot)?;
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
        let now = self.value.now.as_seconds();
        let cold = self.shard.devices.cold(slot);
        observe(&mut record, cold, reported, repeated.seq, policy, now);
        *self.shard.devices.get_mut(slot) = record;
        self.shard.checkpoint.dirty.insert(slot.page());
        Ok(())
    }

    fn inventory(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        inventory: &Inventory,
    ) -> Result<(), &'static str> {
        self.is_used_or_next(slot)?;
        let exists = slot < self.shard.slots_end();
        let stored = exists.then(|| *self.shard.devices.get(slot));
        match stored.filter(DeviceRecord::is_occupied) {
            Some(stored) if !stored.is_of(tenant, &inventory.device_id) => {
                Err("an inventory of a device that is not in its slot")
            }
            Some(stored) => {
                let mut cold = *self.shard.devices.cold(slot);
                cold.set_inventory(inventory);
                self.write(slot, stored, cold);
                self.evaluate(slot, self.shard.time.of(slot));
                Ok(())
            }
            None => {
                let policies = self.policies.of(tenant);
                let policies = policies.ok_or("its tenant is not in the policy set")?;
                let policy = policies.of(slot, ProfileId::default());
                let now = self.value.now.as_seconds();
                let (record, cold) = created_by_inventory(tenant, inventory, policy, now);
                self.write(slot, record, cold);
                Ok(())
            }
        }
    }

    fn action(&mut self, action: DeviceAction, slot: SlotIndex) -> Result<(), &'static str> {
        let (mut record, mut cold) = (self.slot(slot)?, *self.shard.devices.cold(slot));
        match action {
            DeviceAction::Reset => sequence::reset(&mut record, &mut cold, self.value.now),
            DeviceAction::Remove => {
                record.set_removed(true);
                cold.removed_at = self.value.now.as_seconds();
            }
            DeviceAction::Restore => {
                record.set_removed(false);
                cold.removed_at = 0;
            }
        }
        self.write(slot, record, cold);
        if action == DeviceAction::Restore {
            self.evaluate(slot, self.shard.time.of(slot));
        }
        Ok(())
    }

    fn target(&mut self, slot: SlotIndex, profile: ProfileId) {
        self.shard.devices.get_mut(slot).set_profile(profile);
        self.shard.checkpoint.dirty.insert(slot.page());
        self.evaluate(slot, self.shard.time.of(slot));
    }

    /// Evaluates the devices that a policy pass has reached.
    pub(super) fn policy_slice(&mut self, from: SlotIndex, end: SlotIndex) {
        for slot in from.until(end.min(self.shard.slots_end())) {
            self.evaluate(slot, self.shard.time.of(slot));
        }
    }

    pub(super) fn clock_set_back(&mut self) {
        let now = self.value.now.as_seconds();
        self.shard.time.reached(now, SlotIndex::MAX);
        for slot in SlotIndex(0).until(self.shard.slots_end()) {
            let (mut record, mut cold) = (
                *self.shard.devices.get(slot),
                *self.shard.devices.cold(slot),
            );
            if record.is_occupied() && self.value.is_newer_than_page(slot) {
                record.clip_times(now);
                cold.clip_times(now);
                self.write(slot, record, cold);
                self.evaluate(slot, now);
            }
        }
    }

    /// Evaluates the device in a slot, if there is one that is not removed.
    fn evaluate(&mut self, slot: SlotIndex, time: u32) {
        let mut record = *self.shard.devices.get(slot);
        if record.counted_in().is_none() || !self.value.is_newer_than_page(slot) {
            return;
        }
        let Some(policy) = self.policies.at(&record, slot) else {
            return;
        };
        let Some(reported) = Facets::from_word(record.facets) else {
            return;
        };
        let cold = self.shard.devices.cold(slot);
        let facets = evaluate(&record, cold, reported, policy, time).word();
        if facets != record.facets {
            record.facets = facets;
            *self.shard.devices.get_mut(slot) = record;
            self.shard.checkpoint.dirty.insert(slot.page());
        }
    }
}
