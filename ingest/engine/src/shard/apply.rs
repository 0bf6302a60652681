//! Applies events to a shard: check-ins, policy changes, the passing of time.
//!
//! Hot path: no allocation per check-in except those that [`super`] lists. Owned by the thread of the shard. Bounded by
//! [`super::ShardLimits`]. Does not write: effects are collected for the caller.

use std::ops::Range;
use std::sync::Arc;

use muster_wire::{CheckInRecord, RejectReason, Rejection, Stored};

use super::Shard;
use super::evaluation::{evaluate, is_cached, observe_cached, repeats, report_and_observe};
use super::lookup::{LOOKAHEAD, Lookup};
use crate::device::{ColdRecord, DeviceRecord};
use crate::effects::{Effects, Outcome};
use crate::facet::Facets;
use crate::ids::{SlotIndex, TenantIndex};
use crate::numbers::is_leap;
use crate::policy::{PolicySet, TenantPolicy};

/// The outcome of one record. [`Effects::stored`] has the stored number with `Stale` and `SeqAhead`.
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
    pub(super) const ACCEPTED: Self = Self::Accepted { repeats: None };
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
            |_| true,
            |record, verdict, effects| {
                record_verdict(tenant, record, verdict, &mut outcome, effects);
            },
        );
        outcome
    }

    /// Applies the check-ins of one tenant in order and calls `on_verdict` for each. `include` lets a replay skip slots
    /// whose page already contains them.
    pub(super) fn apply_in_order(
        &mut self,
        tenant: TenantIndex,
        policy: &TenantPolicy,
        records: &[CheckInRecord],
        effects: &mut Effects,
        include: impl Fn(SlotIndex) -> bool,
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
            self.prefetch_cold(&found[..records.len()]);
            for (lookup, record) in found.iter().zip(records) {
                if lookup.slot.is_some_and(|slot| !include(slot)) {
                    continue;
                }
                let verdict = self.apply_check_in(tenant, policy, record, *lookup, effects);
                on_verdict(record, verdict, effects);
            }
        }
    }

    /// Applies one check-in. Its lookup may be older than the check-ins before it in the batch: a slot that was found
    /// stays valid, and a device that was not found is looked up again. Only an accepted check-in changes the state. A
    /// check-in of a known device is accepted if its seq follows.
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
            if check_in.seq() > effects.numbers_max.seq && is_leap(0, check_in.seq()) {
                effects.stored = Some(Stored::Seq(0));
                return Verdict::Rejected(RejectReason::SeqAhead);
            }
            let mut record = DeviceRecord {
                device_id,
                tenant,
                ..DeviceRecord::default()
            };
            report_and_observe(&mut record, check_in, policy, now, now);
            let cold = ColdRecord {
                first_seen: now,
                ..ColdRecord::default()
            };
            self.create(hash, record, cold, effects);
            return Verdict::ACCEPTED;
        };
        let mut record = *self.devices.get(slot);
        if check_in.seq() <= record.seq {
            return if check_in.seq() == record.seq {
                Verdict::Duplicate
            } else {
                effects.stored = Some(Stored::Seq(record.seq));
                let (devices, tenants) = (&self.devices, self.policy.tenants().len());
                self.stale_runs
                    .note((tenant, tenants), (slot, record.seq), now, |slot| {
                        devices.get(slot).seq
                    });
                Verdict::Stale
            };
        }
        if check_in.seq() > effects.numbers_max.seq && is_leap(record.seq, check_in.seq()) {
            effects.stored = Some(Stored::Seq(record.seq));
            return Verdict::Rejected(RejectReason::SeqAhead);
        }
        let repeats = repeats(&record, check_in);
        self.clip_times(slot, &mut record, now);
        let first_seen = self.first_seen_without_report(slot, &record);
        if is_cached(&record, check_in) {
            observe_cached(&mut record, check_in, policy, first_seen, now);
        } else {
            report_and_observe(&mut record, check_in, policy, first_seen, now);
        }
        self.update(slot, record, effects);
        Verdict::Accepted {
            repeats: repeats.then_some(slot),
        }
    }

    /// Before a check-in at `now`: moves times of its device that lie ahead to `now`. They are from before the clock
    /// was set back.
    ///
    /// A limitation: until its next check-in a device keeps these times and is evaluated as at its last check-in. If it
    /// is silent from then on, it is found silent only when its limit, counted from that check-in, has passed.
    #[inline(always)]
    pub(super) fn clip_times(&mut self, slot: SlotIndex, record: &mut DeviceRecord, now: u32) {
        // No other time of a device is later than its last check-in; one that has only sent an inventory has none.
        if record.last_check_in > now || record.seq == 0 {
            self.set_times_back(slot, record, now);
        }
    }

    #[cold]
    #[inline(never)]
    fn set_times_back(&mut self, slot: SlotIndex, record: &mut DeviceRecord, now: u32) {
        record.clip_times(now);
        let cold = self.devices.cold_mut(slot);
        cold.first_seen = now.min(cold.first_seen);
    }

    /// When the device was created, which the rules ask for a device that has never made a full report; 0 for others,
    /// whose cold record stays untouched.
    #[inline(always)]
    pub(super) fn first_seen_without_report(&self, slot: SlotIndex, record: &DeviceRecord) -> u32 {
        if record.last_full_report == 0 {
            self.devices.cold(slot).first_seen
        } else {
            0
        }
    }

    /// Installs a policy set and evaluates every device under it (R21). Must be the first event of its batch.
    /// Returns the number of devices that changed cell.
    pub fn apply_policy(&mut self, policy: Arc<PolicySet>, effects: &mut Effects) -> u32 {
        effects.journal.policy(policy.revision());
        self.policy = policy;
        self.reevaluate(SlotIndex(0)..self.slots_end(), effects, |_| true)
    }

    /// Re-evaluates the devices of `slots` slots from `first`, because time has passed (R17). Journals nothing if
    /// nothing changed. Returns the number of devices that changed cell.
    pub fn apply_time(&mut self, first: SlotIndex, slots: u32, effects: &mut Effects) -> u32 {
        let slots = self.clip_slots(first, slots);
        let changed = self.reevaluate(slots.clone(), effects, |_| true);
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

    /// Re-evaluates stored state. `include` lets a replay skip slots whose page already contains this event. Returns
    /// the number of devices that changed cell.
    pub(super) fn reevaluate(
        &mut self,
        slots: Range<SlotIndex>,
        effects: &mut Effects,
        include: impl Fn(SlotIndex) -> bool,
    ) -> u32 {
        let policies = Arc::clone(&self.policy);
        let now = effects.now;
        let mut changed = 0;
        for slot in slots.start.until(slots.end) {
            let mut record = *self.devices.get(slot);
            if !record.is_occupied() || !include(slot) {
                continue;
            }
            let (Some(policy), Some(reported)) = (
                policies.tenant(record.tenant),
                Facets::from_word(record.facets),
            ) else {
                continue; // a tenant removed from the configuration keeps its last facets
            };
            let first_seen = self.first_seen_without_report(slot, &record);
            let facets = evaluate(&record, reported, policy, first_seen, now).word();
            if facets != record.facets {
                record.facets = facets;
                self.update(slot, record, effects);
                changed += 1;
            }
        }
        changed
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
        record: DeviceRecord,
        cold: ColdRecord,
        effects: &mut Effects,
    ) {
        let slot = self.devices.insert(record, cold);
        self.audit
            .record_write(slot, &DeviceRecord::default(), &record);
        self.index.insert(hash, slot, &self.devices);
        self.cells.enter(record.cell());
        self.checkpoint.dirty.insert(slot.page());
        effects.transitions += 1;
    }

    /// Replaces the record of a device, and moves the device to the cell of its new facets. Inlined for the reason
    /// given in `evaluation.rs`.
    #[inline(always)]
    pub(super) fn update(&mut self, slot: SlotIndex, record: DeviceRecord, effects: &mut Effects) {
        let stored = self.devices.get_mut(slot);
        if record.facets != stored.facets {
            self.cells.leave(stored.cell());
            self.cells.enter(record.cell());
            effects.transitions += 1;
        }
        self.audit.record_write(slot, stored, &record);
        *stored = record;
        self.checkpoint.dirty.insert(slot.page());
    }
}

/// Counts the verdict of a check-in, journals an accepted one, and notes a stale or rejected one. Inlined because
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
        Verdict::Stale => {
            effects.note_stale(record.device_id(), record.seq());
            outcome.stale += 1;
        }
        Verdict::Rejected(reason) => {
            effects.note_rejected(record.device_id(), record.seq(), reason);
            outcome.rejected += 1;
        }
    }
}
