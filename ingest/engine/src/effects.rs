//! The effects of a batch: the bytes to make durable, and the outcomes to report.
//!
//! One `Effects` serves one batch at a time. Its buffers are reused, so the hot path does not allocate once they have
//! grown. Bounded by the batch: at most one entry per rejected or stale record, 52 journal bytes per accepted check-in,
//! 16 per repeated one; a transition for every device that a check-in, a tick, a slice of a policy pass or an action
//! moves, two for one that is created or restored, one for each device of a shard when the clock is set back, and one for
//! each device whose targets change.

use muster_wire::{DeviceId, RejectReason, Rejection, STALE_CODE, Stored};

use crate::facet::FacetWord;
use crate::ids::{PageNumber, ProfileId, SlotIndex, TargetId, TenantIndex};
use crate::journal::JournalBuffer;
use crate::numbers::NumbersMax;
use crate::time::Timestamp;

/// Outcomes of the records of one shard batch, by kind; an ack carries these numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records that changed the state.
    pub accepted: u32,
    /// Records whose seq equals the stored one: already applied, nothing changed.
    pub duplicate: u32,
    /// Records whose seq is lower than the stored one: superseded, nothing changed.
    pub stale: u32,
    /// Records refused with a reason, nothing changed.
    pub rejected: u32,
}

impl Outcome {
    /// All records.
    pub fn total(&self) -> u32 {
        self.accepted + self.duplicate + self.stale + self.rejected
    }
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.stale += other.stale;
        self.rejected += other.rejected;
    }
}

/// An inventory to store, as the device sent it, or to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryWrite {
    /// Tenant of the device.
    pub tenant: TenantIndex,
    /// The device.
    pub device_id: DeviceId,
    /// The encoded inventory, as on the wire; empty to delete that of a device which is gone.
    pub bytes: Vec<u8>,
}

/// A page image to write in the same commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageWrite {
    /// Number of the page.
    pub page: PageNumber,
    /// The image, see [`crate::page::encode`].
    pub bytes: Vec<u8>,
}

/// A move of a device between cells or to another profile, or a new inventory: what counts and lists outside of the shard follow from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Slot of the device.
    pub slot: SlotIndex,
    /// The device.
    pub device_id: DeviceId,
    /// Its tenant.
    pub tenant: TenantIndex,
    /// Its facets before; `None` if it was in no count: new, or removed.
    pub before: Option<FacetWord>,
    /// Its facets now; `None` if it is in no count any more: removed, or gone.
    pub after: Option<FacetWord>,
    /// Its profile now, in the numbers of its shard.
    pub profile: ProfileId,
    /// Whether it has a new inventory.
    pub has_new_inventory: bool,
}

/// The targets for which the number of a profile stands from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileDefinition {
    /// The number in its shard.
    pub profile: ProfileId,
    /// The tenant of the devices with this profile.
    pub tenant: TenantIndex,
    /// Ascending.
    pub targets: Box<[TargetId]>,
}

/// Size of a transition in memory.
pub const TRANSITION_BYTES: usize = size_of::<Transition>();

const _: () = assert!(TRANSITION_BYTES == 64);

/// The effects of one batch.
#[derive(Debug, Default)]
pub struct Effects {
    /// Receive time of the batch.
    pub(crate) time: Timestamp,
    /// The same in seconds since the epoch, as in records.
    pub(crate) now: u32,
    pub(crate) numbers_max: NumbersMax,
    /// The stored number of the device whose record was last found stale or too far ahead. Here instead of in the
    /// verdict, which every check-in returns.
    pub(crate) stored: Option<Stored>,
    pub(crate) journal: JournalBuffer,
    /// The slots of devices that a tick has changed, and of those that are gone; empty between ticks.
    pub(crate) due: Vec<SlotIndex>,
    pub(crate) freed: Vec<SlotIndex>,
    /// Devices with another profile, to journal at the end of the batch.
    pub(crate) targeted: Vec<(SlotIndex, ProfileId)>,
    /// Inventories accepted in this batch, and those of devices that are gone, in order.
    pub inventories: Vec<InventoryWrite>,
    /// Page images of a running checkpoint.
    pub pages: Vec<PageWrite>,
    /// The moves between cells and profiles, in order; a device may have several. A removed device whose slot becomes
    /// free has none.
    pub transitions: Vec<Transition>,
    /// Profiles that are new in this batch, in order; before the transitions that name them.
    pub profiles: Vec<ProfileDefinition>,
    /// Records rejected by the shard, and stale ones. The caller drains them after each shard batch.
    pub rejections: Vec<Rejection>,
}

impl Effects {
    /// Clears all buffers and keeps their capacity.
    pub(crate) fn clear(&mut self) {
        self.journal.clear();
        self.inventories.clear();
        self.pages.clear();
        self.targeted.clear();
        self.transitions.clear();
        self.profiles.clear();
        self.rejections.clear();
    }

    /// Notes a stale record, whose stored number is in `stored`.
    #[cold]
    pub(crate) fn note_stale(&mut self, device_id: DeviceId, number: u64) {
        self.rejections.push(Rejection {
            device_id,
            seq: number,
            stored: self.stored,
            reason_code: STALE_CODE,
        });
    }

    /// Notes a rejected record; if its number is too far ahead, the stored one is in `stored`.
    #[cold]
    pub(crate) fn note_rejected(&mut self, device_id: DeviceId, number: u64, reason: RejectReason) {
        let mut rejection = Rejection::new(device_id, number, reason);
        if reason == RejectReason::SeqAhead {
            rejection.stored = self.stored;
        }
        self.rejections.push(rejection);
    }

    /// The journal value of the sealed batch; empty if the batch changed nothing.
    pub fn journal_value(&self) -> &[u8] {
        self.journal.as_bytes()
    }

    /// Size of the journal value so far, so that the caller can bound the batch.
    pub fn journal_bytes(&self) -> usize {
        self.journal.as_bytes().len()
    }

    /// Swaps the journal value with another buffer, so that a commit takes it without copying.
    pub fn swap_journal(&mut self, buffer: &mut Vec<u8>) {
        self.journal.swap(buffer);
    }
}
