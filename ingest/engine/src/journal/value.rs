//! Reads a journal value: its header, and its events one by one.
//!
//! Refuses everything that [`super::JournalBuffer`] does not write. Borrows from the bytes; no state beyond the position.

use muster_wire::{CheckInRecord, DeviceId, Flags};

use super::{
    CHECK_IN_ENTRY_BYTES, CHECK_INS, CLOCK_SET_BACK, DUE, DeviceAction, FORMAT, FREED, INVENTORY,
    NO_TENANT, POLICY, POLICY_REACHED, PROFILE, REMOVAL, REPEATED, REPEATED_BYTES,
    REPEATED_SEQ_MAX, RESET, RESTORATION, TARGETED, tag, words,
};
use crate::bytes::Reader;
use crate::ids::{ProfileId, Revision, SlotIndex, TargetId, TenantIndex};
use crate::time::Timestamp;

/// One event of a journal value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Accepted check-ins of one tenant, see [`CheckInEntry::read`].
    CheckIns {
        /// Tenant of the devices.
        tenant: TenantIndex,
        /// One for each check-in.
        records: &'a [[u8; CHECK_IN_ENTRY_BYTES]],
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
        /// Its slot.
        slot: SlotIndex,
        /// The archive, as on the wire.
        archive: &'a [u8],
    },
    /// An operator's action on one device.
    Action {
        /// The action.
        action: DeviceAction,
        /// Tenant of the device.
        tenant: TenantIndex,
        /// Its slot.
        slot: SlotIndex,
        /// Its id.
        device_id: DeviceId,
    },
    /// The devices are evaluated under another policy set from now on, in order of slots.
    Policy {
        /// The policy set.
        revision: Revision,
    },
    /// Devices were evaluated under that policy set.
    PolicyReached {
        /// All below this slot; all devices if it is [`SlotIndex::MAX`].
        slot: SlotIndex,
    },
    /// Devices that time alone has changed were evaluated.
    Due {
        /// The evaluation time.
        time: u32,
        /// All due devices below this slot were; all devices if it is [`SlotIndex::MAX`].
        reached: SlotIndex,
        /// Their slots, see [`slot_of`].
        slots: &'a [[u8; 4]],
    },
    /// Devices are gone.
    Freed {
        /// Their slots, see [`slot_of`].
        slots: &'a [[u8; 4]],
    },
    /// The clock was set back.
    ClockSetBack,
    /// A profile is a set of targets from now on.
    Profile {
        /// The profile.
        profile: ProfileId,
        /// The tenant of its devices.
        tenant: TenantIndex,
        /// The targets, see [`target_of`].
        targets: &'a [[u8; 4]],
    },
    /// Devices have profiles, and were evaluated.
    Targeted {
        /// Slots and profiles, see [`targeted_of`].
        devices: &'a [[u8; 8]],
    },
}

/// Reads a target of a list.
pub fn target_of(bytes: &[u8; 4]) -> TargetId {
    TargetId(u32::from_le_bytes(*bytes))
}

/// Reads a slot and the profile of its device.
pub fn targeted_of(bytes: &[u8; 8]) -> (SlotIndex, ProfileId) {
    let number = u64::from_le_bytes(*bytes);
    (SlotIndex(number as u32), ProfileId((number >> 32) as u32))
}

/// Reads a slot of a list.
pub fn slot_of(bytes: &[u8; 4]) -> SlotIndex {
    SlotIndex(u32::from_le_bytes(*bytes))
}

/// A check-in that is stored whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckInEntry {
    /// Slot of the device.
    pub slot: SlotIndex,
    /// The check-in.
    pub record: CheckInRecord,
}

impl CheckInEntry {
    /// Reads one record of a segment; `None` if no device can have sent it.
    pub fn read(bytes: &[u8; CHECK_IN_ENTRY_BYTES]) -> Option<Self> {
        let (slot, record) = bytes.split_first_chunk()?;
        Some(Self {
            slot: slot_of(slot),
            record: CheckInRecord::validate(record.try_into().ok()?).ok()?,
        })
    }

    /// Slot of the device of a record, without reading the rest.
    pub(crate) fn slot_of(bytes: &[u8; CHECK_IN_ENTRY_BYTES]) -> SlotIndex {
        SlotIndex(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
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

/// A decoded journal value.
#[derive(Debug)]
pub struct JournalValue<'a> {
    /// Evaluation time of the devices that no tick in progress has reached, in seconds.
    pub evaluated_at: u32,
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
        let evaluated_at = reader.u32().ok_or(JournalError)?;
        let now = Timestamp::from_millis(reader.u64().ok_or(JournalError)?);
        Ok(Self {
            evaluated_at,
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
                let bytes = reader.take((number as usize).checked_mul(CHECK_IN_ENTRY_BYTES)?)?;
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
            INVENTORY => {
                let length = reader.u32()?;
                Some(Segment::Inventory {
                    tenant,
                    slot: SlotIndex(number),
                    archive: reader.take(length as usize)?,
                })
            }
            RESET => action(DeviceAction::Reset, tenant, number, reader),
            REMOVAL => action(DeviceAction::Remove, tenant, number, reader),
            RESTORATION => action(DeviceAction::Restore, tenant, number, reader),
            PROFILE if ProfileId(number).is_possible() => {
                let targets = reader.u32()?;
                Some(Segment::Profile {
                    profile: ProfileId(number),
                    tenant,
                    targets: slots(targets, reader)?,
                })
            }
            // The encoding is canonical: any other form of the same event is refused.
            _ if tenant != NO_TENANT => None,
            POLICY => Some(Segment::Policy {
                revision: Revision(number),
            }),
            POLICY_REACHED => Some(Segment::PolicyReached {
                slot: SlotIndex(number),
            }),
            DUE => Some(Segment::Due {
                time: reader.u32()?,
                reached: SlotIndex(reader.u32()?),
                slots: slots(number, reader)?,
            }),
            FREED => Some(Segment::Freed {
                slots: slots(number, reader)?,
            }),
            TARGETED => {
                let bytes = reader.take((number as usize).checked_mul(8)?)?;
                Some(Segment::Targeted {
                    devices: bytes.as_chunks().0,
                })
            }
            CLOCK_SET_BACK if number == 0 => Some(Segment::ClockSetBack),
            _ => None,
        }
    }
}

fn action<'a>(
    action: DeviceAction,
    tenant: TenantIndex,
    slot: u32,
    reader: &mut Reader<'a>,
) -> Option<Segment<'a>> {
    Some(Segment::Action {
        action,
        tenant,
        slot: SlotIndex(slot),
        device_id: DeviceId::from_bytes(reader.array()?),
    })
}

fn slots<'a>(count: u32, reader: &mut Reader<'a>) -> Option<&'a [[u8; 4]]> {
    let bytes = reader.take((count as usize).checked_mul(4)?)?;
    Some(bytes.as_chunks().0)
}
