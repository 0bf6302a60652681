//! Applies check-ins to a set of shards.
//!
//! A shard batch has the records of one frame for all shards of the thread, and every shard has its own [`Effects`]. The
//! records of a large one are sorted by shard first: then what a shard reads for each of its check-ins stays in the
//! fastest cache, which is worth the copy. Those of a small one are applied as they come, with lookups ahead across
//! shards, so that cache misses overlap. Either way a shard, and so a device, gets its records in the order in which
//! they were sent.
//!
//! Hot path: it allocates no more than [`Shard::apply_check_ins`]. Owned by the thread. Bounded by a shard batch.

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;
use muster_wire::{CheckInRecord, RejectReason};

use super::{Member, SHARDS_MAX, ShardSet};
use crate::effects::Outcome;
use crate::ids::{SlotIndex, TenantIndex};
use crate::shard::Shard;
use crate::shard::apply::{Verdict, record_verdict};
use crate::shard::lookup::{LOOKAHEAD, Lookup};

/// Check-ins for each shard from which on they are sorted: enough for their lookups to overlap in one shard.
const RUN_LEN_MIN: usize = 16;

/// Check-ins that are sorted by shard at once: a full shard batch.
const SORTED_MAX: usize = CHECK_INS_PER_FRAME_MAX;

/// A record's shard, and what its lookup there has found.
#[derive(Clone, Copy, Default)]
struct Located {
    place: usize,
    lookup: Lookup,
}

impl ShardSet {
    /// Applies the check-ins of one tenant, those of a shard in their order; see [`Shard::apply_check_ins`].
    pub fn apply_check_ins(&mut self, tenant: TenantIndex, records: &[CheckInRecord]) -> Outcome {
        let mut outcome = Outcome::default();
        if records.len() < RUN_LEN_MIN * self.members.len() {
            self.apply_mixed(tenant, records, &mut outcome);
            return outcome;
        }
        let mut sorted = std::mem::take(&mut self.sorted);
        for records in records.chunks(SORTED_MAX) {
            let ends = self.sort(records, &mut sorted);
            let mut first = 0;
            for (place, end) in self.places().zip(ends) {
                let run = &sorted[first..usize::from(end)];
                first = end.into();
                self.apply_run(tenant, place, run, &mut outcome);
            }
        }
        self.sorted = sorted;
        outcome
    }

    /// Sorts records by shard. Those of a shard stay in their order. Returns the end of each shard's run.
    fn sort(
        &self,
        records: &[CheckInRecord],
        sorted: &mut Vec<CheckInRecord>,
    ) -> [u16; SHARDS_MAX] {
        let mut places = [0_u8; SORTED_MAX];
        let mut next = [0_u16; SHARDS_MAX];
        for (place, record) in places.iter_mut().zip(records) {
            *place = self.place_of(&record.device_id()) as u8;
            next[usize::from(*place)] += 1;
        }
        let mut end = 0;
        for next in &mut next {
            end += *next;
            *next = end - *next;
        }
        if sorted.len() < records.len() {
            sorted.resize(records.len(), records[0]);
        }
        for (place, record) in places.iter().zip(records) {
            let next = &mut next[usize::from(*place)];
            sorted[usize::from(*next)] = *record;
            *next += 1;
        }
        next
    }

    /// Applies check-ins of one shard, whose lookups overlap as in [`Self::locate`].
    fn apply_run(
        &mut self,
        tenant: TenantIndex,
        place: usize,
        run: &[CheckInRecord],
        outcome: &mut Outcome,
    ) {
        let mut lookups = [Lookup::default(); LOOKAHEAD];
        for records in run.chunks(LOOKAHEAD) {
            let shard = self.shard(place);
            for (lookup, record) in lookups.iter_mut().zip(records) {
                lookup.hash = shard.index.hash(tenant, &record.device_id());
            }
            shard.prefetch(&lookups[..records.len()]);
            for (lookup, record) in lookups.iter_mut().zip(records) {
                let (index, devices) = (&shard.index, &shard.devices);
                lookup.slot = index.find(lookup.hash, tenant, &record.device_id(), devices);
            }
            for (lookup, record) in lookups.iter().zip(records) {
                let located = Located {
                    place,
                    lookup: *lookup,
                };
                self.apply_located(tenant, record, located, outcome);
            }
        }
    }

