//! The policies of a shard, by position and profile: while a policy pass is in progress, the policy of a device is that
//! of its slot, for check-ins too (design D25).
//!
//! Owned by the shard. Memory: two policy sets, and what follows from them for each profile.

use std::sync::Arc;

use crate::device::DeviceRecord;
use crate::ids::{ProfileId, SlotIndex, TenantIndex};
use crate::policy::{PolicySet, TenantPolicy};
use crate::profile::{Profile, Profiles};

/// The policy sets of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct PolicySets {
    /// In force for the slots that no pass has reached.
    pub(super) current: Arc<PolicySet>,
    /// The one of the pass in progress, with its cursor: in force for the slots below it.
    pub(super) next: Option<(Arc<PolicySet>, SlotIndex)>,
    /// What follows from both for each profile.
    profiles: Arc<OfProfiles>,
}

/// Policies by number of profile, from 1.
#[derive(Clone, Debug, Default)]
struct OfProfiles {
    current: Vec<TenantPolicy>,
    /// Empty if there is no pass.
    next: Vec<TenantPolicy>,
}

/// The policies of one tenant, by position and profile.
#[derive(Clone, Copy)]
pub(super) struct Policies<'a> {
    current: &'a TenantPolicy,
    next: &'a TenantPolicy,
    cursor: SlotIndex,
    profiles: &'a OfProfiles,
}

impl PolicySets {
    /// The policies of a tenant; `None` for a tenant that no policy set knows.
    pub(super) fn of(&self, tenant: TenantIndex) -> Option<Policies<'_>> {
        let current = self.current.tenant(tenant);
        let Some((next, cursor)) = &self.next else {
            let current = current?;
            return Some(Policies {
                current,
                next: current,
                cursor: SlotIndex(0),
                profiles: &self.profiles,
            });
        };
        let next = next.tenant(tenant)?;
        Some(Policies {
            // A tenant that is new with the pass has no devices under the old policy set.
            current: current.unwrap_or(next),
            next,
            cursor: *cursor,
            profiles: &self.profiles,
        })
    }

    /// The policy of the device in a slot.
    pub(super) fn at(&self, record: &DeviceRecord, slot: SlotIndex) -> Option<&TenantPolicy> {
        let policies = self.of(record.tenant)?;
        Some(policies.of(slot, record.profile()))
    }

    /// Computes what follows for a profile that was defined.
    pub(super) fn define(&mut self, profile: ProfileId, set: &Profile) {
        let profiles = Arc::make_mut(&mut self.profiles);
        let put = |policies: &mut Vec<TenantPolicy>, policy_set: &PolicySet| {
            let policy = policy_set.for_targets(set.tenant, &set.targets);
            let index = profile.0 as usize - 1;
            policies.resize(policies.len().max(index + 1), TenantPolicy::default());
            policies[index] = policy.unwrap_or_default();
        };
        put(&mut profiles.current, &self.current);
        if let Some((next, _)) = &self.next {
            put(&mut profiles.next, next);
        }
    }

    /// Computes what follows for all profiles, after the policy sets have changed.
    pub(super) fn define_all(&mut self, all: &Profiles) {
        self.profiles = Arc::default();
        all.iter()
            .for_each(|(profile, set)| self.define(profile, set));
    }

    /// Ends the pass.
    pub(super) fn end_pass(&mut self) {
        if let Some((next, _)) = self.next.take() {
            self.current = next;
            let profiles = Arc::make_mut(&mut self.profiles);
            profiles.current = std::mem::take(&mut profiles.next);
        }
    }

    /// Number of tenants that have been created.
    pub(super) fn tenants(&self) -> usize {
        let latest = self.next.as_ref().map_or(&self.current, |(next, _)| next);
        latest.tenants().len()
    }
}

impl<'a> Policies<'a> {
    /// The policy of the device in a slot.
    #[inline(always)]
    pub(super) fn of(&self, slot: SlotIndex, profile: ProfileId) -> &'a TenantPolicy {
        let is_reached = slot < self.cursor;
        if profile == ProfileId::default() {
            return if is_reached { self.next } else { self.current };
        }
        let policies = if is_reached {
            &self.profiles.next
        } else {
            &self.profiles.current
        };
        // A number that is not defined occurs only in damaged state, which a recovery refuses at its end.
        let policy = policies.get(profile.0 as usize - 1);
        policy.unwrap_or(if is_reached { self.next } else { self.current })
    }
}
