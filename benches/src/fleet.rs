//! Check-ins of a made-up fleet, the same for the same numbers on every machine.

use muster_wire::{
    CheckIn, CheckInRecord, DeviceId, Flags, ManagementAgent, Onboarding, PartnerThreatState,
    Platform, Risk,
};

/// One check-in in so many has another risk than its device usually reports. Its next check-in goes
/// back, so about one in fifty moves its device to another cell.
const UNUSUAL_ONE_IN: u64 = 100;

/// A stream of random numbers: splitmix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(end)) >> 64) as u64
    }
}

/// Spreads every bit over all others; a bijection, so different numbers stay different.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A check-in of the device with this number, with its usual risk or, rarely, another.
pub(crate) fn check_in(number: u64, seq: u64) -> CheckInRecord {
    let id = u128::from(mix(number + 1)) << 64 | u128::from(mix(!number));
    check_in_of(DeviceId::from_bytes(id.to_le_bytes()), number, seq)
}

/// The same for a device that has an id already: that of a certificate.
pub(crate) fn check_in_of(device_id: DeviceId, number: u64, seq: u64) -> CheckInRecord {
    const RISKS: [Risk; 4] = [Risk::None, Risk::Low, Risk::Medium, Risk::High];
    let traits = mix(number + 1);
    let unusual = mix(traits ^ seq).is_multiple_of(UNUSUAL_ONE_IN);
    let risk = (traits >> 8) as usize + usize::from(unusual);
    let check_in = CheckIn {
        device_id,
        seq,
        sent_at_ms: 1_700_000_000_000 + seq,
        boot_id: traits as u32,
        payload: (traits >> 32) as u32,
        flags: Flags::SENSOR_RUNNING
            | Flags::COMMAND_AND_CONTROL_OK
            | Flags::TELEMETRY_OK
            | Flags::REGISTERED,
        risk: RISKS[risk % RISKS.len()],
        partner_threat_state: PartnerThreatState::Unknown,
        onboarding: match traits % 16 {
            0 => Onboarding::NotOnboarded,
            _ => Onboarding::Onboarded,
        },
        platform: Platform::ALL[(traits >> 16) as usize % Platform::ALL.len()],
        management_agent: ManagementAgent::ALL
            [(traits >> 24) as usize % ManagementAgent::ALL.len()],
    };
    check_in
        .to_record()
        .expect("neither an id made from a number nor one of a certificate is zero, and sequence numbers start from 1")
}
