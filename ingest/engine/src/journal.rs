//! The journal value of one shard batch: the events it accepted, in order (design D4, D5).
//!
//! Layout, little-endian: format u8 = 1, three zero bytes, policy revision u32, receive time u64 (ms), then
//! segments: kind u8, zero u8, tenant u16, number u32, body.
//!
//! | kind | number | body |
//! |---|---|---|
//! | 1 check-ins | count | one 48-byte record for each, as on the wire |
//! | 2 inventory | bytes | the archive, as on the wire |
//! | 3 policy | revision | none: every device was re-evaluated under the header's revision |
//! | 4 time | slots | first slot u32: the devices in these slots were re-evaluated at the receive time |
//! | 5 repeated check-ins | count | for each: slot u32, tag of the device u32, seq u48, flags u16 |
//! | 6 reset | slot | device id: its seq was set to the receive time in ms, its inventory revision to at most that in s |
//!
//! Most check-ins repeat the device's previous one in everything except seq and flags. These are stored as kind 5, a
//! third of the bytes: the slot names the device, and its record has the other fields. Replay over a page that is newer
//! than the value is safe: a replay skips what the page of the device includes, and a page that does not include
//! the check-in is in the state in which it arrived. Slots are assigned in the order of events and never reused, so a
//! replay finds the same device there; the tag, 32 bits of the device id, verifies it.
//!
//! Only accepted events are stored; duplicates and rejected records are not. The buffer grows with its batch, which the
//! caller bounds. Shard, sequence and checksum belong to the store, which wraps this value.

use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{CheckInRecord, DeviceId, Flags};

use crate::bytes::Reader;
use crate::ids::{Revision, SlotIndex, TenantIndex};
use crate::time::Timestamp;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 16;
const SEGMENT_BYTES: usize = 8;

const CHECK_INS: u8 = 1;
const INVENTORY: u8 = 2;
const POLICY: u8 = 3;
const TIME: u8 = 4;
const REPEATED: u8 = 5;
const RESET: u8 = 6;

/// The tenant field of segments that belong to no tenant.
const NO_TENANT: TenantIndex = TenantIndex(0);

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

    pub(crate) fn begin(&mut self, revision: Revision, now: Timestamp) {
        self.clear();
        self.bytes.extend([FORMAT, 0, 0, 0]);
        self.bytes.extend(revision.0.to_le_bytes());
        self.bytes.extend(now.as_millis().to_le_bytes());
    }

    /// Closes the value; a value without segments becomes empty.
    pub(crate) fn seal(&mut self) {
        self.close_segment();
        if self.bytes.len() <= HEADER_BYTES {
            self.bytes.clear();
        }
    }

    pub(crate) fn check_in(&mut self, tenant: TenantIndex, record: &CheckInRecord) {
        self.count_record(CHECK_INS, tenant);
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
        let device = u64::from(tag(&record.device_id())) << 32 | u64::from(slot.0);
        let seq_and_flags = u64::from(record.flags().bits()) << 48 | record.seq();
        let mut bytes = [0; REPEATED_BYTES];
        bytes[..8].copy_from_slice(&device.to_le_bytes());
        bytes[8..].copy_from_slice(&seq_and_flags.to_le_bytes());
        self.bytes.extend_from_slice(&bytes);
    }

    /// Counts one more record in the open segment, or opens a segment for it.
    #[inline]
    fn count_record(&mut self, kind: u8, tenant: TenantIndex) {
        match &mut self.open {
            Some(open) if open.kind == kind && open.tenant == tenant => open.count += 1,
            _ => {
                self.close_segment();
                self.open = Some(OpenSegment {
                    start: self.bytes.len(),
                    kind,
                    tenant,
                    count: 1,
                });
                self.segment(kind, tenant, 0);
            }
        }
    }

    pub(crate) fn inventory(&mut self, tenant: TenantIndex, archive: &[u8]) {
        self.close_segment();
        self.segment(INVENTORY, tenant, archive.len() as u32);
        self.bytes.extend_from_slice(archive);
    }

    /// Appends a policy change. It is the first event of its batch, so the header can still take its revision.
    pub(crate) fn policy(&mut self, revision: Revision) {
        // Events before it were evaluated under the revision that this overwrites in the header: a replay would
        // evaluate them under the new one. Checked at most once per batch.
        assert_eq!(
            self.bytes.len(),
            HEADER_BYTES,
            "a policy change is the first event of its batch"
        );
        self.bytes[4..8].copy_from_slice(&revision.0.to_le_bytes());
        self.segment(POLICY, NO_TENANT, revision.0);
    }

    pub(crate) fn time(&mut self, first: SlotIndex, slots: u32) {
        self.close_segment();
        self.segment(TIME, NO_TENANT, slots);
        self.bytes.extend(first.0.to_le_bytes());
    }

    pub(crate) fn reset(&mut self, tenant: TenantIndex, slot: SlotIndex, device_id: &DeviceId) {
        self.close_segment();
        self.segment(RESET, tenant, slot.0);
        self.bytes.extend(device_id.as_bytes());
    }

    fn segment(&mut self, kind: u8, tenant: TenantIndex, number: u32) {
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

/// One event of a journal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Accepted check-ins of one tenant: whole 48-byte records.
    CheckIns {
        /// Tenant of the devices.
        tenant: TenantIndex,
        /// The records, as on the wire.
        records: &'a [[u8; CHECK_IN_BYTES]],
    },
    /// Accepted repeated check-ins of one tenant, see [`Repeated::read`].
    Repeated {
        /// Tenant of the devices.
        tenant: TenantIndex,
        /// One for each check-in.
        records: &'a [[u8; REPEATED_BYTES]],
    },
    /// An accepted inventory.
    Inventory {
        /// Tenant of the device.
        tenant: TenantIndex,
        /// The archive, as on the wire.
        archive: &'a [u8],
    },
    /// Every device was re-evaluated.
    Policy {
        /// Policy set in force since then.
        revision: Revision,
    },
    /// The numbers of a device were reset to the receive time.
    Reset {
        /// Tenant of the device.
        tenant: TenantIndex,
        /// Its slot.
        slot: SlotIndex,
        /// Its id.
        device_id: DeviceId,
    },
    /// Some devices were re-evaluated because time passed.
    Time {
        /// First slot.
        first: SlotIndex,
        /// Number of slots.
        slots: u32,
    },
}

