//! The state kept per device: a hot record of one cache line, and a cold one of what check-ins do not read (design
//! D21).
//!
//! Plain values. The slab keeps both in the same slot, each in a separate array.

use muster_wire::{DeviceId, Flags, Inventory};

use crate::bytes::Reader;
use crate::cell::CellKey;
use crate::facet::{FacetWord, Facets};
use crate::ids::{ProfileId, TenantIndex};

/// Size of a device record in memory and on disk.
pub const DEVICE_RECORD_BYTES: usize = 64;

/// Size of a cold record in memory and on disk.
pub const COLD_RECORD_BYTES: usize = 20;

/// Size of both.
pub const DEVICE_BYTES: usize = DEVICE_RECORD_BYTES + COLD_RECORD_BYTES;

/// The bit of [`DeviceRecord::profile_word`] that marks a removed device.
const REMOVED: u32 = 1 << 31;

/// The record of one device, as check-ins read and write it.
///
/// Times are receive times in seconds since the epoch, 0 = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct DeviceRecord {
    /// Id of the device; all zero marks an empty slot.
    pub device_id: DeviceId,
    /// Highest accepted check-in seq; 0 before the first check-in.
    pub seq: u64,
    /// Result of the last evaluation; with the tenant, the cell that the device is counted in.
    pub facets: FacetWord,
    /// The profile, and in the highest bit whether an operator has removed the device.
    pub profile_word: u32,
    /// Changes when the device restarts (R15).
    pub boot_id: u32,
    /// Short hash of the onboarding payload in force (R15, C11).
    pub payload: u32,
    /// Last accepted check-in.
    pub last_check_in: u32,
    /// R17's C: last check-in of the onboarded sensor with command and control working.
    pub last_contact: u32,
    /// R17's T: last check-in of the onboarded sensor with telemetry working.
    pub last_telemetry: u32,
    /// Last full report of the onboarded sensor; until its first one, when it was onboarded.
    pub last_full_report: u32,
    /// Flags of the latest check-in.
    pub flags: Flags,
    /// Tenant of the device.
    pub tenant: TenantIndex,
}

const _: () = assert!(size_of::<DeviceRecord>() == DEVICE_RECORD_BYTES);

impl DeviceRecord {
    /// Whether the slot holds a device.
    pub fn is_occupied(&self) -> bool {
        !self.device_id.is_zero()
    }

    /// Whether an operator has removed the device: it is in no count, and its check-ins are rejected.
    pub fn removed(&self) -> bool {
        self.profile_word & REMOVED != 0
    }

    pub(crate) fn set_removed(&mut self, removed: bool) {
        self.profile_word = self.profile_word & !REMOVED | if removed { REMOVED } else { 0 };
    }

    /// The targets that hold for the device.
    pub fn profile(&self) -> ProfileId {
        ProfileId(self.profile_word & !REMOVED)
    }

    pub(crate) fn set_profile(&mut self, profile: ProfileId) {
        self.profile_word = self.profile_word & REMOVED | profile.0;
    }

    /// The cell that the device is counted in; `None` for an empty slot and for a removed device.
    pub(crate) fn counted_in(&self) -> Option<CellKey> {
        (self.is_occupied() && !self.removed()).then(|| self.cell())
    }

    /// Whether the slot holds this device.
    pub(crate) fn is_of(&self, tenant: TenantIndex, device_id: &DeviceId) -> bool {
        self.device_id == *device_id && self.tenant == tenant
    }

    /// Moves times after `now` to `now`.
    pub(crate) fn clip_times(&mut self, now: u32) {
        for time in [
            &mut self.last_check_in,
            &mut self.last_contact,
            &mut self.last_telemetry,
            &mut self.last_full_report,
        ] {
            *time = now.min(*time);
        }
    }

    /// The cell of its tenant and facets.
    pub(crate) fn cell(&self) -> CellKey {
        CellKey {
            tenant: self.tenant,
            facets: self.facets,
        }
    }

    /// The encoding in a page: the fields in declaration order, little-endian.
    pub fn encode(&self) -> [u8; DEVICE_RECORD_BYTES] {
        let mut bytes = [0; DEVICE_RECORD_BYTES];
        bytes[0..16].copy_from_slice(self.device_id.as_bytes());
        bytes[16..24].copy_from_slice(&self.seq.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.facets.0.to_le_bytes());
        let words = [
            self.profile_word,
            self.boot_id,
            self.payload,
            self.last_check_in,
            self.last_contact,
            self.last_telemetry,
            self.last_full_report,
        ];
        for (chunk, word) in bytes[32..60].as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        bytes[60..62].copy_from_slice(&self.flags.bits().to_le_bytes());
        bytes[62..64].copy_from_slice(&self.tenant.0.to_le_bytes());
        bytes
    }

