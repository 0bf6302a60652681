//! The shards of one thread, and the batch that it applies to them.
//!
//! Only shards that a batch touches are opened and sealed. `set/apply.rs` has the hot path. Owned by the thread. Bounded
//! by the number of devices, which the shards share: one that is full gets room that the others do not need.

mod apply;
mod passes;

use std::ops::Range;

use muster_wire::{CheckInRecord, DeviceId, Inventory, Rejection};

use super::Shard;
use super::audit::AuditRound;
use super::checkpoint::CheckpointProgress;
use super::policies::PolicySets;
use crate::effects::{Effects, Outcome};
use crate::ids::{ShardId, TenantIndex};
use crate::shard_map::ShardMap;
use crate::time::Timestamp;

/// Shards of a set: a bit of a word each.
const SHARDS_MAX: usize = u64::BITS as usize;

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
    sorted: Vec<CheckInRecord>,
}

/// A shard, and what the batch has done to it.
#[derive(Debug)]
struct Member {
    shard: Shard,
    effects: Effects,
    /// Those of the shard, here so that they can be read while the shard changes.
    policies: PolicySets,
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
