//! Removal of devices by operators, and the end of their retention.

use muster_wire::DeviceId;

use super::{Model, ModelEntry};
use crate::ids::TenantIndex;
use crate::policy::PolicySet;
use crate::time::Timestamp;

impl ModelEntry {
    /// Whether its retention has ended.
    pub(super) fn is_over(&self, policy: &PolicySet, tenant: TenantIndex, now: Timestamp) -> bool {
        let Some(rules) = policy.tenant(tenant) else {
            return false;
        };
        let is_offboarded = self.device.kept.is_some() && !self.device.is_onboarded();
        let (since, kept) = match self.removed_at {
            Some(at) => (at, rules.retention.removed_seconds),
            None if is_offboarded => (self.device.last_check_in, rules.retention.profile_seconds),
            None => return false,
        };
        now.as_seconds() - since > kept
    }
}

impl Model {
    /// An operator removes a device, or restores it.
    pub fn remove(
        &mut self,
        tenant: TenantIndex,
        device_id: DeviceId,
        restores: bool,
        now: Timestamp,
    ) {
        if let Some(entry) = self.devices.get_mut(&(tenant, device_id)) {
            let since = entry.removed_at.unwrap_or(now.as_seconds());
            entry.removed_at = (!restores).then_some(since);
        }
    }

    /// A device is gone. Returns whether its retention has ended.
    pub fn free(
        &mut self,
        policy: &PolicySet,
        tenant: TenantIndex,
        device_id: DeviceId,
        now: Timestamp,
    ) -> bool {
        let entry = self.devices.remove(&(tenant, device_id));
        entry.is_some_and(|entry| entry.is_over(policy, tenant, now))
    }

    pub(super) fn is_removed(&self, tenant: TenantIndex, device_id: DeviceId) -> bool {
        let entry = self.devices.get(&(tenant, device_id));
        entry.is_some_and(|entry| entry.removed_at.is_some())
    }
}
