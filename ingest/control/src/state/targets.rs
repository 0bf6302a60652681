//! The groups of devices as the shards know them: targets, to which policies are assigned.
//!
//! Derived from the objects when asked; it changes nothing.

use std::collections::BTreeMap;

use muster_engine::{TargetId, TenantIndex};
use muster_wire::DeviceId;

use super::ControlPlane;
use crate::id::ObjectId;

impl ControlPlane {
    /// The target that a group is for shards; `None` for a group that does not exist and for a built-in one.
    #[must_use]
    pub fn target(&self, tenant: TenantIndex, group: ObjectId) -> Option<TargetId> {
        let tenant = self.tenants.get(&tenant)?;
        tenant.targets.get(&group).copied()
    }

    /// The targets of one device, ascending.
    #[must_use]
    pub fn targets_of(&self, tenant: TenantIndex, device: &DeviceId) -> Vec<TargetId> {
        let Some(tenant) = self.tenants.get(&tenant) else {
            return Vec::new();
        };
        let groups = tenant.targets.iter();
        let groups = groups.filter(|(group, _)| tenant.has_member(**group, device));
        let mut targets: Vec<_> = groups.map(|(_, target)| *target).collect();
        targets.sort_unstable();
        targets
    }

    /// Every device that is a member of a group, with its targets, ascending.
    #[must_use]
    pub fn targeted(&self) -> BTreeMap<(TenantIndex, DeviceId), Vec<TargetId>> {
        let mut targeted: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, tenant) in &self.tenants {
            for (group, members) in &tenant.members {
                let Some(target) = tenant.targets.get(group) else {
                    continue;
                };
                for member in &**members {
                    targeted.entry((*index, *member)).or_default().push(*target);
                }
            }
        }
        targeted
            .values_mut()
            .for_each(|targets| targets.sort_unstable());
        targeted
    }
}
