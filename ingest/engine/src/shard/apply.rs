//! Applies check-ins to a shard.
//!
//! Hot path: no allocation per check-in except those that [`super`] lists. Owned by the thread of the shard. Bounded by
//! [`super::ShardLimits`]. Does not write: effects are collected for the caller.

use muster_wire::{CheckInRecord, RejectReason, Stored};

use super::Shard;
use super::deadline::deadline;
use super::evaluation::{is_cached, observe_cached, repeats, report_and_observe};
use super::lookup::Lookup;
use super::policies::Policies;
use crate::cell::CellKey;
use crate::device::{ColdRecord, DeviceRecord};
use crate::effects::{Effects, Outcome, Transition};
use crate::facet::FacetWord;
use crate::ids::{ProfileId, SlotIndex, TenantIndex};
use crate::numbers::is_leap;
use crate::policy::TenantPolicy;

/// A device that checks in at least this often, in seconds, and reports the same again, only postpones its deadline: no
/// limit of a policy is shorter.
const DEADLINE_KEPT_WITHIN: u32 = 3600;

/// The outcome of one record. [`Effects::stored`] has the stored number with `Stale` and `SeqAhead`.
pub(super) enum Verdict {
    Accepted {
        slot: SlotIndex,
        /// Whether this check-in repeats the previous one of its device in everything except seq and flags.
        repeats: bool,
    },
    Duplicate,
    Stale,
    Rejected(RejectReason),
}

impl Shard {
    /// Applies the check-ins of one tenant in order: exactly-once by (device, seq) (design D9). A thread with several
    /// shards applies them to a [`super::ShardSet`], which overlaps the cache misses of the lookups.
    pub fn apply_check_ins(
        &mut self,
        tenant: TenantIndex,
        records: &[CheckInRecord],
        effects: &mut Effects,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        for record in records {
            // Again for each record: a new device may define a profile.
            let policies = self.policies.clone();
            let lookup = self.look_up(tenant, &record.device_id());
            let verdict = match policies.of(tenant) {
                // Sessions admit only tenants of the policy set. Deny by default.
                None => Verdict::Rejected(RejectReason::UnknownDevice),
                Some(policies) => self.apply_check_in(tenant, policies, record, lookup, effects),
            };
            record_verdict(tenant, record, verdict, &mut outcome, effects);
        }
        outcome
    }

    /// Applies one check-in. Its lookup may be older than the check-ins before it in the batch: a slot that was found
    /// stays valid, and a device that was not found is looked up again. Only an accepted check-in changes the state. A
    /// check-in of a known device is accepted if its seq follows.
    pub(super) fn apply_check_in(
        &mut self,
        tenant: TenantIndex,
        policies: Policies<'_>,
        check_in: &CheckInRecord,
        Lookup { hash, slot }: Lookup,
        effects: &mut Effects,
    ) -> Verdict {
        let now = effects.now;
        let device_id = check_in.device_id();
        let slot = slot.or_else(|| self.index.find(hash, tenant, &device_id, &self.devices));
        let Some(slot) = slot else {
            return self.first_check_in(tenant, policies, check_in, hash, effects);
        };
        let before = *self.devices.get(slot);
        if check_in.seq() <= before.seq || before.removed() {
            return self.unaccepted(slot, &before, check_in, effects);
        }
        if check_in.seq() > effects.numbers_max.seq && is_leap(before.seq, check_in.seq()) {
            effects.stored = Some(Stored::Seq(before.seq));
            return Verdict::Rejected(RejectReason::SeqAhead);
        }
        let policy = policies.of(slot, before.profile());
        let repeats = repeats(&before, check_in);
        let mut record = before;
        let is_cached = is_cached(&before, check_in);
        if is_cached {
            observe_cached(&mut record, check_in, policy, now);
        } else {
            let cold = self.devices.cold(slot);
            report_and_observe(&mut record, cold, check_in, policy, now);
        }
        let postpones = is_cached
            && record.flags == before.flags
            && record.facets == before.facets
            && now - before.last_check_in <= DEADLINE_KEPT_WITHIN;
        self.update(slot, record, effects);
        if !postpones {
            self.deadlines.set(slot, deadline(&record, policy, now));
        }
        Verdict::Accepted { slot, repeats }
    }

