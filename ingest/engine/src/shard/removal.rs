//! Removal of devices: by an operator, and by retention (design D22).
//!
//! A removed device is in no count and its check-ins are rejected, so that nothing which is still on its way brings it
//! back; it occupies its slot, within the limit on devices, until its retention ends. Until then an operator can restore
//! it as it was. A device that is offboarded and silent for as long as the tenant keeps profiles is gone without an
//! operator. Then its slot is free and the next check-in with its id creates a new device.
//!
//! Owned by the thread of the shard. Events like any other: journaled, and replayed.

use muster_wire::DeviceId;

use super::Shard;
use super::deadline::retention_ends;
use super::lookup::Lookup;
use crate::deadlines::NEVER;
use crate::device::DeviceRecord;
use crate::effects::{Effects, InventoryWrite};
use crate::ids::{SlotIndex, TenantIndex};
use crate::journal::DeviceAction;
use crate::policy::TenantPolicy;

impl Shard {
    /// Removes a device. Returns whether it was not removed before; `None` for an unknown device.
    pub fn remove_device(
        &mut self,
        tenant: TenantIndex,
        device_id: &DeviceId,
        effects: &mut Effects,
    ) -> Option<bool> {
        let slot = self.look_up(tenant, device_id).slot?;
        let mut record = *self.devices.get(slot);
        if record.removed() {
            return Some(false);
        }
        effects
            .journal
            .action(DeviceAction::Remove, tenant, slot, device_id);
        record.set_removed(true);
        self.uncount(slot, &record, effects);
        self.devices.cold_mut(slot).removed_at = effects.now;
        self.removed += 1;
        self.write(slot, record);
        let policies = self.policies.clone();
        if let Some(policy) = policies.at(&record, slot) {
            self.set_deadline_of_removed(slot, policy);
        }
        Some(true)
    }

    /// Restores a removed device as it was. Returns whether it was removed; `None` for an unknown device.
    pub fn restore_device(
        &mut self,
        tenant: TenantIndex,
        device_id: &DeviceId,
        effects: &mut Effects,
    ) -> Option<bool> {
        let slot = self.look_up(tenant, device_id).slot?;
        let mut record = *self.devices.get(slot);
        if !record.removed() {
            return Some(false);
        }
        effects
            .journal
            .action(DeviceAction::Restore, tenant, slot, device_id);
        record.set_removed(false);
        self.devices.cold_mut(slot).removed_at = 0;
        self.removed -= 1;
        self.write(slot, record);
        self.count(slot, &record, effects);
        let (policies, time) = (self.policies.clone(), self.time.of(slot));
        if let Some(policy) = policies.at(&record, slot) {
            // Time has passed, and policies have changed, without it.
            self.reevaluate(slot, policy, time, effects);
        }
        Some(true)
    }

    pub(super) fn set_deadline_of_removed(&mut self, slot: SlotIndex, policy: &TenantPolicy) {
        let ends = retention_ends(self.devices.get(slot), self.devices.cold(slot), policy);
        self.deadlines.set(slot, ends.unwrap_or(NEVER));
    }

    /// Empties the slot of a device, and deletes its inventory.
    pub(super) fn free(&mut self, slot: SlotIndex, effects: &mut Effects) {
        let record = *self.devices.get(slot);
        let (tenant, device_id) = (record.tenant, record.device_id);
        let Lookup { hash, .. } = self.look_up(tenant, &device_id);
        self.index.remove(hash, slot);
        if record.removed() {
            self.removed -= 1;
        } else {
            self.uncount(slot, &record, effects);
        }
        self.stale_runs.forget(tenant, slot);
        self.release_profile(slot);
        self.audit
            .record_write(slot, &record, &DeviceRecord::default());
        self.devices.free(slot);
        self.deadlines.set(slot, NEVER);
        self.checkpoint.dirty.insert(slot.page());
        effects.inventories.push(InventoryWrite {
            tenant,
            device_id,
            bytes: Vec::new(),
        });
    }
}