    /// Applies check-ins of any shards.
    fn apply_mixed(
        &mut self,
        tenant: TenantIndex,
        records: &[CheckInRecord],
        outcome: &mut Outcome,
    ) {
        let mut found = [Located::default(); LOOKAHEAD];
        for records in records.chunks(LOOKAHEAD) {
            self.locate(tenant, records, &mut found);
            for (located, record) in found.iter().zip(records) {
                self.apply_located(tenant, record, *located, outcome);
            }
        }
    }

    /// Applies one check-in, as devices without a gateway send them.
    pub fn apply_check_in(&mut self, tenant: TenantIndex, record: &CheckInRecord) -> Outcome {
        let mut outcome = Outcome::default();
        let place = self.place_of(&record.device_id());
        let lookup = self.shard(place).look_up(tenant, &record.device_id());
        let located = Located { place, lookup };
        self.apply_located(tenant, record, located, &mut outcome);
        outcome
    }

    /// Looks up the devices of some records, at most `LOOKAHEAD`. Each pass over them contains no branch on what it
    /// loads, so that the processor overlaps the cache misses, see `lookup.rs`.
    fn locate(
        &self,
        tenant: TenantIndex,
        records: &[CheckInRecord],
        found: &mut [Located; LOOKAHEAD],
    ) {
        let found = &mut found[..records.len()];
        for (located, record) in found.iter_mut().zip(records) {
            let device_id = record.device_id();
            located.place = self.place_of(&device_id);
            located.lookup.hash = self.shard(located.place).index.hash(tenant, &device_id);
        }
        let mut candidates = [SlotIndex(0); LOOKAHEAD];
        for (candidate, Located { place, lookup }) in candidates.iter_mut().zip(&*found) {
            let index = &self.shard(*place).index;
            *candidate = index.candidate(lookup.hash).unwrap_or_default();
        }
        let hot = candidates.iter().zip(&*found);
        std::hint::black_box(hot.fold(0, |sum, (slot, Located { place, .. })| {
            sum ^ self.shard(*place).devices.touch(*slot)
        }));
        for (located, record) in found.iter_mut().zip(records) {
            let Shard { index, devices, .. } = self.shard(located.place);
            let (hash, device_id) = (located.lookup.hash, record.device_id());
            located.lookup.slot = index.find(hash, tenant, &device_id, devices);
        }
    }

    #[inline(always)]
    fn apply_located(
        &mut self,
        tenant: TenantIndex,
        record: &CheckInRecord,
        located: Located,
        outcome: &mut Outcome,
    ) {
        let Located { place, lookup } = located;
        if self.touched >> place & 1 == 0 {
            self.open(place);
        }
        let Member {
            shard,
            effects,
            policies,
        } = &mut self.members[place];
        let verdict = match policies.of(tenant) {
            Some(policies) => shard.apply_check_in(tenant, policies, record, lookup, effects),
            // Sessions admit only tenants of the policy set. Deny by default.
            None => Verdict::Rejected(RejectReason::UnknownDevice),
        };
        if !effects.targeted.is_empty() {
            // A new device may have defined a profile.
            *policies = shard.policies.clone();
        }
        if let Verdict::Rejected(reason) = verdict {
            return self.rejected(tenant, record, located, reason, outcome);
        }
        record_verdict(tenant, record, verdict, outcome, effects);
    }

    /// Records a rejection, unless there is room for the device after the shards have shared what is left.
    #[cold]
    #[inline(never)]
    fn rejected(
        &mut self,
        tenant: TenantIndex,
        record: &CheckInRecord,
        Located { place, lookup }: Located,
        reason: RejectReason,
        outcome: &mut Outcome,
    ) {
        let mut verdict = Verdict::Rejected(reason);
        if reason == RejectReason::DeviceLimit {
            self.share_room(place);
            let Member {
                shard,
                effects,
                policies,
            } = &mut self.members[place];
            if let Some(of_tenant) = policies.of(tenant) {
                verdict = shard.apply_check_in(tenant, of_tenant, record, lookup, effects);
                *policies = shard.policies.clone();
            }
        }
        let effects = &mut self.members[place].effects;
        record_verdict(tenant, record, verdict, outcome, effects);
    }
}
