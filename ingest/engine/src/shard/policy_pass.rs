//! The pass that makes the devices of a shard change over to another policy set (design D25).
//!
//! A pass evaluates some slots in each batch, in order. One pass runs at a time. Owned by the thread of the shard; the
//! caller decides how many slots a step has.

use std::sync::Arc;

use super::Shard;
use super::deadline::deadline;
use super::evaluation::evaluate;
use crate::context::{Context, PolicyPass};
use crate::effects::Effects;
use crate::facet::Facets;
use crate::ids::SlotIndex;
use crate::policy::{PolicySet, TenantPolicy};

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
        self.policies.define_all(&self.profiles);
    }

    /// Evaluates the devices of the next `slots` slots under the policy set of the pass in progress, and ends it with
    /// the last one. Returns the number of devices that changed cell.
    pub fn policy_step(&mut self, slots: u32, effects: &mut Effects) -> u32 {
        let Some((_, cursor)) = self.policies.next else {
            return 0;
        };
        let end = SlotIndex(cursor.0.saturating_add(slots)).min(self.slots_end());
        if let Some((_, cursor)) = &mut self.policies.next {
            *cursor = end;
        }
        let policies = self.policies.clone();
        let mut changed = 0;
        for slot in cursor.until(end) {
            let record = self.devices.get(slot);
            let Some(policy) = policies.at(record, slot) else {
                continue;
            };
            if record.removed() {
                self.set_deadline_of_removed(slot, policy);
            } else if record.is_occupied() {
                let time = self.time.of(slot);
                changed += u32::from(self.reevaluate(slot, policy, time, effects));
            }
        }
        drop(policies);
        if end == self.slots_end() {
            self.policies.end_pass();
            effects.journal.policy_reached(SlotIndex::MAX);
        } else {
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
        let cold = self.devices.cold(slot);
        let facets = evaluate(&record, cold, reported, policy, evaluated_at).word();
        let changed = facets != record.facets;
        if changed {
            record.facets = facets;
            self.update(slot, record, effects);
        }
        self.deadlines
            .set(slot, deadline(&record, policy, evaluated_at));
        changed
    }

    /// What a checkpoint record has of the shard besides its pages, as of now: context and profiles.
    pub fn checkpoint_context(&self) -> Vec<u8> {
        let mut bytes = self.context().encode();
        self.profiles.encode(&mut bytes);
        bytes
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