    /// Creates a device from its first check-in.
    fn first_check_in(
        &mut self,
        tenant: TenantIndex,
        policies: Policies<'_>,
        check_in: &CheckInRecord,
        hash: u64,
        effects: &mut Effects,
    ) -> Verdict {
        let policy = policies.of(self.devices.next_slot(), ProfileId::default());
        let now = effects.now;
        if let Some(reason) = self.refuses_new_device(policy) {
            return Verdict::Rejected(reason);
        }
        if check_in.seq() > effects.numbers_max.seq && is_leap(0, check_in.seq()) {
            effects.stored = Some(Stored::Seq(0));
            return Verdict::Rejected(RejectReason::SeqAhead);
        }
        let mut record = DeviceRecord {
            device_id: check_in.device_id(),
            tenant,
            ..DeviceRecord::default()
        };
        let cold = ColdRecord {
            first_seen: now,
            ..ColdRecord::default()
        };
        report_and_observe(&mut record, &cold, check_in, policy, now);
        let slot = self.create(hash, record, cold, policy, effects);
        Verdict::Accepted {
            slot,
            repeats: false,
        }
    }

    /// The verdict on a check-in whose seq does not follow, or whose device is removed.
    fn unaccepted(
        &mut self,
        slot: SlotIndex,
        record: &DeviceRecord,
        check_in: &CheckInRecord,
        effects: &mut Effects,
    ) -> Verdict {
        if record.removed() {
            return Verdict::Rejected(RejectReason::DeviceRemoved);
        }
        if check_in.seq() == record.seq {
            return Verdict::Duplicate;
        }
        effects.stored = Some(Stored::Seq(record.seq));
        let (devices, tenants) = (&self.devices, self.policies.tenants());
        let seq_of = |slot| devices.get(slot).seq;
        let run = (slot, record.seq);
        self.stale_runs
            .note((record.tenant, tenants), run, effects.now, seq_of);
        Verdict::Stale
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
        policy: &TenantPolicy,
        effects: &mut Effects,
    ) -> SlotIndex {
        let slot = self.devices.insert(record, cold);
        self.audit
            .record_write(slot, &DeviceRecord::default(), &record);
        self.index.insert(hash, slot, &self.devices);
        self.count(slot, &record, effects);
        self.deadlines
            .set(slot, deadline(&record, policy, effects.now));
        self.checkpoint.dirty.insert(slot.page());
        self.target_new_device(slot, effects);
        slot
    }

    /// Moves a device, whose record still has the facets of its cell, to another cell. By value and not inlined, so that
    /// the record of the caller stays in registers: few check-ins change facets.
    #[inline(never)]
    fn move_to(&mut self, slot: SlotIndex, facets: FacetWord, effects: &mut Effects) {
        let stored = self.devices.get(slot);
        let before = stored.cell();
        self.cells.leave(before);
        self.cells.enter(CellKey { facets, ..before });
        effects.transitions.push(Transition {
            slot,
            device_id: stored.device_id,
            tenant: before.tenant,
            before: Some(before.facets),
            after: Some(facets),
            profile: stored.profile(),
            has_new_inventory: false,
        });
    }

    /// Puts a device that was in no count into the cell of its record.
    pub(super) fn count(&mut self, slot: SlotIndex, record: &DeviceRecord, effects: &mut Effects) {
        self.cells.enter(record.cell());
        effects.transitions.push(Transition {
            slot,
            device_id: record.device_id,
            tenant: record.tenant,
            before: None,
            after: Some(record.facets),
            profile: record.profile(),
            has_new_inventory: false,
        });
    }

    /// Takes a device out of its cell, and so out of every count.
    pub(super) fn uncount(
        &mut self,
        slot: SlotIndex,
        record: &DeviceRecord,
        effects: &mut Effects,
    ) {
        self.cells.leave(record.cell());
        effects.transitions.push(Transition {
            slot,
            device_id: record.device_id,
            tenant: record.tenant,
            before: Some(record.facets),
            after: None,
            profile: record.profile(),
            has_new_inventory: false,
        });
    }

    /// Replaces the record of a device that is not removed, and moves the device to the cell of its new facets. Inlined
    /// for the reason given in `evaluation.rs`.
    #[inline(always)]
    pub(super) fn update(&mut self, slot: SlotIndex, record: DeviceRecord, effects: &mut Effects) {
        if record.facets != self.devices.get(slot).facets {
            self.move_to(slot, record.facets, effects);
        }
        let stored = self.devices.get_mut(slot);
        self.audit.record_write(slot, stored, &record);
        *stored = record;
        self.checkpoint.dirty.insert(slot.page());
    }
}

/// Counts the verdict of a check-in, journals an accepted one, and notes a stale or rejected one. Inlined because
/// it runs once per check-in.
#[inline(always)]
pub(super) fn record_verdict(
    tenant: TenantIndex,
    record: &CheckInRecord,
    verdict: Verdict,
    outcome: &mut Outcome,
    effects: &mut Effects,
) {
    match verdict {
        Verdict::Accepted { slot, repeats } => {
            if repeats {
                effects.journal.repeated(tenant, slot, record);
            } else {
                effects.journal.check_in(tenant, slot, record);
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
