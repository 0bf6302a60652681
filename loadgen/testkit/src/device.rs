//! One simulated device: what it reports, and the state that a server must have after its reports.
//!
//! Bounds: 24 bytes per device, without heap data, so that a million devices fit into the outer caches. What it does
//! not do: evaluate rules. The engine's model does that once, at the end (see `oracle`). On the hot path.

use muster_wire::{
    CheckIn, DeviceId, Flags, Inventory, ManagementAgent, Onboarding, PartnerThreatState, Platform,
    Risk,
};

use crate::{
    population::{self, PLATFORMS, PlatformShare},
    random::{Random, splitmix64},
};

/// How a server must answer a check-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The check-in is newer than what the server has.
    Accepted,
    /// The check-in is what the server has.
    Duplicate,
    /// The check-in is older than what the server has.
    Stale,
}

/// A device of the fleet.
#[derive(Debug, Clone)]
pub struct Device {
    /// The sequence number of the last check-in; 0 before the first.
    seq: u32,
    flags: Flags,
    risk: Risk,
    partner: PartnerThreatState,
    onboarding: Onboarding,
    platform: Platform,
    agent: ManagementAgent,
    /// Index in [`population::INVENTORIES`], or [`NO_INVENTORY`] if the device sends no inventory.
    inventory_kind: u8,
    expected: ExpectedState,
}

const NO_INVENTORY: u8 = u8::MAX;

const _: () = assert!(size_of::<Device>() == 24);

/// The state that a server must have after the check-ins that were sent: the codes of the last accepted check-in, and in
/// `onboarding_bits` what accepted check-ins have reported in the last onboarding.
#[derive(Debug, Clone, Copy, Default)]
struct ExpectedState {
    /// The sequence number of the last accepted check-in; 0 before the first.
    seq: u32,
    flags: Flags,
    risk: u8,
    partner: u8,
    onboarding: u8,
    onboarding_bits: u8,
}

impl ExpectedState {
    /// There was one.
    const ONBOARDED: u8 = 1;
    /// Some check-in has reported that telemetry works.
    const TELEMETRY: u8 = 2;
    /// The last check-in has reported that command and control works, or that the sensor runs.
    const COMMAND_AND_CONTROL: u8 = 4;
    const SENSOR_RUNNING: u8 = 8;
}

/// Parameters of the fleet that determine its devices.
#[derive(Debug, Clone, Copy)]
pub struct DeviceParameters {
    /// The seed of the fleet.
    pub seed: u64,
    /// The fraction of devices that send an inventory, as a threshold for 32 random bits.
    pub inventory_threshold: u32,
}

impl Device {
    /// The device with this number in the fleet. It does not depend on the connection.
    pub fn new(parameters: DeviceParameters, number: u64) -> Self {
        let mut random = Random::new(parameters.seed, number);
        let share = random.choose_weighted(PLATFORMS);
        let agent = random.choose_weighted(share.agents);
        let partner = random.choose_weighted(share.partner);
        let onboarded = random.per_mille(share.onboarded);
        let mut device = Self {
            seq: 0,
            flags: steady_flags(share, agent, partner, &mut random),
            risk: Risk::NotReported,
            partner,
            onboarding: Onboarding::NotOnboarded,
            platform: share.platform,
            agent,
            inventory_kind: NO_INVENTORY,
            expected: ExpectedState::default(),
        };
        if onboarded {
            device.onboard(&mut random);
        }
        if (random.bits() >> 32) < u64::from(parameters.inventory_threshold) {
            let indexed = population::INVENTORIES.iter().zip(0..);
            let table: Vec<(u8, u16)> = indexed
                .map(|((_, weight), index)| (index, *weight))
                .collect();
            device.inventory_kind = random.choose_weighted(&table);
        }
        device
    }

    fn onboard(&mut self, random: &mut Random) {
        self.onboarding = Onboarding::Onboarded;
        self.flags = self
            .flags
            .union(random.choose_weighted(population::SENSORS));
        self.flags = self.flags.with(
            Flags::FOREIGN_ORG,
            random.per_mille(population::FOREIGN_ORG),
        );
        self.risk = random.choose_weighted(population::RISKS);
    }

