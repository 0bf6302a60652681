//! Reads a journal value: its header, and its events one by one.
//!
//! Refuses everything that [`super::JournalBuffer`] does not write. Skips the events that the pages of their slots
//! include. Borrows from the bytes; no state beyond the position.
//!
//! A recovery reads millions of events a second: they are small, so check-ins are not copied, and the loop over them is
//! inlined into that of whoever reads, so that they stay in registers.

use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{CheckInBytes, CheckInRecord, DeviceId, Flags};

use super::{
    CHECK_IN_ENTRY_BYTES, CHECK_INS, CLOCK_SET_BACK, DUE, DeviceAction, FORMAT, FREED, INVENTORY,
    NO_TENANT, POLICY, POLICY_REACHED, PROFILE, REMOVAL, REPEATED, REPEATED_BYTES,
    REPEATED_SEQ_MAX, RESET, RESTORATION, TARGETED, tag,
};
use crate::bytes::Reader;
use crate::ids::{ProfileId, Revision, Sequence, SlotIndex, TargetId, TenantIndex};
use crate::time::Timestamp;

/// One event of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The device in a slot has changed.
    Device(SlotIndex, Change<'a>),
    /// All due devices below a slot were evaluated as of a time in seconds; all devices for [`SlotIndex::MAX`].
    DueReached(SlotIndex, u32),
    /// A profile of devices of a tenant is this set from now on.
    Profile(ProfileId, TenantIndex, Vec<TargetId>),
    /// The devices are evaluated under another policy set from now on, in order of slots.
    Policy(Revision),
    /// All devices below a slot were evaluated under that policy set; all devices for [`SlotIndex::MAX`].
    PolicyReached(SlotIndex),
    /// The clock was set back, which concerns the devices whose pages do not include it, see
    /// [`JournalValue::is_newer_than_page`].
    ClockSetBack,
}

/// What has changed in a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The bytes of an accepted check-in, as on the wire.
    CheckIn(TenantIndex, &'a CheckInBytes),
    /// An accepted check-in that repeats the previous one.
    Repeated(TenantIndex, Repeated),
    /// The archive of an accepted inventory, as on the wire.
    Inventory(TenantIndex, &'a [u8]),
    /// An operator's action on the device with this id.
    Action(TenantIndex, DeviceId, DeviceAction),
    /// Time alone has changed it: it was evaluated as of this time in seconds.
    Due(u32),
    /// It is gone.
    Freed,
    /// It has this profile, and was evaluated.
    Targeted(ProfileId),
}

/// A check-in that repeats the device's previous one, except for seq and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    tag: u32,
    /// Seq of the check-in.
    pub seq: u64,
    /// Its flags.
    pub flags: Flags,
}

impl Repeated {
    #[inline]
    pub(super) fn of(record: &CheckInRecord) -> Self {
        Self {
            tag: tag(&record.device_id()),
            seq: record.seq(),
            flags: record.flags(),
        }
    }

    /// Its bytes in the journal, for the device in this slot.
    #[inline]
    pub fn to_bytes(self, slot: SlotIndex) -> [u8; REPEATED_BYTES] {
        let device = u64::from(self.tag) << 32 | u64::from(slot.0);
        let seq_and_flags = u64::from(self.flags.bits()) << 48 | self.seq;
        let mut bytes = [0; REPEATED_BYTES];
        bytes[..8].copy_from_slice(&device.to_le_bytes());
        bytes[8..].copy_from_slice(&seq_and_flags.to_le_bytes());
        bytes
    }

    /// Reads what follows the slot; `None` if the flags are unknown.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (tag, seq_and_flags) = (reader.u32()?, reader.u64()?);
        Some(Self {
            tag,
            seq: seq_and_flags & REPEATED_SEQ_MAX,
            flags: Flags::from_bits((seq_and_flags >> 48) as u16)?,
        })
    }

    /// Whether the tag matches this device. One in 2^32 other devices matches by chance.
    pub fn is_of(&self, device_id: &DeviceId) -> bool {
        self.tag == tag(device_id)
    }
}

/// A journal value that is being read.
#[derive(Debug)]
pub struct JournalValue<'a> {
    /// Evaluation time of the devices that no tick in progress has reached, in seconds.
    pub evaluated_at: u32,
    /// Receive time of the whole batch.
    pub now: Timestamp,
    sequence: Sequence,
    /// By page: the sequence up to which it includes events.
    pages: &'a [Sequence],
    bytes: Reader<'a>,
    segment: Segment,
    /// Number of segments that have begun.
    segments: u32,
    /// How many of the next events [`JournalValue::ahead`] has returned.
    read_ahead: usize,
}

/// The segment that is being read.
#[derive(Clone, Copy, Debug, Default)]
struct Segment {
    kind: u8,
    tenant: TenantIndex,
    number: u32,
    /// Number of events that are left.
    left: u64,
    /// Of the devices that were due: the evaluation time, and the slot that was reached.
    due: (u32, SlotIndex),
}

/// A page or journal value cannot be read, for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JournalError(pub(super) &'static str);

impl JournalError {
    /// The value before it is missing.
    pub const GAP: Self = Self("the value before it is missing");
    /// It is not a value of the format that this program reads.
    pub const FORMAT: Self = Self("not a value of a known format");

    pub(crate) fn fault(self) -> &'static str {
        self.0
    }
}

