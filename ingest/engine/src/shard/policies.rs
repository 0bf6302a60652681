//! The policy sets of a shard, by position, and the pass that makes its devices change over (design D25).
//!
//! A pass evaluates some slots in each batch, in order. Meanwhile the policy of a device is that of its slot, for
//! check-ins too. One pass runs at a time. Owned by the thread of the shard; the caller decides how many slots a step
//! has. Memory: two policy sets.

use std::sync::Arc;

use super::Shard;
use super::deadline::deadline;
use super::evaluation::evaluate;
use crate::context::{Context, PolicyPass};
use crate::effects::Effects;
use crate::facet::Facets;
use crate::ids::{SlotIndex, TenantIndex};
use crate::policy::{PolicySet, TenantPolicy};

/// The policy sets of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct PolicySets {
    /// In force for the slots that no pass has reached.
    pub(super) current: Arc<PolicySet>,
    /// The one of the pass in progress, with its cursor: in force for the slots below it.
    pub(super) next: Option<(Arc<PolicySet>, SlotIndex)>,
}

/// The policies of one tenant, by position.
#[derive(Clone, Copy)]
pub(super) struct Policies<'a> {
    current: &'a TenantPolicy,
    next: &'a TenantPolicy,
    cursor: SlotIndex,
}

impl PolicySets {
    /// The policies of a tenant; `None` for a tenant that no policy set knows.
    pub(super) fn of(&self, tenant: TenantIndex) -> Option<Policies<'_>> {
        let current = self.current.tenant(tenant);
        let Some((next, cursor)) = &self.next else {
            let (current, cursor) = (current?, SlotIndex(0));
            let next = current;
            return Some(Policies {
                current,
                next,
                cursor,
            });
        };
        let next = next.tenant(tenant)?;
        Some(Policies {
            // A tenant that is new with the pass has no devices under the old policy set.
            current: current.unwrap_or(next),
            next,
            cursor: *cursor,
        })
    }

    /// The policy of a tenant's device in a slot.
    pub(super) fn at(&self, tenant: TenantIndex, slot: SlotIndex) -> Option<&TenantPolicy> {
        self.of(tenant).map(|policies| policies.of(slot))
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
    pub(super) fn of(&self, slot: SlotIndex) -> &'a TenantPolicy {
        if slot < self.cursor {
            self.next
        } else {
            self.current
        }
    }
}

impl Shard {
    /// The policy set that the shard has, or will have when the pass in progress has ended.
    pub fn policy(&self) -> &Arc<PolicySet> {
        match &self.policies.next {
            Some((next, _)) => next,
            None => &self.policies.current,
        }
    }

    /// The slots that the pass in progress has reached; `None` if there is none.
    pub fn policy_pass(&self) -> Option<SlotIndex> {
        self.policies.next.as_ref().map(|(_, cursor)| *cursor)
    }

    /// Begins to evaluate the devices under another policy set (R21). Must not be called while a pass is in progress.
    pub fn begin_policy_pass(&mut self, policy: Arc<PolicySet>, effects: &mut Effects) {
        assert!(self.policies.next.is_none(), "one pass at a time");
        effects.journal.policy(policy.revision());
        self.policies.next = Some((policy, SlotIndex(0)));
    }

    /// Evaluates the devices of the next `slots` slots under the policy set of the pass in progress, and ends it with
    /// the last one. Returns the number of devices that changed cell.
    pub fn policy_step(&mut self, slots: u32, effects: &mut Effects) -> u32 {
        let Some((policy, cursor)) = self.policies.next.take() else {
            return 0;
        };
        let end = SlotIndex(cursor.0.saturating_add(slots)).min(self.slots_end());
        let mut changed = 0;
        for slot in cursor.until(end) {
            let record = self.devices.get(slot);
            let Some(policy) = policy.tenant(record.tenant) else {
                continue;
            };
            if record.removed {
                self.set_deadline_of_removed(slot, policy);
            } else if record.is_occupied() {
                let time = self.time.of(slot);
                changed += u32::from(self.reevaluate(slot, policy, time, effects));
            }
        }
        if end == self.slots_end() {
            self.policies.current = policy;
            effects.journal.policy_reached(SlotIndex::MAX);
        } else {
            self.policies.next = Some((policy, end));
            effects.journal.policy_reached(end);
        }
        changed
    }

    /// [`Shard::begin_policy_pass`] and all of its steps.
    pub fn apply_policy(&mut self, policy: Arc<PolicySet>, effects: &mut Effects) -> u32 {
        self.begin_policy_pass(policy, effects);
        self.policy_step(u32::MAX, effects)
    }

    /// Evaluates the device in a slot, which is not removed, and sets its deadline. Returns whether it changed cell.
    pub(super) fn reevaluate(
        &mut self,
        slot: SlotIndex,
        policy: &TenantPolicy,
        evaluated_at: u32,
        effects: &mut Effects,
    ) -> bool {
        let mut record = *self.devices.get(slot);
        // A record has facets that decode: the shard encoded them.
        let Some(reported) = Facets::from_word(record.facets) else {
            return false;
        };
        let facets = evaluate(&record, reported, policy, evaluated_at).word();
        let changed = facets != record.facets;
        if changed {
            record.facets = facets;
            self.update(slot, record, effects);
        }
        self.deadlines
            .set(slot, deadline(&record, policy, evaluated_at));
        changed
    }

    /// What the verdicts depend on besides the records.
    pub fn context(&self) -> Context {
        Context {
            revision: self.policies.current.revision(),
            pass: self
                .policies
                .next
                .as_ref()
                .map(|(policy, cursor)| PolicyPass {
                    revision: policy.revision(),
                    cursor: *cursor,
                }),
            time: self.time,
        }
    }
}