/// A check-in that repeats the device's previous one, except for seq and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Slot of the device.
    pub slot: SlotIndex,
    tag: u32,
    /// Seq of the check-in.
    pub seq: u64,
    /// Its flags.
    pub flags: Flags,
}

impl Repeated {
    /// Reads one record of a segment; `None` if its flags are unknown.
    pub fn read(bytes: &[u8; REPEATED_BYTES]) -> Option<Self> {
        let [slot, tag, low, high] = words(bytes);
        let seq_and_flags = u64::from(high) << 32 | u64::from(low);
        Some(Self {
            slot: SlotIndex(slot),
            tag,
            seq: seq_and_flags & REPEATED_SEQ_MAX,
            flags: Flags::from_bits((seq_and_flags >> 48) as u16)?,
        })
    }

    /// Slot of the device of a record, without reading the rest.
    pub(crate) fn slot_of(bytes: &[u8; REPEATED_BYTES]) -> SlotIndex {
        SlotIndex(words(bytes)[0])
    }

    /// Whether the tag matches this device. One in 2^32 other devices matches by chance.
    pub fn is_of(&self, device_id: &DeviceId) -> bool {
        self.tag == tag(device_id)
    }
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

/// A decoded journal value.
#[derive(Debug)]
pub struct JournalValue<'a> {
    /// Policy set in force.
    pub revision: Revision,
    /// Receive time of the whole batch.
    pub now: Timestamp,
    segments: Reader<'a>,
}

/// The bytes are not a journal value of the format that this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a journal value of format {FORMAT}")]
pub struct JournalError;

impl<'a> JournalValue<'a> {
    /// Reads the header.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, JournalError> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Some([FORMAT, 0, 0, 0]) {
            return Err(JournalError);
        }
        let revision = Revision(reader.u32().ok_or(JournalError)?);
        let now = Timestamp::from_millis(reader.u64().ok_or(JournalError)?);
        Ok(Self {
            revision,
            now,
            segments: reader,
        })
    }

    /// The next event, `None` at the end.
    pub fn next_segment(&mut self) -> Result<Option<Segment<'a>>, JournalError> {
        if self.segments.is_empty() {
            return Ok(None);
        }
        self.segment().map(Some).ok_or(JournalError)
    }

    fn segment(&mut self) -> Option<Segment<'a>> {
        let reader = &mut self.segments;
        let kind = reader.u8()?;
        if reader.u8()? != 0 {
            return None;
        }
        let tenant = TenantIndex(reader.u16()?);
        let number = reader.u32()?;
        match kind {
            CHECK_INS => {
                let bytes = reader.take((number as usize).checked_mul(CHECK_IN_BYTES)?)?;
                Some(Segment::CheckIns {
                    tenant,
                    records: bytes.as_chunks().0,
                })
            }
            REPEATED => {
                let bytes = reader.take((number as usize).checked_mul(REPEATED_BYTES)?)?;
                Some(Segment::Repeated {
                    tenant,
                    records: bytes.as_chunks().0,
                })
            }
            INVENTORY => Some(Segment::Inventory {
                tenant,
                archive: reader.take(number as usize)?,
            }),
            // The encoding is canonical: any other form of the same event is refused.
            POLICY if tenant == NO_TENANT => Some(Segment::Policy {
                revision: Revision(number),
            }),
            TIME if tenant == NO_TENANT => Some(Segment::Time {
                first: SlotIndex(reader.u32()?),
                slots: number,
            }),
            RESET => Some(Segment::Reset {
                tenant,
                slot: SlotIndex(number),
                device_id: DeviceId::from_bytes(reader.array()?),
            }),
            _ => None,
        }
    }
}