    /// Makes one random change: mostly to the risk, sometimes to the sensor.
    #[cold]
    pub fn churn(&mut self, random: &mut Random) {
        let choice = random.below(64);
        if self.onboarding == Onboarding::NotOnboarded {
            if choice < 16 {
                self.onboard(random);
            }
            return;
        }
        match choice {
            0 => {
                self.onboarding = Onboarding::NotOnboarded;
                self.risk = Risk::NotReported;
            }
            1..=3 => self.toggle(Flags::TELEMETRY_OK),
            4..=6 => self.toggle(Flags::COMMAND_AND_CONTROL_OK),
            7..=9 => self.toggle(Flags::SENSOR_RUNNING),
            10 => self.toggle(Flags::SETTING_ERROR),
            11 => self.toggle(Flags::REGISTERED),
            12..=15 if self.partner != PartnerThreatState::Unknown => {
                self.partner = random.choose_weighted(PARTNER_STATES);
            }
            _ => self.risk = step_risk(self.risk, random),
        }
    }

    /// Loads the cache lines of the device by reading at both of its ends; the returned value has no meaning. Both ends
    /// are covered because the compiler puts the larger fields first.
    #[inline]
    pub fn touch(&self) -> u32 {
        self.seq
            ^ self.expected.seq
            ^ u32::from(self.onboarding.code())
            ^ u32::from(self.inventory_kind)
    }

    fn toggle(&mut self, flag: Flags) {
        self.flags = self.flags.with(flag, !self.flags.contains(flag));
    }

    /// Makes the next check-in from 32 random bits.
    #[inline(always)]
    pub fn next_check_in(&mut self, device_id: DeviceId, sent_at_ms: u64, bits: u32) -> CheckIn {
        self.seq += 1;
        let onboarded = self.onboarding == Onboarding::Onboarded;
        // The first check-in is a full report; later ones are about daily, at one check-in every 90 minutes.
        let full_report = onboarded && (self.seq == 1 || bits.is_multiple_of(16));
        CheckIn {
            device_id,
            seq: u64::from(self.seq),
            sent_at_ms,
            boot_id: device_id.as_bytes()[0] as u32 + (self.seq >> 6),
            payload: if onboarded { 0x0b0a_2d01 } else { 0 },
            flags: self
                .flags
                .with(Flags::FULL_REPORT, full_report)
                .with(Flags::USER_SIGNED_IN, bits & 0x30 != 0),
            risk: self.risk,
            partner_threat_state: self.partner,
            onboarding: self.onboarding,
            platform: self.platform,
            management_agent: self.agent,
        }
    }

    /// Records that a check-in of this device is sent now, which updates the expected state. Returns how the server
    /// must answer it. Must be called in the order of sending.
    #[inline(always)]
    pub fn record_sent(&mut self, check_in: &CheckIn) -> Answer {
        let expected = &mut self.expected;
        let last = u64::from(expected.seq);
        if check_in.seq <= last {
            return if check_in.seq == last {
                Answer::Duplicate
            } else {
                Answer::Stale
            };
        }
        let was_onboarded = expected.onboarding == Onboarding::Onboarded.code();
        expected.seq = check_in.seq as u32;
        expected.flags = check_in.flags;
        expected.risk = check_in.risk.code();
        expected.partner = check_in.partner_threat_state.code();
        expected.onboarding = check_in.onboarding.code();
        if check_in.onboarding == Onboarding::Onboarded {
            let has = |flag| check_in.flags.contains(flag);
            let telemetry = has(Flags::TELEMETRY_OK)
                || was_onboarded && expected.onboarding_bits & ExpectedState::TELEMETRY != 0;
            expected.onboarding_bits = ExpectedState::ONBOARDED
                | bit(telemetry, ExpectedState::TELEMETRY)
                | bit(
                    has(Flags::COMMAND_AND_CONTROL_OK),
                    ExpectedState::COMMAND_AND_CONTROL,
                )
                | bit(has(Flags::SENSOR_RUNNING), ExpectedState::SENSOR_RUNNING);
        }
        Answer::Accepted
    }

    /// Index in [`population::INVENTORIES`], if the device sends an inventory.
    pub fn inventory_kind(&self) -> Option<usize> {
        (self.inventory_kind != NO_INVENTORY).then_some(usize::from(self.inventory_kind))
    }

    /// The version of the operating system in its inventory, packed; 0 if it sends none.
    pub fn os_version(&self) -> u64 {
        let of_platform = |(share, _): &&(&PlatformShare, _)| share.platform == self.platform;
        let share = PLATFORMS.iter().find(of_platform);
        let share = share.filter(|_| self.inventory_kind().is_some());
        share.map_or(0, |(share, _)| Inventory::pack_version(share.os_version))
    }

    /// The platform of the device.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The management agent of the device.
    pub fn management_agent(&self) -> ManagementAgent {
        self.agent
    }

    /// Whether the device is onboarded.
    pub fn is_onboarded(&self) -> bool {
        self.onboarding == Onboarding::Onboarded
    }

