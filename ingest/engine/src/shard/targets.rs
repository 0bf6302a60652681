//! The targets of devices, which the control plane knows: the groups that a device is a member of.
//!
//! The shard of a device numbers its set of targets and keeps the number in the record (design D23), so that a check-in
//! costs a look-up and no evaluation of memberships. The set of a device that has not checked in yet waits here, in
//! memory only: after a start, the control plane gives the sets of all devices again.
//!
//! Owned by the thread of the shard. Bounded by the members that the control plane allows each tenant.

use muster_wire::DeviceId;

use super::Shard;
use crate::effects::{Effects, ProfileDefinition, Transition};
use crate::ids::{ProfileId, SlotIndex, TargetId, TenantIndex};

impl Shard {
    /// Sets the targets of a device: all that hold for it, ascending. Returns whether it changed cell.
    pub fn set_targets(
        &mut self,
        tenant: TenantIndex,
        device_id: &DeviceId,
        targets: &[TargetId],
        effects: &mut Effects,
    ) -> bool {
        let Some(slot) = self.look_up(tenant, device_id).slot else {
            let device = (tenant, *device_id);
            if targets.is_empty() {
                self.waiting.remove(&device);
            } else {
                self.waiting.insert(device, targets.into());
            }
            return false;
        };
        let before = self.devices.get(slot).facets;
        if self.change_profile(slot, targets, effects).is_some() {
            effects
                .targeted
                .push((slot, self.devices.get(slot).profile()));
        }
        self.devices.get(slot).facets != before
    }

    /// Number of sets of targets that are in use.
    pub fn profiles(&self) -> usize {
        self.profiles.len()
    }

    /// Number of devices whose targets are known before their first check-in.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The targets of a device with this profile.
    pub fn targets_of(&self, profile: ProfileId) -> &[TargetId] {
        let set = self.profiles.get(profile);
        set.map_or(&[], |set| &set.targets)
    }

    /// Every device that has targets.
    pub(super) fn targeted_devices(&self) -> Vec<(TenantIndex, DeviceId)> {
        if self.profiles.len() == 0 {
            return Vec::new();
        }
        let slots = self.devices.occupied();
        let records = slots.map(|slot| self.devices.get(slot));
        let targeted = records.filter(|record| record.profile() != ProfileId::default());
        targeted
            .map(|record| (record.tenant, record.device_id))
            .collect()
    }

    /// Gives a device that was just created the targets that wait for it. Its creation is journaled later in the batch,
    /// so the profile is journaled at the end.
    pub(super) fn target_new_device(&mut self, slot: SlotIndex, effects: &mut Effects) {
        if self.waiting.is_empty() {
            return;
        }
        let record = self.devices.get(slot);
        let Some(targets) = self.waiting.remove(&(record.tenant, record.device_id)) else {
            return;
        };
        if let Some(profile) = self.change_profile(slot, &targets, effects) {
            effects.targeted.push((slot, profile));
        }
    }

    /// Gives the device in a slot the profile of a set, and evaluates it. Returns the profile if it is another one.
    fn change_profile(
        &mut self,
        slot: SlotIndex,
        targets: &[TargetId],
        effects: &mut Effects,
    ) -> Option<ProfileId> {
        let mut record = *self.devices.get(slot);
        let (profile, is_new) = self.profiles.number(record.tenant, targets);
        if is_new && let Some(set) = self.profiles.get(profile) {
            effects.journal.profile(profile, set.tenant, targets);
            effects.profiles.push(ProfileDefinition {
                profile,
                tenant: set.tenant,
                targets: targets.into(),
            });
            self.policies.define(profile, set);
        }
        if profile == record.profile() {
            return None;
        }
        self.profiles.enter(profile);
        self.profiles.leave(record.profile());
        record.set_profile(profile);
        self.write(slot, record);
        let moved = effects.transitions.len();
        let policies = self.policies.clone();
        if let Some(policy) = policies.at(&record, slot) {
            if record.removed() {
                self.set_deadline_of_removed(slot, policy);
            } else {
                self.reevaluate(slot, policy, self.time.of(slot), effects);
            }
        }
        if effects.transitions.len() == moved && !record.removed() {
            // It stays in its cell, and whoever reads the devices of some groups learns of it.
            effects.transitions.push(Transition {
                slot,
                device_id: record.device_id,
                tenant: record.tenant,
                before: Some(record.facets),
                after: Some(record.facets),
                profile,
                has_new_inventory: false,
            });
        }
        Some(profile)
    }

    /// A device is gone: its profile has one device less, and its targets wait for its next check-in.
    pub(super) fn release_profile(&mut self, slot: SlotIndex) {
        let record = *self.devices.get(slot);
        let targets = self.targets_of(record.profile());
        if !targets.is_empty() {
            let targets = targets.into();
            self.waiting
                .insert((record.tenant, record.device_id), targets);
            self.profiles.leave(record.profile());
        }
    }
}
