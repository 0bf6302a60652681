//! What is not a record of a device: the passing of time, changes of policy, and actions on single devices.
//!
//! Owned by the thread. Time and policies visit one shard after the other, so that most batches touch one or two.

use std::collections::HashSet;
use std::sync::Arc;

use muster_wire::DeviceId;

use super::super::Shard;
use super::super::policies::PolicySets;
use super::super::sequence::SequenceReset;
use super::{Member, ShardSet};
use crate::effects::Effects;
use crate::ids::{TargetId, TenantIndex};
use crate::policy::PolicySet;

impl ShardSet {
    /// The policy set that every shard has, or will have when the pass in progress has ended.
    pub fn policy(&self) -> &Arc<PolicySet> {
        let policies = self.shards().map(Shard::policy);
        // The same in all of them but after a crash in the middle of their recovery from several passes.
        policies
            .min_by_key(|policy| policy.revision())
            .expect("a set has at least one shard")
    }

    /// Whether some devices are still evaluated under an earlier policy set.
    pub fn policy_pass_is_running(&self) -> bool {
        self.shards().any(|shard| shard.policy_pass().is_some())
    }

    /// Begins a policy pass in every shard that has an older policy set, see [`Shard::begin_policy_pass`].
    pub fn begin_policy_pass(&mut self, policy: &Arc<PolicySet>) {
        for place in self.places() {
            if self.shard(place).revision() < policy.revision() {
                self.touch(place);
                let policy = Arc::clone(policy);
                self.change_policies(place, |shard, effects| {
                    shard.begin_policy_pass(policy, effects);
                });
            }
        }
    }

    /// Evaluates the devices of the next `slots` slots, one shard after the other, see [`Shard::policy_step`].
    pub fn policy_step(&mut self, slots: u32) -> u32 {
        let (mut changed, mut left) = (0, slots);
        for place in self.places() {
            let Some(reached) = self.shard(place).policy_pass() else {
                continue;
            };
            if left == 0 {
                break;
            }
            self.touch(place);
            changed +=
                self.change_policies(place, |shard, effects| shard.policy_step(left, effects));
            left = left.saturating_sub((self.shard(place).slots() - reached.0).max(1));
        }
        changed
    }

    /// A whole policy pass of every shard.
    pub fn apply_policy(&mut self, policy: &Arc<PolicySet>) -> u32 {
        self.begin_policy_pass(policy);
        self.policy_step(u32::MAX)
    }

    /// Evaluates up to `due_max` due devices, one shard after the other, see [`Shard::tick`]. A shard in which no device
    /// is due stays untouched.
    pub fn tick(&mut self, due_max: u32) -> u32 {
        let (mut changed, mut left) = (0, due_max);
        for place in self.places() {
            let now = self.now;
            if left > 0 && !self.members[place].shard.pass_idle_time(now) {
                let Member { shard, effects, .. } = self.touch(place);
                let visited = shard.tick(left, effects);
                changed += visited.changed;
                left = left.saturating_sub(visited.due.max(1));
            }
        }
        changed
    }

    /// Whether further devices are due at the time of the last tick.
    pub fn tick_is_running(&self) -> bool {
        self.shards().any(|shard| shard.time.tick.is_some())
    }

    /// Calls a method that changes the policies of a shard. Its copy here is dropped before, so that it changes them in
    /// place.
    pub(super) fn change_policies<R>(
        &mut self,
        place: usize,
        change: impl FnOnce(&mut Shard, &mut Effects) -> R,
    ) -> R {
        let Member {
            shard,
            effects,
            policies,
        } = &mut self.members[place];
        *policies = PolicySets::default();
        let result = change(shard, effects);
        *policies = shard.policies.clone();
        result
    }

    /// Sets the targets of a device, see [`Shard::set_targets`].
    pub fn set_targets(
        &mut self,
        tenant: TenantIndex,
        device: &DeviceId,
        targets: &[TargetId],
    ) -> bool {
        let place = self.place_of(device);
        self.touch(place);
        self.change_policies(place, |shard, effects| {
            shard.set_targets(tenant, device, targets, effects)
        })
    }

    /// Clears the targets of all devices that are not among these.
    pub fn clear_targets_except(&mut self, known: &HashSet<(TenantIndex, DeviceId)>) -> u32 {
        let mut changed = 0;
        for place in self.places() {
            for (tenant, device) in self.shard(place).targeted_devices() {
                if !known.contains(&(tenant, device)) {
                    changed += u32::from(self.set_targets(tenant, &device, &[]));
                }
            }
        }
        changed
    }

    /// Removes a device, see [`Shard::remove_device`].
    pub fn remove_device(&mut self, tenant: TenantIndex, device: &DeviceId) -> Option<bool> {
        let Member { shard, effects, .. } = self.touch(self.place_of(device));
        shard.remove_device(tenant, device, effects)
    }

    /// Restores a removed device, see [`Shard::restore_device`].
    pub fn restore_device(&mut self, tenant: TenantIndex, device: &DeviceId) -> Option<bool> {
        let Member { shard, effects, .. } = self.touch(self.place_of(device));
        shard.restore_device(tenant, device, effects)
    }

    /// Resets the numbers of a device, see [`Shard::reset_sequence`].
    pub fn reset_sequence(
        &mut self,
        tenant: TenantIndex,
        device: &DeviceId,
    ) -> Option<SequenceReset> {
        let Member { shard, effects, .. } = self.touch(self.place_of(device));
        shard.reset_sequence(tenant, device, effects)
    }
}