    /// Sets the risk that the next check-in reports.
    pub fn set_risk(&mut self, risk: Risk) {
        self.risk = risk;
    }

    /// The sequence number of the last accepted check-in; 0 if there was none.
    pub fn accepted_seq(&self) -> u32 {
        self.expected.seq
    }

    /// The fewest check-ins that bring a server into the same state as all the accepted ones. These are the last one
    /// and, unless it is the first, one before it that has what matters of the last onboarding.
    pub fn minimal_check_ins(&self, device_id: DeviceId) -> impl Iterator<Item = CheckIn> {
        let expected = self.expected;
        let last = CheckIn {
            device_id,
            seq: u64::from(expected.seq),
            sent_at_ms: 0,
            boot_id: 0,
            payload: 0,
            flags: expected.flags,
            risk: Risk::from_code(expected.risk).unwrap_or(Risk::NotReported),
            partner_threat_state: PartnerThreatState::from_code(expected.partner)
                .unwrap_or(PartnerThreatState::Unknown),
            onboarding: Onboarding::from_code(expected.onboarding)
                .unwrap_or(Onboarding::NotOnboarded),
            platform: self.platform,
            management_agent: self.agent,
        };
        let had = |bit| expected.onboarding_bits & bit != 0;
        let before = CheckIn {
            seq: last.seq.saturating_sub(1),
            flags: Flags::NONE
                .with(
                    Flags::COMMAND_AND_CONTROL_OK,
                    had(ExpectedState::COMMAND_AND_CONTROL),
                )
                .with(Flags::TELEMETRY_OK, had(ExpectedState::TELEMETRY))
                .with(Flags::SENSOR_RUNNING, had(ExpectedState::SENSOR_RUNNING)),
            onboarding: if had(ExpectedState::ONBOARDED) {
                Onboarding::Onboarded
            } else {
                Onboarding::NotOnboarded
            },
            ..last
        };
        [before, last]
            .into_iter()
            .filter(|check_in| check_in.seq > 0)
    }
}

#[inline]
const fn bit(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

/// The states that a partner's threat state changes to.
const PARTNER_STATES: &[(PartnerThreatState, u16)] = &[
    (PartnerThreatState::Secured, 700),
    (PartnerThreatState::LowSeverity, 150),
    (PartnerThreatState::MediumSeverity, 100),
    (PartnerThreatState::HighSeverity, 40),
    (PartnerThreatState::Unresponsive, 10),
];

/// One step down or, half as often, one step up, so that risks come and go and most devices have none.
fn step_risk(risk: Risk, random: &mut Random) -> Risk {
    let up = random.below(3) == 0;
    match (risk, up) {
        (Risk::NotReported, _) | (Risk::Informational, false) => Risk::None,
        (Risk::None, _) | (Risk::Low, false) => Risk::Informational,
        (Risk::Informational, true) | (Risk::Medium, false) => Risk::Low,
        (Risk::Low, true) | (Risk::High, _) => Risk::Medium,
        (Risk::Medium, true) => Risk::High,
    }
}

/// The flags that do not depend on onboarding.
fn steady_flags(
    share: &PlatformShare,
    agent: ManagementAgent,
    partner: PartnerThreatState,
    random: &mut Random,
) -> Flags {
    let has_management_channel =
        !matches!(agent, ManagementAgent::MsSense | ManagementAgent::Unknown);
    let registered = if has_management_channel {
        population::REGISTERED.0
    } else {
        population::REGISTERED.1
    };
    let has_partner = partner != PartnerThreatState::Unknown;
    Flags::NONE
        .with(Flags::REGISTERED, random.per_mille(registered))
        .with(
            Flags::SETTING_ERROR,
            random.per_mille(population::SETTING_ERROR),
        )
        .with(Flags::ENCRYPTED, random.per_mille(population::ENCRYPTED))
        .with(Flags::SUPERVISED, random.per_mille(share.supervised))
        .with(Flags::JAILBROKEN, random.per_mille(share.jailbroken))
        .with(
            Flags::MTD_APP_ACTIVATED,
            has_partner && random.per_mille(population::MTD_APP_ACTIVATED),
        )
}

/// The id of a device, derived from the seed of its fleet and its number.
#[inline]
pub const fn device_id(seed: u64, number: u64) -> DeviceId {
    // Version 8 (custom, RFC 9562), so that the id is a valid UUID.
    let high = splitmix64(seed ^ splitmix64(number)) & !0xf000 | 0x8000;
    let low = splitmix64(high ^ number) & !(0b11 << 62) | 0b10 << 62;
    let both = (high as u128) << 64 | low as u128;
    DeviceId::from_bytes(both.to_be_bytes())
}
