//! The check-in: a fixed 48-byte rkyv archive, in owned, raw and validated form.
//!
//! Purpose: a sender fills in a [`CheckIn`], [`CheckInBytes`] are sent, and a receiver keeps a [`CheckInRecord`]: the
//! same bytes, validated once, aligned, and read in place.
//!
//! Bounds: exactly 48 bytes. No padding; the reserved last byte must be zero.
//!
//! What it does not do: duplicate detection or rules. On the hot path: nothing here allocates or locks.

use std::{fmt, mem::offset_of};

use rkyv::{Archive, Serialize, api::low, rancor::Failure};

use crate::{
    codes::{ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk},
    device_id::DeviceId,
    flags::Flags,
    limits::CHECK_IN_BYTES,
    reject::RejectReason,
};

/// The bytes of one check-in on the wire: not validated, not aligned.
pub type CheckInBytes = [u8; CHECK_IN_BYTES];

/// The report of one device, in the form that a sender fills in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize)]
pub struct CheckIn {
    /// The reporting device; not zero.
    pub device_id: DeviceId,
    /// The sequence number that the device assigns: from 1, strictly increasing, never reused, not even after a
    /// restart.
    pub seq: u64,
    /// The sender's time, in milliseconds since 1970-01-01T00:00:00Z. For statistics only.
    pub sent_at_ms: u64,
    /// A number that changes with every restart of the device.
    pub boot_id: u32,
    /// A short hash of the applied onboarding payload; 0 if there is none.
    pub payload: u32,
    /// Flag bits.
    pub flags: Flags,
    /// The risk score that the sensor reports.
    pub risk: Risk,
    /// The threat state according to a threat defence partner.
    pub partner_threat_state: PartnerThreatState,
    /// The sensor's onboarding state.
    pub onboarding: Onboarding,
    /// The operating system family.
    pub platform: Platform,
    /// What manages the device.
    pub management_agent: ManagementAgent,
}

// The archived layout is the wire format. docs/reference/PROTOCOL.md gives these numbers to clients without rkyv.
const _: () = {
    use std::mem::{align_of, size_of};
    assert!(size_of::<ArchivedCheckIn>() == CHECK_IN_BYTES && align_of::<ArchivedCheckIn>() == 8);
    assert!(offset_of!(ArchivedCheckIn, device_id) == 0);
    assert!(offset_of!(ArchivedCheckIn, seq) == 16);
    assert!(offset_of!(ArchivedCheckIn, sent_at_ms) == 24);
    assert!(offset_of!(ArchivedCheckIn, boot_id) == 32);
    assert!(offset_of!(ArchivedCheckIn, payload) == 36);
    assert!(offset_of!(ArchivedCheckIn, flags) == 40);
    assert!(offset_of!(ArchivedCheckIn, risk) == 42);
    assert!(offset_of!(ArchivedCheckIn, partner_threat_state) == 43);
    assert!(offset_of!(ArchivedCheckIn, onboarding) == 44);
    assert!(offset_of!(ArchivedCheckIn, platform) == 45);
    assert!(offset_of!(ArchivedCheckIn, management_agent) == 46);
    assert!(size_of::<CheckInRecord>() == CHECK_IN_BYTES && align_of::<CheckInRecord>() == 16);
};

/// The bytes of a field. The offset is a constant, so the bounds check is optimised away.
#[inline]
fn field<const COUNT: usize>(bytes: &CheckInBytes, at: usize) -> [u8; COUNT] {
    let mut field = [0; COUNT];
    field.copy_from_slice(&bytes[at..at + COUNT]);
    field
}

/// The offset of the reserved byte, which is padding in the archived form.
const RESERVED_AT: usize = 47;

