//! The shards of one thread, and the batch that it applies to them.
//!
//! A shard batch has the records of one frame for all shards of the thread. They are applied shard after shard, and in a
//! shard in the order in which they were sent, which is also that of each device; every shard has its own [`Effects`].
//! [`LOOKAHEAD`] devices are looked up before the first of them is applied, also across shards, so that their cache
//! misses overlap. Only shards that a batch touches are opened and sealed.
//!
//! Owned by the thread. Hot path of check-ins: it allocates no more than [`Shard::apply_check_ins`]. Bounded by the
//! number of devices, which the shards share: one that is full gets room that the others do not need.

mod passes;

use std::ops::Range;

use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;
use muster_wire::{CheckInRecord, DeviceId, Inventory, RejectReason, Rejection};

use super::Shard;
use super::apply::{Verdict, record_verdict};
use super::audit::AuditRound;
use super::checkpoint::CheckpointProgress;
use super::lookup::{LOOKAHEAD, Lookup};
use super::policies::PolicySets;
use crate::effects::{Effects, Outcome};
use crate::ids::{ShardId, SlotIndex, TenantIndex};
use crate::shard_map::ShardMap;
use crate::time::Timestamp;

/// Shards of a set: a bit of a word each.
const SHARDS_MAX: usize = u64::BITS as usize;

/// Check-ins that are sorted by shard at once: a full shard batch.
const SORTED_MAX: usize = CHECK_INS_PER_FRAME_MAX;

/// Maximum number of devices of one of `shards` shards that have `devices_max` together. Clients choose device ids, so
/// one shard may have more than its share, but no single one may have all.
pub fn shard_devices_max(devices_max: u32, shards: u32) -> u32 {
    let share = devices_max.div_ceil(shards);
    devices_max.min(share.saturating_mul(2).saturating_add(1_024))
}

/// The shards of one thread, in the order of their ids, which have no gap. The place of a shard is its index here.
#[derive(Debug)]
pub struct ShardSet {
    map: ShardMap,
    first: ShardId,
    members: Vec<Member>,
    /// Receive time of the batch.
    now: Timestamp,
    /// Shards that the batch has touched, a bit each by place.
    touched: u64,
    devices_max: u32,
    /// Buffer of [`ShardSet::apply_check_ins`].
    sorted: Vec<At>,
}

/// A record of a shard batch, and the place of its shard.
#[derive(Clone, Copy, Debug, Default)]
struct At {
    place: u16,
    number: u16,
}

/// A shard, and what the batch has done to it.
#[derive(Debug)]
struct Member {
    shard: Shard,
    effects: Effects,
    /// Those of the shard, here so that they can be read while the shard changes.
    policies: PolicySets,
}

/// A record's shard, and what its lookup there has found.
#[derive(Clone, Copy, Default)]
struct Located {
    place: usize,
    lookup: Lookup,
}

impl ShardSet {
    /// A set of consecutive shards, at least one, which together have at most `devices_max` devices.
    ///
    /// # Panics
    /// If the shards are not consecutive.
    pub fn new(map: ShardMap, shards: Vec<Shard>, devices_max: u32) -> Self {
        assert!((1..=SHARDS_MAX).contains(&shards.len()));
        let first = shards[0].id;
        let are_consecutive = shards.iter().zip(first.0..).all(|(one, id)| one.id.0 == id);
        assert!(are_consecutive, "the place of a shard follows from its id");
        let member = |shard: Shard| Member {
            effects: Effects::default(),
            policies: shard.policies.clone(),
            shard,
        };
        let mut set = Self {
            map,
            first,
            members: shards.into_iter().map(member).collect(),
            now: Timestamp::default(),
            touched: 0,
            devices_max,
            sorted: Vec::new(),
        };
        set.share_room(0);
        set
    }

