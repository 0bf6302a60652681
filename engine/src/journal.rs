//! The journal value of one shard batch: the events it accepted, in order (design D4, D5).
//!
//! Layout, little-endian: format u8 = 1, three zero bytes, policy revision u32, receive time u64 (ms), then
//! segments: kind u8, zero u8, tenant u16, number u32, body.
//!
//! | kind | number | body |
//! |---|---|---|
//! | 1 check-ins | how many | that many 48-byte records, as on the wire |
//! | 2 inventory | bytes | the archive, as on the wire |
//! | 3 policy | revision | none: every device was judged anew under the header's revision |
//! | 4 time | slots | first slot u32: these devices were judged anew at the receive time |
//!
//! Only what was accepted is here; a duplicate or a rejected record leaves no trace. Shard, sequence
//! and checksum are the store's frame around this value.

use muster_wire::CheckInRecord;
use muster_wire::limits::CHECK_IN_BYTES;

use crate::bytes::Reader;
use crate::policy::{Revision, TenantIndex};
use crate::slab::SlotIndex;
use crate::time::Timestamp;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 16;
const SEGMENT_BYTES: usize = 8;

const CHECK_INS: u8 = 1;
const INVENTORY: u8 = 2;
const POLICY: u8 = 3;
const TIME: u8 = 4;

/// The value under construction. Check-ins of one tenant that follow each other share a segment.
#[derive(Debug, Default)]
pub(crate) struct JournalBuffer {
    bytes: Vec<u8>,
    /// Where the open check-in segment starts, its tenant and how many records it has.
    open: Option<(usize, TenantIndex, u32)>,
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

    /// Ends the value; a value without segments becomes empty.
    pub(crate) fn seal(&mut self) {
        self.close_segment();
        if self.bytes.len() <= HEADER_BYTES {
            self.bytes.clear();
        }
    }

    pub(crate) fn check_in(&mut self, tenant: TenantIndex, record: &CheckInRecord) {
        match &mut self.open {
            Some((_, open_tenant, count)) if *open_tenant == tenant => *count += 1,
            _ => {
                self.close_segment();
                self.open = Some((self.bytes.len(), tenant, 1));
                self.segment(CHECK_INS, tenant, 0);
            }
        }
        self.bytes.extend_from_slice(record.as_bytes());
    }

    pub(crate) fn inventory(&mut self, tenant: TenantIndex, archive: &[u8]) {
        self.close_segment();
        self.segment(INVENTORY, tenant, archive.len() as u32);
        self.bytes.extend_from_slice(archive);
    }

    /// A change of policy is the first event of its batch, so the header can still take its revision.
    pub(crate) fn policy(&mut self, revision: Revision) {
        debug_assert_eq!(
            self.bytes.len(),
            HEADER_BYTES,
            "a policy change opens its batch"
        );
        self.bytes[4..8].copy_from_slice(&revision.0.to_le_bytes());
        self.segment(POLICY, 0, revision.0);
    }

    pub(crate) fn time(&mut self, first: SlotIndex, slots: u32) {
        self.close_segment();
        self.segment(TIME, 0, slots);
        self.bytes.extend(first.to_le_bytes());
    }

    fn segment(&mut self, kind: u8, tenant: TenantIndex, number: u32) {
        self.bytes.extend([kind, 0]);
        self.bytes.extend(tenant.to_le_bytes());
        self.bytes.extend(number.to_le_bytes());
    }

    fn close_segment(&mut self) {
        if let Some((start, _, count)) = self.open.take() {
            self.bytes[start + 4..start + SEGMENT_BYTES].copy_from_slice(&count.to_le_bytes());
        }
    }
}

/// One event of a journal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Accepted check-ins of one tenant: whole 48-byte records.
    CheckIns {
        /// Whose devices.
        tenant: TenantIndex,
        /// The records, as on the wire.
        records: &'a [[u8; CHECK_IN_BYTES]],
    },
    /// An accepted inventory.
    Inventory {
        /// Whose device.
        tenant: TenantIndex,
        /// The archive, as on the wire.
        archive: &'a [u8],
    },
    /// Every device was judged anew.
    Policy {
        /// Under this policy set.
        revision: Revision,
    },
    /// Some devices were judged anew because time passed.
    Time {
        /// First slot.
        first: SlotIndex,
        /// How many slots.
        slots: u32,
    },
}

/// A journal value, read.
#[derive(Debug)]
pub struct JournalValue<'a> {
    /// Policy set in force.
    pub revision: Revision,
    /// Receive time of the whole batch.
    pub now: Timestamp,
    segments: Reader<'a>,
}

/// The bytes are not a journal value of a known format.
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
        let tenant = reader.u16()?;
        let number = reader.u32()?;
        match kind {
            CHECK_INS => {
                let bytes = reader.take((number as usize).checked_mul(CHECK_IN_BYTES)?)?;
                Some(Segment::CheckIns {
                    tenant,
                    records: bytes.as_chunks().0,
                })
            }
            INVENTORY => Some(Segment::Inventory {
                tenant,
                archive: reader.take(number as usize)?,
            }),
            // These two are of no tenant; the reader takes one form of everything, like the rest on disk.
            POLICY if tenant == 0 => Some(Segment::Policy {
                revision: Revision(number),
            }),
            TIME if tenant == 0 => Some(Segment::Time {
                first: reader.u32()?,
                slots: number,
            }),
            _ => None,
        }
    }
}