impl CheckIn {
    /// The 48 bytes of this check-in. They are valid unless `device_id` or `seq` is zero.
    // Written word by word from registers, and inlined: rkyv writes field by field, and copying the whole right after
    // that stalls until the writes have completed. A test compares the result with rkyv's.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> CheckInBytes {
        let numbers = u64::from(self.boot_id) | u64::from(self.payload) << 32;
        let [flags_low, flags_high] = self.flags.bits().to_le_bytes();
        let codes = u64::from_le_bytes([
            flags_low,
            flags_high,
            self.risk.code(),
            self.partner_threat_state.code(),
            self.onboarding.code(),
            self.platform.code(),
            self.management_agent.code(),
            0,
        ]);
        let mut bytes = [0; CHECK_IN_BYTES];
        let (device_id, rest) = bytes.split_at_mut(16);
        device_id.copy_from_slice(self.device_id.as_bytes());
        let words = [self.seq, self.sent_at_ms, numbers, codes];
        for (bytes, word) in rest.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// The validated record of this check-in.
    ///
    /// # Errors
    /// [`RejectReason::DeviceIdZero`] or [`RejectReason::SeqZero`]; the types make everything else valid.
    pub fn to_record(&self) -> Result<CheckInRecord, RejectReason> {
        CheckInRecord::validate(&self.to_bytes())
    }
}

/// The 48 bytes of a validated check-in: all codes are known, reserved bits are zero, device id and sequence number are
/// not.
///
/// Only [`CheckInRecord::validate`] and [`CheckIn::to_record`] create one, so readers need not check again.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct CheckInRecord(CheckInBytes);

impl CheckInRecord {
    /// Validates and copies the bytes of a record from the wire or the journal.
    ///
    /// # Errors
    /// The first fault. [`CheckInRecord::peek`] identifies the rejected record.
    #[inline]
    pub fn validate(bytes: &CheckInBytes) -> Result<Self, RejectReason> {
        // Checked in place, before the copy: reading back bytes that were just copied costs more than all the checks
        // together. No early return: the checks are cheaper than branches.
        let known = Platform::from_code(bytes[offset_of!(ArchivedCheckIn, platform)]).is_some()
            & ManagementAgent::from_code(bytes[offset_of!(ArchivedCheckIn, management_agent)])
                .is_some()
            & Risk::from_code(bytes[offset_of!(ArchivedCheckIn, risk)]).is_some()
            & PartnerThreatState::from_code(
                bytes[offset_of!(ArchivedCheckIn, partner_threat_state)],
            )
            .is_some()
            & Onboarding::from_code(bytes[offset_of!(ArchivedCheckIn, onboarding)]).is_some()
            & Flags::from_bits(u16::from_le_bytes(field(
                bytes,
                offset_of!(ArchivedCheckIn, flags),
            )))
            .is_some()
            & (bytes[RESERVED_AT] == 0)
            & (u128::from_le_bytes(field(bytes, offset_of!(ArchivedCheckIn, device_id))) != 0)
            & (u64::from_le_bytes(field(bytes, offset_of!(ArchivedCheckIn, seq))) != 0);
        if known {
            Ok(Self(*bytes))
        } else {
            Err(Self(*bytes).fault())
        }
    }

    /// The device id and sequence number of bytes that may be invalid, to identify a rejected record.
    #[must_use]
    pub fn peek(bytes: &CheckInBytes) -> (DeviceId, u64) {
        let record = Self(*bytes);
        (record.device_id(), record.seq())
    }

    /// Why the bytes are not valid.
    #[cold]
    fn fault(&self) -> RejectReason {
        let view = self.view();
        if view.device_id == [0; 16] {
            RejectReason::DeviceIdZero
        } else if view.seq.to_native() == 0 {
            RejectReason::SeqZero
        } else if Platform::from_code(view.platform).is_none() {
            RejectReason::UnknownPlatform
        } else if ManagementAgent::from_code(view.management_agent).is_none() {
            RejectReason::UnknownManagementAgent
        } else if Risk::from_code(view.risk).is_none() {
            RejectReason::UnknownRisk
        } else if PartnerThreatState::from_code(view.partner_threat_state).is_none() {
            RejectReason::UnknownPartnerThreatState
        } else if Onboarding::from_code(view.onboarding).is_none() {
            RejectReason::UnknownOnboarding
        } else {
            RejectReason::ReservedNotZero
        }
    }

    /// The archived check-in, read in place. The getters below do without it: rkyv's check of bounds and alignment is
    /// not inlined into other crates, and the hot path reads field by field.
    #[inline]
    #[must_use]
    pub fn view(&self) -> &ArchivedCheckIn {
        match low::access::<ArchivedCheckIn, Failure>(&self.0) {
            Ok(archived) => archived,
            // 48 bytes aligned to 16 are a valid archive of 48 bytes aligned to 8, whatever their values.
            Err(_) => unreachable!("the type guarantees size and alignment"),
        }
    }

