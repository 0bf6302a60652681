//! Applies events to a shard: check-ins, policy changes, the passing of time.
//!
//! Hot path: no allocation per check-in except those that [`super`] lists. Owned by the thread of the shard. Bounded by
//! [`super::ShardLimits`]. Does not write: effects are collected for the caller.

use std::ops::Range;
use std::sync::Arc;

use muster_wire::{CheckInRecord, RejectReason, Rejection};

use super::Shard;
use super::evaluation::{evaluate, is_cached, observe, observe_cached, repeats, report};
use super::lookup::{LOOKAHEAD, Lookup};
use crate::cell::{CellId, CellKey};
use crate::cohort::CohortId;
use crate::device::DeviceRecord;
use crate::effects::{Effects, Outcome};
use crate::facet::Facets;
use crate::ids::{SlotIndex, TenantIndex};
use crate::policy::{PolicySet, TenantPolicy};

/// The outcome of one record.
pub(super) enum Verdict {
    Accepted {
        /// The device's slot if this check-in repeats its previous one in everything except the flags.
        repeats: Option<SlotIndex>,
    },
    Duplicate,
    Stale,
    Rejected(RejectReason),
}

impl Verdict {
    /// Accepted, and not a repeated check-in.
    const ACCEPTED: Self = Self::Accepted { repeats: None };
}

impl Shard {
    /// Applies the check-ins of one tenant in order: exactly-once by (device, seq) (design D9).
    pub fn apply_check_ins(
        &mut self,
        tenant: TenantIndex,
        records: &[CheckInRecord],
        effects: &mut Effects,
    ) -> Outcome {
        let policy = Arc::clone(&self.policy);
        let mut outcome = Outcome::default();
        let Some(policy) = policy.tenant(tenant) else {
            // Sessions admit only tenants of the policy set. Deny by default.
            for record in records {
                let reason = RejectReason::UnknownDevice;
                effects
                    .rejections
                    .push(Rejection::new(record.device_id(), record.seq(), reason));
            }
            outcome.rejected = records.len() as u32;
            return outcome;
        };
        self.apply_in_order(
            tenant,
            policy,
            records,
            effects,
            |record, verdict, effects| {
                record_verdict(tenant, record, verdict, &mut outcome, effects);
            },
        );
        outcome
    }

    /// Applies the check-ins of one tenant in order and calls `on_verdict` for each.
    pub(super) fn apply_in_order(
        &mut self,
        tenant: TenantIndex,
        policy: &TenantPolicy,
        records: &[CheckInRecord],
        effects: &mut Effects,
        mut on_verdict: impl FnMut(&CheckInRecord, Verdict, &mut Effects),
    ) {
        let mut found = [Lookup::default(); LOOKAHEAD];
        for records in records.chunks(LOOKAHEAD) {
            for (lookup, record) in found.iter_mut().zip(records) {
                lookup.hash = self.index.hash(tenant, &record.device_id());
            }
            self.prefetch(&found[..records.len()]);
            for (lookup, record) in found.iter_mut().zip(records) {
                lookup.slot =
                    self.index
                        .find(lookup.hash, tenant, &record.device_id(), &self.devices);
            }
            for (lookup, record) in found.iter().zip(records) {
                let verdict = self.apply_check_in(tenant, policy, record, *lookup, effects);
                on_verdict(record, verdict, effects);
            }
        }
    }

    /// Applies one check-in. Its lookup may be older than the check-ins before it in the batch: a slot that was found
    /// stays valid, and a device that was not found is looked up again. Only an accepted check-in changes the state.
    pub(super) fn apply_check_in(
        &mut self,
        tenant: TenantIndex,
        policy: &TenantPolicy,
        check_in: &CheckInRecord,
        Lookup { hash, slot }: Lookup,
        effects: &mut Effects,
    ) -> Verdict {
        let now = effects.now;
        let device_id = check_in.device_id();
        let slot = slot.or_else(|| self.index.find(hash, tenant, &device_id, &self.devices));
        let Some(slot) = slot else {
            if let Some(reason) = self.refuses_new_device(policy) {
                return Verdict::Rejected(reason);
            }
            let mut record = DeviceRecord {
                device_id,
                tenant,
                first_seen: now,
                ..DeviceRecord::default()
            };
            let reported = report(&mut record, false, check_in);
            let facets = observe(&mut record, reported, check_in.seq(), policy, now);
            let key = CellKey {
                tenant,
                cohort: CohortId::default(),
                facets: facets.word(),
            };
            return self.create(hash, record, key, effects);
        };
        let record = *self.devices.get(slot);
        if check_in.seq() <= record.seq {
            return if check_in.seq() == record.seq {
                Verdict::Duplicate
            } else {
                Verdict::Stale
            };
        }
        let cached = self.cells.cell(record.cell);
        let before = cached.key;
        let repeats = repeats(&record, cached, check_in);
        let mut after = record;
        let facets = if self.evaluation.is_complete() && is_cached(&record, cached, check_in) {
            observe_cached(&mut after, before.facets, check_in, policy, now)
        } else {
            let ever_onboarded = before.facets.ever_onboarded();
            let reported = report(&mut after, ever_onboarded, check_in);
            observe(&mut after, reported, check_in.seq(), policy, now).word()
        };
        let key = CellKey { facets, ..before };
        match self.update(slot, after, key, effects) {
            Verdict::Accepted { .. } if repeats => Verdict::Accepted {
                repeats: Some(slot),
            },
            verdict => verdict,
        }
    }

    /// Installs a policy set and evaluates every device under it (R21). Must be the first event of its batch.
    /// Returns the number of devices that changed cell.
    pub fn apply_policy(&mut self, policy: Arc<PolicySet>, effects: &mut Effects) -> u32 {
        effects.journal.policy(policy.revision());
        self.policy = policy;
        self.reevaluate_all(SlotIndex(0)..self.slots_end(), effects)
    }

