//! Check-ins of a synthetic fleet, which depend only on the numbers of the device and the check-in.

use muster_wire::{
    CheckIn, CheckInRecord, DeviceId, Flags, ManagementAgent, Onboarding, PartnerThreatState,
    Platform, Risk,
};

/// One check-in in this many reports a risk that differs from the device's usual one. The next check-in reverts it, so
/// about one in fifty check-ins moves its device to another cell.
const UNUSUAL_ONE_IN: u64 = 100;

/// A random number generator: splitmix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }
}

/// Mixes all bits; a bijection, so distinct values stay distinct.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A check-in of the device with this number, with its usual risk or, rarely, a different one.
pub(crate) fn check_in(number: u64, seq: u64) -> CheckInRecord {
    let id = u128::from(mix(number + 1)) << 64 | u128::from(mix(!number));
    check_in_of(DeviceId::from_bytes(id.to_le_bytes()), number, seq)
}

/// The same for a device whose id is given by its certificate.
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
        .expect("ids made from numbers and ids of certificates are not zero, and sequence numbers start at 1")
}