    /// The 48 bytes, as sent and as stored.
    #[inline]
    #[must_use]
    pub const fn as_bytes(&self) -> &CheckInBytes {
        &self.0
    }

    /// The owned form.
    #[must_use]
    pub fn to_check_in(&self) -> CheckIn {
        CheckIn {
            device_id: self.device_id(),
            seq: self.seq(),
            sent_at_ms: self.sent_at_ms(),
            boot_id: self.boot_id(),
            payload: self.payload(),
            flags: self.flags(),
            risk: self.risk(),
            partner_threat_state: self.partner_threat_state(),
            onboarding: self.onboarding(),
            platform: self.platform(),
            management_agent: self.management_agent(),
        }
    }

    /// The same report with another sequence number.
    ///
    /// # Errors
    /// [`RejectReason::SeqZero`].
    pub fn with_seq(mut self, seq: u64) -> Result<Self, RejectReason> {
        const SEQ: usize = offset_of!(ArchivedCheckIn, seq);
        if seq == 0 {
            return Err(RejectReason::SeqZero);
        }
        self.0[SEQ..SEQ + size_of::<u64>()].copy_from_slice(&seq.to_le_bytes());
        Ok(self)
    }

    /// The same report with other flags.
    #[must_use]
    pub fn with_flags(mut self, flags: Flags) -> Self {
        const FLAGS: usize = offset_of!(ArchivedCheckIn, flags);
        self.0[FLAGS..FLAGS + size_of::<u16>()].copy_from_slice(&flags.bits().to_le_bytes());
        self
    }

    /// The reporting device.
    #[inline]
    #[must_use]
    pub fn device_id(&self) -> DeviceId {
        DeviceId::from_bytes(field(&self.0, offset_of!(ArchivedCheckIn, device_id)))
    }

    /// The sequence number of this check-in.
    #[inline]
    #[must_use]
    pub fn seq(&self) -> u64 {
        u64::from_le_bytes(field(&self.0, offset_of!(ArchivedCheckIn, seq)))
    }

    /// The sender's time, in milliseconds since 1970-01-01T00:00:00Z. For statistics only.
    #[inline]
    #[must_use]
    pub fn sent_at_ms(&self) -> u64 {
        u64::from_le_bytes(field(&self.0, offset_of!(ArchivedCheckIn, sent_at_ms)))
    }

    /// A number that changes with every restart of the device.
    #[inline]
    #[must_use]
    pub fn boot_id(&self) -> u32 {
        u32::from_le_bytes(field(&self.0, offset_of!(ArchivedCheckIn, boot_id)))
    }

    /// The codes of risk, partner threat state, onboarding, platform and management agent, from the lowest byte up, to
    /// compare all five at once.
    #[inline]
    #[must_use]
    pub fn codes(&self) -> u64 {
        // They lie between the flags, two bytes, and the reserved byte.
        u64::from_le_bytes(field(&self.0, offset_of!(ArchivedCheckIn, flags))) << 8 >> 24
    }

    /// The short hash of the onboarding payload in force; 0 if there is none.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> u32 {
        u32::from_le_bytes(field(&self.0, offset_of!(ArchivedCheckIn, payload)))
    }

    /// Flag bits.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> Flags {
        let bits = field(&self.0, offset_of!(ArchivedCheckIn, flags));
        Flags::from_bits_truncate(u16::from_le_bytes(bits))
    }

    /// The risk score that the sensor reports.
    #[inline]
    #[must_use]
    pub fn risk(&self) -> Risk {
        Risk::from_code(self.0[offset_of!(ArchivedCheckIn, risk)]).unwrap_or(Risk::NotReported)
    }

    /// The threat state according to a threat defence partner.
    #[inline]
    #[must_use]
    pub fn partner_threat_state(&self) -> PartnerThreatState {
        PartnerThreatState::from_code(self.0[offset_of!(ArchivedCheckIn, partner_threat_state)])
            .unwrap_or(PartnerThreatState::Unknown)
    }

    /// The sensor's onboarding state.
    #[inline]
    #[must_use]
    pub fn onboarding(&self) -> Onboarding {
        Onboarding::from_code(self.0[offset_of!(ArchivedCheckIn, onboarding)])
            .unwrap_or(Onboarding::NotOnboarded)
    }

    /// The operating system family.
    #[inline]
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform::from_code(self.0[offset_of!(ArchivedCheckIn, platform)])
            .unwrap_or(Platform::Unknown)
    }

    /// What manages the device.
    #[inline]
    #[must_use]
    pub fn management_agent(&self) -> ManagementAgent {
        ManagementAgent::from_code(self.0[offset_of!(ArchivedCheckIn, management_agent)])
            .unwrap_or(ManagementAgent::Unknown)
    }
}