    /// Reevaluates the devices of `slots` slots from `first`, because time has passed (R17). Journals nothing if
    /// nothing changed. Returns the number of devices that changed cell.
    pub fn apply_time(&mut self, first: SlotIndex, slots: u32, effects: &mut Effects) -> u32 {
        let slots = self.clip_slots(first, slots);
        let changed = self.reevaluate_all(slots.clone(), effects);
        if changed > 0 {
            effects
                .journal
                .time(slots.start, slots.end.0 - slots.start.0);
        }
        changed
    }

    /// One past the last slot.
    pub(super) fn slots_end(&self) -> SlotIndex {
        SlotIndex(self.slots())
    }

    /// `slots` slots from `first`, clipped to the slots that exist.
    pub(super) fn clip_slots(&self, first: SlotIndex, slots: u32) -> Range<SlotIndex> {
        let end = self
            .slots_end()
            .min(SlotIndex(first.0.saturating_add(slots)));
        first.min(end)..end
    }

    fn reevaluate_all(&mut self, slots: Range<SlotIndex>, effects: &mut Effects) -> u32 {
        let (changed, not_moved) = self.reevaluate(slots.clone(), effects, |_| true);
        self.evaluation
            .record(slots, self.slots_end(), not_moved > 0);
        changed
    }

    /// Reevaluates stored state. `include` lets a replay skip slots whose page already contains this event. Returns the
    /// number of devices that changed cell and the number that a full cell table kept in their cell; the next sweep
    /// retries those.
    pub(super) fn reevaluate(
        &mut self,
        slots: Range<SlotIndex>,
        effects: &mut Effects,
        include: impl Fn(SlotIndex) -> bool,
    ) -> (u32, u32) {
        let policies = Arc::clone(&self.policy);
        let now = effects.now;
        let (mut changed, mut not_moved) = (0, 0);
        for slot in slots.start.until(slots.end) {
            let record = *self.devices.get(slot);
            if !record.is_occupied() || !include(slot) {
                continue;
            }
            let before = self.cells.key(record.cell);
            let (Some(policy), Some(reported)) = (
                policies.tenant(record.tenant),
                Facets::from_word(before.facets),
            ) else {
                continue; // a tenant removed from the configuration keeps its last facets
            };
            let facets = evaluate(&record, reported, policy, now);
            let key = CellKey {
                facets: facets.word(),
                ..before
            };
            if key != before {
                match self.update(slot, record, key, effects) {
                    Verdict::Accepted { .. } => changed += 1,
                    _ => not_moved += 1,
                }
            }
        }
        (changed, not_moved)
    }

    pub(super) fn refuses_new_device(&self, policy: &TenantPolicy) -> Option<RejectReason> {
        if !policy.auto_create_devices {
            return Some(RejectReason::UnknownDevice);
        }
        (self.devices.devices() >= self.limits.devices_max).then_some(RejectReason::DeviceLimit)
    }

    pub(super) fn create(
        &mut self,
        hash: u64,
        mut record: DeviceRecord,
        key: CellKey,
        effects: &mut Effects,
    ) -> Verdict {
        let Some(cell) = self.cell(key, effects) else {
            return Verdict::Rejected(RejectReason::CellLimit);
        };
        record.cell = cell;
        let slot = self.devices.insert(record);
        self.audit
            .record_write(slot, &DeviceRecord::default(), &record);
        self.index.insert(hash, slot, &self.devices);
        self.cells.enter(cell);
        self.checkpoint.dirty.insert(slot.page());
        effects.transitions += 1;
        Verdict::ACCEPTED
    }

    /// Replaces the record of a device and moves the device to the cell of this key. Inlined for the reason given in
    /// `evaluation.rs`.
    #[inline(always)]
    pub(super) fn update(
        &mut self,
        slot: SlotIndex,
        mut record: DeviceRecord,
        key: CellKey,
        effects: &mut Effects,
    ) -> Verdict {
        let from = record.cell;
        if key != self.cells.key(from) {
            let Some(to) = self.cell(key, effects) else {
                return Verdict::Rejected(RejectReason::CellLimit);
            };
            record.cell = to;
            self.cells.leave(from);
            self.cells.enter(to);
            effects.transitions += 1;
        }
        let stored = self.devices.get_mut(slot);
        self.audit.record_write(slot, stored, &record);
        *stored = record;
        self.checkpoint.dirty.insert(slot.page());
        Verdict::ACCEPTED
    }

    fn cell(&mut self, key: CellKey, effects: &mut Effects) -> Option<CellId> {
        let (id, new) = self.cells.intern(key)?;
        if new {
            effects.cells.push((id, key.encode().to_vec()));
        }
        Some(id)
    }
}

/// Counts the verdict of a check-in, journals an accepted one, and keeps the reason of a rejected one. Inlined because
/// it runs once per check-in.
#[inline(always)]
fn record_verdict(
    tenant: TenantIndex,
    record: &CheckInRecord,
    verdict: Verdict,
    outcome: &mut Outcome,
    effects: &mut Effects,
) {
    match verdict {
        Verdict::Accepted { repeats } => {
            match repeats {
                Some(slot) => effects.journal.repeated(tenant, slot, record),
                None => effects.journal.check_in(tenant, record),
            }
            outcome.accepted += 1;
        }
        Verdict::Duplicate => outcome.duplicate += 1,
        Verdict::Stale => outcome.stale += 1,
        Verdict::Rejected(reason) => {
            let rejection = Rejection::new(record.device_id(), record.seq(), reason);
            effects.rejections.push(rejection);
            outcome.rejected += 1;
        }
    }
}
