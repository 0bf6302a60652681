//! The journal value of one shard batch: the events it accepted, in order (design D4, D5).
//!
//! Layout, little-endian: format u8 = 1, three zero bytes, evaluation time u32 (s), receive time u64 (ms), then
//! segments: kind u8, zero u8, tenant u16, number u32, body.
//!
//! | kind | number | body |
//! |---|---|---|
//! | 1 check-ins | count | for each: slot u32, the 48-byte record, as on the wire |
//! | 2 inventory | slot | bytes u32, the archive, as on the wire |
//! | 3 policy | revision | none: the shard begins to evaluate its devices under this policy set, from slot 0 |
//! | 4 policy reached | slot | none: every device below this slot has been evaluated under it; 2^32-1 ends it |
//! | 5 repeated check-ins | count | for each: slot u32, tag of the device u32, seq u48, flags u16 |
//! | 6 reset | slot | device id: its seq was set to the receive time in ms, its inventory revision to at most that in s |
//! | 7 removal | slot | device id: it was removed at the receive time |
//! | 8 restoration | slot | device id: it is no longer removed |
//! | 9 due | count | time u32, slot u32, a slot u32 for each: these devices were evaluated at the time, and no other below the slot changes until then; 2^32-1 ends it |
//! | 10 freed | count | a slot u32 for each: its device is gone |
//! | 11 clock set back | none | none: times after the receive time became it, and every device was evaluated at it |
//! | 12 profile | number | targets u32, a target u32 for each: the profile with this number is this set |
//! | 13 targeted | count | for each: slot u32, profile u32: these devices have these profiles, and were evaluated |
//!
//! Most check-ins repeat the device's previous one in everything except seq and flags. These are stored as kind 5, a
//! third of the bytes: the slot names the device, and its record has the other fields. Every event of a device names its
//! slot, so a replay skips what the page of the slot includes, and applies the rest to the state in which it arrived.
//! The tag, 32 bits of the device id, verifies that.
//!
//! The evaluation time is that of all devices which no segment of kind 9 in progress has reached: a value without one
//! may have a later one than the value before, if no device was due.
//!
//! Only accepted events are stored; duplicates and rejected records are not. The buffer grows with its batch, which the
//! caller bounds. Shard, sequence and checksum belong to the store, which wraps this value.

mod reader;
mod value;

use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{CheckInRecord, DeviceId};

pub use self::reader::JournalReader;
pub use self::value::{Change, Event, JournalError, JournalValue, Repeated};
use crate::ids::{ProfileId, Revision, SlotIndex, TargetId, TenantIndex};
use crate::time::Timestamp;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 16;
const SEGMENT_BYTES: usize = 8;

const CHECK_INS: u8 = 1;
const INVENTORY: u8 = 2;
const POLICY: u8 = 3;
const POLICY_REACHED: u8 = 4;
const REPEATED: u8 = 5;
const RESET: u8 = 6;
const REMOVAL: u8 = 7;
const RESTORATION: u8 = 8;
const DUE: u8 = 9;
const FREED: u8 = 10;
const CLOCK_SET_BACK: u8 = 11;
const PROFILE: u8 = 12;
const TARGETED: u8 = 13;

/// The tenant field of segments that belong to no tenant.
const NO_TENANT: TenantIndex = TenantIndex(0);

/// Size of one check-in: its slot and the record.
const CHECK_IN_ENTRY_BYTES: usize = 4 + CHECK_IN_BYTES;

/// Size of one repeated check-in.
pub const REPEATED_BYTES: usize = 16;

/// The highest seq that fits beside the flags; a check-in with a higher one is stored whole.
pub(crate) const REPEATED_SEQ_MAX: u64 = (1 << 48) - 1;

/// A journal value under construction. Consecutive check-ins of one kind and tenant share a segment.
#[derive(Debug, Default)]
pub(crate) struct JournalBuffer {
    bytes: Vec<u8>,
    open: Option<OpenSegment>,
}

/// A segment of check-ins to which more can be appended.
#[derive(Debug)]
struct OpenSegment {
    start: usize,
    kind: u8,
    tenant: TenantIndex,
    count: u32,
}