impl fmt::Debug for CheckInRecord {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_check_in().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> CheckIn {
        CheckIn {
            device_id: DeviceId::from_bytes(*b"0123456789abcdef"),
            seq: 0x0102_0304_0506_0708,
            sent_at_ms: 0x1112_1314_1516_1718,
            boot_id: 0x2122_2324,
            payload: 0x3132_3334,
            flags: Flags::SENSOR_RUNNING | Flags::FOREIGN_ORG,
            risk: Risk::High,
            partner_threat_state: PartnerThreatState::Misconfigured,
            onboarding: Onboarding::Onboarded,
            platform: Platform::Other,
            management_agent: ManagementAgent::Microsoft365ManagedMdm,
        }
    }

    fn with(at: usize, byte: u8) -> Result<CheckInRecord, RejectReason> {
        let mut bytes = sample().to_bytes();
        bytes[at] = byte;
        CheckInRecord::validate(&bytes)
    }

    #[test]
    fn the_layout_is_that_of_the_protocol() {
        let bytes = sample().to_bytes();
        assert_eq!(&bytes[..16], b"0123456789abcdef");
        assert_eq!(bytes[16..24], [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(
            bytes[24..32],
            [0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]
        );
        assert_eq!(
            bytes[32..40],
            [0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31]
        );
        assert_eq!(bytes[40..], [0x01, 0x08, 5, 9, 1, 8, 129, 0]);
    }

    #[test]
    fn a_record_reads_back_what_was_written() {
        let record = sample().to_record().unwrap();
        assert_eq!(record.to_check_in(), sample());
        assert_eq!(record.as_bytes(), &sample().to_bytes());
        assert_eq!(record.codes().to_le_bytes(), [5, 9, 1, 8, 129, 0, 0, 0]);
        let signed_in = CheckIn {
            flags: Flags::USER_SIGNED_IN,
            ..sample()
        };
        assert_eq!(record.with_flags(signed_in.flags).to_check_in(), signed_in);
        assert_eq!(
            CheckInRecord::peek(record.as_bytes()),
            (sample().device_id, sample().seq)
        );
    }

    #[test]
    fn every_unknown_code_is_rejected_with_its_own_reason() {
        assert_eq!(with(42, 6), Err(RejectReason::UnknownRisk));
        assert_eq!(with(43, 10), Err(RejectReason::UnknownPartnerThreatState));
        assert_eq!(with(44, 2), Err(RejectReason::UnknownOnboarding));
        assert_eq!(with(45, 9), Err(RejectReason::UnknownPlatform));
        assert_eq!(with(46, 0), Err(RejectReason::UnknownManagementAgent));
        assert_eq!(with(46, 255), Err(RejectReason::UnknownManagementAgent));
    }

    #[test]
    fn reserved_bits_and_bytes_must_be_zero() {
        assert_eq!(with(41, 0x10), Err(RejectReason::ReservedNotZero));
        assert_eq!(with(41, 0x80), Err(RejectReason::ReservedNotZero));
        assert_eq!(with(47, 1), Err(RejectReason::ReservedNotZero));
    }

    #[test]
    fn a_record_needs_a_device_id_and_a_sequence_number() {
        let no_device = CheckIn {
            device_id: DeviceId::ZERO,
            ..sample()
        };
        assert_eq!(no_device.to_record(), Err(RejectReason::DeviceIdZero));
        let unnumbered = CheckIn { seq: 0, ..sample() };
        assert_eq!(unnumbered.to_record(), Err(RejectReason::SeqZero));
    }
}
