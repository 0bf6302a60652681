//! The state kept per device: 64 bytes, one cache line (design D6).

use muster_wire::{DeviceId, Flags};

use crate::bytes::Reader;
use crate::cell::CellId;
use crate::ids::TenantIndex;

/// Size of a device record in memory and on disk.
pub const DEVICE_RECORD_BYTES: usize = 64;

/// The record of one device. Countable attributes are stored in its cell, not here.
///
/// Times are receive times in seconds since the epoch, 0 = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct DeviceRecord {
    /// Id of the device; all zero marks an empty slot.
    pub device_id: DeviceId,
    /// Highest accepted check-in seq; 0 before the first check-in.
    pub seq: u64,
    /// The cell that the device is counted in.
    pub cell: CellId,
    /// Changes when the device restarts (R15).
    pub boot_id: u32,
    /// Short hash of the onboarding payload in force (R15, C11).
    pub payload: u32,
    /// Highest accepted inventory revision; 0 before the first inventory.
    pub inventory_revision: u32,
    /// When this server created the device.
    pub first_seen: u32,
    /// Last accepted check-in.
    pub last_check_in: u32,
    /// R17's C: last check-in of the onboarded sensor with command and control working.
    pub last_contact: u32,
    /// R17's T: last check-in of the onboarded sensor with telemetry working.
    pub last_telemetry: u32,
    /// Last full report.
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

    /// The encoding in a page: the fields in declaration order, little-endian.
    pub fn encode(&self) -> [u8; DEVICE_RECORD_BYTES] {
        let mut bytes = [0; DEVICE_RECORD_BYTES];
        bytes[0..16].copy_from_slice(self.device_id.as_bytes());
        bytes[16..24].copy_from_slice(&self.seq.to_le_bytes());
        let words = [
            self.cell.0,
            self.boot_id,
            self.payload,
            self.inventory_revision,
            self.first_seen,
            self.last_check_in,
            self.last_contact,
            self.last_telemetry,
            self.last_full_report,
        ];
        for (chunk, word) in bytes[24..60].as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        bytes[60..62].copy_from_slice(&self.flags.bits().to_le_bytes());
        bytes[62..64].copy_from_slice(&self.tenant.0.to_le_bytes());
        bytes
    }

    /// Decodes [`DeviceRecord::encode`]; `None` if the input ends early or has unknown flags.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            device_id: DeviceId::from_bytes(reader.array()?),
            seq: reader.u64()?,
            cell: CellId(reader.u32()?),
            boot_id: reader.u32()?,
            payload: reader.u32()?,
            inventory_revision: reader.u32()?,
            first_seen: reader.u32()?,
            last_check_in: reader.u32()?,
            last_contact: reader.u32()?,
            last_telemetry: reader.u32()?,
            last_full_report: reader.u32()?,
            flags: Flags::from_bits(reader.u16()?)?,
            tenant: TenantIndex(reader.u16()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_round_trips() {
        let record = DeviceRecord {
            device_id: DeviceId::from_bytes(std::array::from_fn(|i| i as u8 + 1)),
            seq: u64::MAX - 1,
            cell: CellId(2),
            boot_id: 3,
            payload: 4,
            inventory_revision: 5,
            first_seen: 6,
            last_check_in: 7,
            last_contact: 8,
            last_telemetry: 9,
            last_full_report: 10,
            flags: Flags::from_bits(0x0801).unwrap(),
            tenant: TenantIndex(11),
        };
        let bytes = record.encode();
        assert_eq!(DeviceRecord::decode(&mut Reader::new(&bytes)), Some(record));
        assert_eq!(DeviceRecord::decode(&mut Reader::new(&bytes[..63])), None);
    }
}