    /// Decodes [`DeviceRecord::encode`]; `None` if no device can have such a record, or the input ends early.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let device_id = DeviceId::from_bytes(reader.array()?);
        let seq = reader.u64()?;
        let facets = FacetWord(reader.u64()?);
        let record = Self {
            device_id,
            seq,
            facets,
            profile_word: reader.u32()?,
            boot_id: reader.u32()?,
            payload: reader.u32()?,
            last_check_in: reader.u32()?,
            last_contact: reader.u32()?,
            last_telemetry: reader.u32()?,
            last_full_report: reader.u32()?,
            flags: Flags::from_bits(reader.u16()?)?,
            tenant: TenantIndex(reader.u16()?),
        };
        let valid = !record.is_occupied() || Facets::from_word(facets).is_some();
        valid.then_some(record)
    }
}

/// The state of a device beside its [`DeviceRecord`]: facts that a check-in does not change and usually does not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdRecord {
    /// Highest accepted inventory revision; 0 before the first inventory.
    pub inventory_revision: u32,
    /// When this server created the device.
    pub first_seen: u32,
    /// When an operator removed the device; 0 if it is not removed.
    pub removed_at: u32,
    /// The version of the operating system in the inventory, its more significant half first: as one number it would
    /// leave a gap before it.
    pub os_version: [u32; 2],
}

const _: () = assert!(size_of::<ColdRecord>() == COLD_RECORD_BYTES);

impl ColdRecord {
    /// The version of the operating system in the inventory, packed; 0 before the first one.
    pub fn os_version(&self) -> u64 {
        u64::from(self.os_version[0]) << 32 | u64::from(self.os_version[1])
    }

    /// What the record has of an inventory.
    pub fn set_inventory(&mut self, inventory: &Inventory) {
        self.inventory_revision = inventory.revision;
        let version = inventory.os_version;
        self.os_version = [(version >> 32) as u32, version as u32];
    }

    /// The encoding in a page: the fields in declaration order, little-endian.
    pub fn encode(&self) -> [u8; COLD_RECORD_BYTES] {
        let mut bytes = [0; COLD_RECORD_BYTES];
        bytes[0..4].copy_from_slice(&self.inventory_revision.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.first_seen.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.removed_at.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.os_version[0].to_le_bytes());
        bytes[16..20].copy_from_slice(&self.os_version[1].to_le_bytes());
        bytes
    }

    /// Moves times after `now` to `now`.
    pub(crate) fn clip_times(&mut self, now: u32) {
        self.first_seen = now.min(self.first_seen);
        self.removed_at = now.min(self.removed_at);
    }

    /// Decodes [`ColdRecord::encode`]; `None` if the input ends early.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            inventory_revision: reader.u32()?,
            first_seen: reader.u32()?,
            removed_at: reader.u32()?,
            os_version: [reader.u32()?, reader.u32()?],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> DeviceRecord {
        DeviceRecord {
            device_id: DeviceId::from_bytes(std::array::from_fn(|i| i as u8 + 1)),
            seq: u64::MAX - 1,
            facets: Facets::default().word(),
            profile_word: REMOVED | 5,
            boot_id: 3,
            payload: 4,
            last_check_in: 7,
            last_contact: 8,
            last_telemetry: 9,
            last_full_report: 10,
            flags: Flags::from_bits(0x0801).unwrap(),
            tenant: TenantIndex(11),
        }
    }

    #[test]
    fn encoding_round_trips() {
        let record = record();
        let bytes = record.encode();
        assert_eq!(DeviceRecord::decode(&mut Reader::new(&bytes)), Some(record));
        assert_eq!(DeviceRecord::decode(&mut Reader::new(&bytes[..63])), None);
        let cold = ColdRecord {
            inventory_revision: 5,
            first_seen: 6,
            removed_at: 7,
            os_version: [8, 9],
        };
        let bytes = cold.encode();
        assert_eq!(ColdRecord::decode(&mut Reader::new(&bytes)), Some(cold));
        assert_eq!(ColdRecord::decode(&mut Reader::new(&bytes[..19])), None);
    }

    #[test]
    fn what_no_device_can_have_is_refused() {
        for (what, at, value) in [
            ("a risk that does not exist", 24, 0xff),
            ("a spare bit of the facets", 31, 0x80),
            ("a reserved flag", 61, 0x80),
        ] {
            let mut bytes = record().encode();
            bytes[at] = value;
            let decoded = DeviceRecord::decode(&mut Reader::new(&bytes));
            assert_eq!(decoded, None, "{what}");
        }
    }
}