impl JournalBuffer {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.open = None;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn swap(&mut self, buffer: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, buffer);
        self.open = None;
    }

    pub(crate) fn begin(&mut self, evaluated_at: u32, now: Timestamp) {
        self.clear();
        self.bytes.extend([FORMAT, 0, 0, 0]);
        self.bytes.extend(evaluated_at.to_le_bytes());
        self.bytes.extend(now.as_millis().to_le_bytes());
    }

    /// Raises the evaluation time of the value, before its first event.
    pub(crate) fn evaluated_at(&mut self, evaluated_at: u32) {
        // A replay evaluates all events of the value at its evaluation time or later. Checked once per tick.
        assert_eq!(
            self.bytes.len(),
            HEADER_BYTES,
            "time passes before the events of a batch"
        );
        self.bytes[4..8].copy_from_slice(&evaluated_at.to_le_bytes());
    }

    /// Closes the value; a value without segments becomes empty.
    pub(crate) fn seal(&mut self) {
        self.close_segment();
        if self.bytes.len() <= HEADER_BYTES {
            self.bytes.clear();
        }
    }

    pub(crate) fn check_in(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        record: &CheckInRecord,
    ) {
        self.count_record(CHECK_INS, tenant);
        self.bytes.extend(slot.0.to_le_bytes());
        self.bytes.extend_from_slice(record.as_bytes());
    }

    /// Appends a check-in that repeats the previous one of the device in this slot, except for seq and flags. Its seq
    /// is at most [`REPEATED_SEQ_MAX`].
    #[inline]
    pub(crate) fn repeated(
        &mut self,
        tenant: TenantIndex,
        slot: SlotIndex,
        record: &CheckInRecord,
    ) {
        self.count_record(REPEATED, tenant);
        let bytes = Repeated::of(record).to_bytes(slot);
        self.bytes.extend_from_slice(&bytes);
    }

    /// Counts one more record in the open segment, or opens a segment for it.
    #[inline]
    fn count_record(&mut self, kind: u8, tenant: TenantIndex) {
        match &mut self.open {
            Some(open) if open.kind == kind && open.tenant == tenant => open.count += 1,
            _ => {
                self.segment(kind, tenant, 0);
                self.open = Some(OpenSegment {
                    start: self.bytes.len() - SEGMENT_BYTES,
                    kind,
                    tenant,
                    count: 1,
                });
            }
        }
    }

    pub(crate) fn inventory(&mut self, tenant: TenantIndex, slot: SlotIndex, archive: &[u8]) {
        self.segment(INVENTORY, tenant, slot.0);
        self.bytes.extend((archive.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(archive);
    }

    pub(crate) fn policy(&mut self, revision: Revision) {
        self.segment(POLICY, NO_TENANT, revision.0);
    }

    pub(crate) fn policy_reached(&mut self, slot: SlotIndex) {
        self.segment(POLICY_REACHED, NO_TENANT, slot.0);
    }

    pub(crate) fn due(&mut self, time: u32, reached: SlotIndex, slots: &[SlotIndex]) {
        self.segment(DUE, NO_TENANT, slots.len() as u32);
        self.bytes.extend(time.to_le_bytes());
        self.bytes.extend(reached.0.to_le_bytes());
        self.slots(slots);
    }

    pub(crate) fn freed(&mut self, slots: &[SlotIndex]) {
        self.segment(FREED, NO_TENANT, slots.len() as u32);
        self.slots(slots);
    }

    pub(crate) fn profile(
        &mut self,
        profile: ProfileId,
        tenant: TenantIndex,
        targets: &[TargetId],
    ) {
        self.segment(PROFILE, tenant, profile.0);
        self.bytes.extend((targets.len() as u32).to_le_bytes());
        for target in targets {
            self.bytes.extend(target.0.to_le_bytes());
        }
    }

    pub(crate) fn targeted(&mut self, devices: &[(SlotIndex, ProfileId)]) {
        self.segment(TARGETED, NO_TENANT, devices.len() as u32);
        for (slot, profile) in devices {
            self.bytes.extend(slot.0.to_le_bytes());
            self.bytes.extend(profile.0.to_le_bytes());
        }
    }

    pub(crate) fn clock_set_back(&mut self) {
        self.segment(CLOCK_SET_BACK, NO_TENANT, 0);
    }

    pub(crate) fn action(
        &mut self,
        action: DeviceAction,
        tenant: TenantIndex,
        slot: SlotIndex,
        device_id: &DeviceId,
    ) {
        self.segment(action as u8, tenant, slot.0);
        self.bytes.extend(device_id.as_bytes());
    }

    fn slots(&mut self, slots: &[SlotIndex]) {
        for slot in slots {
            self.bytes.extend(slot.0.to_le_bytes());
        }
    }

    fn segment(&mut self, kind: u8, tenant: TenantIndex, number: u32) {
        self.close_segment();
        self.bytes.extend([kind, 0]);
        self.bytes.extend(tenant.0.to_le_bytes());
        self.bytes.extend(number.to_le_bytes());
    }

    fn close_segment(&mut self) {
        if let Some(OpenSegment { start, count, .. }) = self.open.take() {
            self.bytes[start + 4..start + SEGMENT_BYTES].copy_from_slice(&count.to_le_bytes());
        }
    }
}

/// What an operator does to one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DeviceAction {
    /// Its numbers are set to the receive time.
    Reset = RESET,
    /// It is removed.
    Remove = REMOVAL,
    /// It is no longer removed.
    Restore = RESTORATION,
}

/// Folds a device id to 32 bits. Every byte contributes, so ids that differ in a few bytes have different tags.
fn tag(device_id: &DeviceId) -> u32 {
    words(device_id.as_bytes())
        .into_iter()
        .fold(0, |tag, word| tag.rotate_left(7) ^ word)
}

fn words(bytes: &[u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}