impl<'a> JournalValue<'a> {
    /// Reads the header of a value that no page includes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, JournalError> {
        Self::beside_pages(bytes, Sequence(0), &[])
    }

    /// Reads the header of a value of which pages may include events.
    pub(super) fn beside_pages(
        bytes: &'a [u8],
        sequence: Sequence,
        pages: &'a [Sequence],
    ) -> Result<Self, JournalError> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Some([FORMAT, 0, 0, 0]) {
            return Err(JournalError::FORMAT);
        }
        let evaluated_at = reader.u32().ok_or(JournalError::FORMAT)?;
        let now = reader.u64().ok_or(JournalError::FORMAT)?;
        Ok(Self {
            evaluated_at,
            now: Timestamp::from_millis(now),
            sequence,
            pages,
            bytes: reader,
            segment: Segment::default(),
            segments: 0,
            read_ahead: 0,
        })
    }

    /// The next event that the page of its slot does not include, `None` at the end.
    #[inline(always)]
    pub fn next_event(&mut self) -> Result<Option<Event<'a>>, JournalError> {
        while self.segment.left > 0 || !self.bytes.is_empty() {
            match self.read().ok_or(JournalError::FORMAT)? {
                Event::Device(slot, _) if !self.is_newer_than_page(slot) => (),
                event => return Ok(Some(event)),
            }
        }
        Ok(None)
    }

    /// Whether the page of a slot does not include this value.
    pub fn is_newer_than_page(&self, slot: SlotIndex) -> bool {
        let page = self.pages.get(slot.page().0 as usize);
        page.is_none_or(|page| *page < self.sequence)
    }

    /// Number of segments of which an event was read.
    pub fn segments(&self) -> u32 {
        self.segments
    }

    /// The slots of the next check-ins, up to `count` of them, once those that the last call returned have been read.
    #[inline(always)]
    pub(crate) fn ahead(&mut self, count: usize) -> Option<impl Iterator<Item = SlotIndex>> {
        if self.read_ahead > 0 {
            return None;
        }
        let size = match self.segment.kind {
            CHECK_INS => CHECK_IN_ENTRY_BYTES,
            REPEATED => REPEATED_BYTES,
            _ => return None,
        };
        let count = count.min(self.segment.left as usize);
        self.read_ahead = count;
        let records = self.bytes.rest().chunks_exact(size).take(count);
        let slots = records.filter_map(<[u8]>::first_chunk);
        Some(slots.map(|slot| SlotIndex(u32::from_le_bytes(*slot))))
    }

    #[inline(always)]
    fn read(&mut self) -> Option<Event<'a>> {
        if self.segment.left == 0 {
            self.segment = begin(&mut self.bytes)?;
            self.segments += 1;
            self.read_ahead = 0;
        }
        self.segment.left -= 1;
        self.read_ahead = self.read_ahead.saturating_sub(1);
        let Segment {
            kind,
            tenant,
            number,
            left,
            due: (time, reached),
        } = self.segment;
        let reader = &mut self.bytes;
        Some(match kind {
            DUE if left == 0 => Event::DueReached(reached, time),
            PROFILE => {
                let targets = reader.u32()?;
                let bytes = reader.take((targets as usize).checked_mul(4)?)?;
                let targets = bytes.as_chunks().0.iter().copied();
                let targets = targets.map(u32::from_le_bytes).map(TargetId).collect();
                Event::Profile(ProfileId(number), tenant, targets)
            }
            POLICY => Event::Policy(Revision(number)),
            POLICY_REACHED => Event::PolicyReached(SlotIndex(number)),
            CLOCK_SET_BACK => Event::ClockSetBack,
            INVENTORY => {
                let length = reader.u32()?;
                let archive = reader.take(length as usize)?;
                Event::Device(SlotIndex(number), Change::Inventory(tenant, archive))
            }
            RESET | REMOVAL | RESTORATION => {
                let action = match kind {
                    RESET => DeviceAction::Reset,
                    REMOVAL => DeviceAction::Remove,
                    _ => DeviceAction::Restore,
                };
                let id = DeviceId::from_bytes(reader.array()?);
                Event::Device(SlotIndex(number), Change::Action(tenant, id, action))
            }
            _ => {
                let slot = SlotIndex(reader.u32()?);
                let change = match kind {
                    CHECK_INS => {
                        Change::CheckIn(tenant, reader.take(CHECK_IN_BYTES)?.first_chunk()?)
                    }
                    REPEATED => Change::Repeated(tenant, Repeated::read(reader)?),
                    DUE => Change::Due(time),
                    FREED => Change::Freed,
                    _ => Change::Targeted(ProfileId(reader.u32()?)),
                };
                Event::Device(slot, change)
            }
        })
    }
}

/// Reads the header of a segment. The encoding is canonical: any other form of the same events is refused.
fn begin(reader: &mut Reader<'_>) -> Option<Segment> {
    let kind = reader.u8()?;
    if reader.u8()? != 0 {
        return None;
    }
    let tenant = TenantIndex(reader.u16()?);
    let number = reader.u32()?;
    let mut due = Default::default();
    let left = match kind {
        CHECK_INS | REPEATED => number.into(),
        INVENTORY | RESET | REMOVAL | RESTORATION => 1,
        PROFILE if ProfileId(number).is_possible() => 1,
        _ if tenant != NO_TENANT => return None,
        POLICY | POLICY_REACHED => 1,
        CLOCK_SET_BACK if number == 0 => 1,
        FREED | TARGETED => number.into(),
        DUE => {
            due = (reader.u32()?, SlotIndex(reader.u32()?));
            u64::from(number) + 1
        }
        _ => return None,
    };
    let segment = Segment {
        kind,
        tenant,
        number,
        left,
        due,
    };
    (left > 0).then_some(segment)
}