    /// The shards, by place.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &Shard> {
        self.members.iter().map(|member| &member.shard)
    }

    /// The places of all shards.
    pub fn places(&self) -> Range<usize> {
        0..self.members.len()
    }

    /// The shard at a place.
    pub fn shard(&self, place: usize) -> &Shard {
        &self.members[place].shard
    }

    /// The shard that owns a device.
    pub fn shard_of(&self, device: &DeviceId) -> &Shard {
        self.shard(self.place_of(device))
    }

    /// Number of devices, without the removed ones.
    pub fn devices(&self) -> u32 {
        self.shards().map(Shard::devices).sum()
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.shards().map(Shard::slots).sum()
    }

    /// Opens a batch, see [`Shard::begin`].
    pub fn begin(&mut self, now: Timestamp) {
        self.now = now;
        self.touched = 0;
    }

    /// Closes the batch in every shard that it has touched, see [`Shard::seal`]. Returns the bytes of all journal values.
    pub fn seal(&mut self) -> usize {
        let mut bytes = 0;
        for place in places(self.touched) {
            let Member { shard, effects, .. } = &mut self.members[place];
            shard.seal(effects);
            bytes += effects.journal_bytes();
        }
        bytes
    }

    /// The shards that the batch has touched, with their effects.
    pub fn touched(&mut self) -> impl Iterator<Item = (usize, &Shard, &mut Effects)> {
        let touched = self.touched;
        let members = self.members.iter_mut().enumerate();
        let of_batch = members.filter(move |(place, _)| touched >> place & 1 != 0);
        of_batch.map(|(place, member)| (place, &member.shard, &mut member.effects))
    }

    /// Passes the records that were rejected or found stale since the last call to `each`.
    pub fn drain_rejections(&mut self, mut each: impl FnMut(Rejection)) {
        for place in places(self.touched) {
            let rejections = self.members[place].effects.rejections.drain(..);
            rejections.for_each(&mut each);
        }
    }

    /// Applies the check-ins of one tenant, those of a shard in their order; see [`Shard::apply_check_ins`].
    pub fn apply_check_ins(&mut self, tenant: TenantIndex, records: &[CheckInRecord]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut found = [Located::default(); LOOKAHEAD];
        let mut sorted = std::mem::take(&mut self.sorted);
        for records in records.chunks(SORTED_MAX) {
            self.sort(records, &mut sorted);
            for sorted in sorted.chunks(LOOKAHEAD) {
                self.locate(tenant, records, sorted, &mut found);
                for (located, at) in found.iter().zip(sorted) {
                    let record = &records[usize::from(at.number)];
                    self.apply_located(tenant, record, *located, &mut outcome);
                }
            }
        }
        self.sorted = sorted;
        outcome
    }

    /// Sorts records by shard, so that what a shard reads for each of its check-ins stays in the fastest cache. Those of a
    /// shard stay in their order.
    fn sort(&self, records: &[CheckInRecord], sorted: &mut Vec<At>) {
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
        sorted.resize(records.len(), At::default());
        for (number, place) in (0..).zip(&places[..records.len()]) {
            let next = &mut next[usize::from(*place)];
            let place = u16::from(*place);
            sorted[usize::from(*next)] = At { place, number };
            *next += 1;
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

    /// Looks up the devices of some records, at most [`LOOKAHEAD`]. Each pass over them contains no branch on what it
    /// loads, so that the processor overlaps the cache misses, see `lookup.rs`.
    fn locate(
        &self,
        tenant: TenantIndex,
        records: &[CheckInRecord],
        sorted: &[At],
        found: &mut [Located; LOOKAHEAD],
    ) {
        let found = &mut found[..sorted.len()];
        let id = |at: &At| records[usize::from(at.number)].device_id();
        for (located, at) in found.iter_mut().zip(sorted) {
            located.place = at.place.into();
            located.lookup.hash = self.shard(located.place).index.hash(tenant, &id(at));
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
        for (located, at) in found.iter_mut().zip(sorted) {
            let Shard { index, devices, .. } = self.shard(located.place);
            located.lookup.slot = index.find(located.lookup.hash, tenant, &id(at), devices);
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

    /// Shares the room for further devices among the shards; what cannot be divided goes to one of them. The limits add
    /// up to the maximum, so no shard has to ask the others for each device.
    fn share_room(&mut self, place: usize) {
        let occupied: u32 = self.shards().map(Shard::occupied).sum();
        let left = self.devices_max.saturating_sub(occupied);
        let shards = self.members.len() as u32;
        let shard_max = shard_devices_max(self.devices_max, shards);
        for (other, Member { shard, .. }) in self.members.iter_mut().enumerate() {
            let rest = if other == place { left % shards } else { 0 };
            shard.limits.devices_max = shard_max.min(shard.occupied() + left / shards + rest);
        }
    }

    /// Applies an inventory to the shard that owns its device, see [`Shard::apply_inventory`].
    pub fn apply_inventory(
        &mut self,
        tenant: TenantIndex,
        inventory: &Inventory,
        archive: &[u8],
    ) -> Outcome {
        let place = self.place_of(&inventory.device_id);
        // May be the first record of its device, and inventories are rare.
        if self.shard(place).occupied() >= self.shard(place).limits.devices_max {
            self.share_room(place);
        }
        self.touch(place);
        self.change_policies(place, |shard, effects| {
            shard.apply_inventory(tenant, inventory, archive, effects)
        })
    }

    /// Audits the next slots of a shard, see [`Shard::audit`].
    pub fn audit(&mut self, place: usize, slots: u32) -> Option<AuditRound> {
        self.members[place].shard.audit(slots, self.map)
    }

    /// Begins a checkpoint of a shard, see [`Shard::checkpoint_begin`].
    pub fn checkpoint_begin(&mut self, place: usize) -> bool {
        self.members[place].shard.checkpoint_begin()
    }

    /// Adds up to `pages_max` pages of a shard to the effects of the batch just sealed, see [`Shard::checkpoint_step`].
    /// Returns also how many it added.
    pub fn checkpoint_step(
        &mut self,
        place: usize,
        pages_max: usize,
    ) -> (CheckpointProgress, usize) {
        self.touched |= 1 << place;
        let Member { shard, effects, .. } = &mut self.members[place];
        let progress = shard.checkpoint_step(pages_max, effects);
        (progress, effects.pages.len())
    }

    #[inline(always)]
    fn place_of(&self, device: &DeviceId) -> usize {
        usize::from(self.map.shard_of(device).0 - self.first.0)
    }

    /// The shard at a place, in which the batch is open.
    fn touch(&mut self, place: usize) -> &mut Member {
        if self.touched >> place & 1 == 0 {
            self.open(place);
        }
        &mut self.members[place]
    }

    #[inline(never)]
    fn open(&mut self, place: usize) {
        self.touched |= 1 << place;
        let Member { shard, effects, .. } = &mut self.members[place];
        shard.begin(self.now, effects);
    }
}

/// The places whose bits are set, in ascending order.
fn places(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        (bits != 0).then(|| {
            bits &= bits - 1;
            place
        })
    })
}
