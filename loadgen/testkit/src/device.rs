//! One simulated device: what it will report, and what a server should have made of its reports.
//!
//! Bounds: 24 bytes a device, flat, so that a million of them stay in the outer caches. What it
//! does not do: no rules; those are the engine's model, asked once at the end (see `oracle`).
//! On the hot path.

use muster_wire::{
    CheckIn, DeviceId, Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk,
};

use crate::{
    population::{self, PLATFORMS, PlatformShare},
    random::{Random, mix},
};

/// How a server answers a check-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is newer than what the server has.
    Accepted,
    /// It is what the server has.
    Duplicate,
    /// It is older than what the server has.
    Stale,
}

/// A device of the fleet.
#[derive(Debug, Clone)]
pub struct Device {
    /// Number of the last check-in made; 0 before the first.
    seq: u32,
    flags: Flags,
    risk: Risk,
    partner: PartnerThreatState,
    onboarding: Onboarding,
    platform: Platform,
    agent: ManagementAgent,
    /// Place in [`population::COHORTS`], or [`NO_COHORT`] if the device sends no inventory.
    cohort: u8,
    known: Known,
}

const NO_COHORT: u8 = u8::MAX;

const _: () = assert!(size_of::<Device>() == 24);

/// What a server knows of a device after what was sent: the last accepted check-in, by codes, and
/// what some accepted check-in said, by the constants below.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// 0 before the first.
    seq: u32,
    flags: Flags,
    risk: u8,
    partner: u8,
    onboarding: u8,
    ever: u8,
}

impl Known {
    const ONBOARDED: u8 = 1;
    const CONTACT: u8 = 2;
    const TELEMETRY: u8 = 4;
    const FULL_REPORT: u8 = 8;
}

/// What a device is made with, beside chance.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// The seed of the fleet.
    pub seed: u64,
    /// How many send an inventory, as a threshold of 32 bits.
    pub inventory: u32,
}

impl Device {
    /// The device with this number in the fleet of this seed, whatever connection it is on.
    pub fn new(traits: Traits, number: u64) -> Self {
        let mut random = Random::new(traits.seed, number);
        let mix = random.pick(PLATFORMS);
        let agent = random.pick(mix.agents);
        let partner = random.pick(mix.partner);
        let onboarded = random.per_mille(mix.onboarded);
        let mut device = Self {
            seq: 0,
            flags: steady_flags(mix, agent, partner, &mut random),
            risk: Risk::NotReported,
            partner,
            onboarding: Onboarding::NotOnboarded,
            platform: mix.platform,
            agent,
            cohort: NO_COHORT,
            known: Known::default(),
        };
        if onboarded {
            device.onboard(&mut random);
        }
        if (random.bits() >> 32) < u64::from(traits.inventory) {
            let places = population::COHORTS.iter().zip(0..);
            let table: Vec<(u8, u16)> = places.map(|((_, weight), at)| (at, *weight)).collect();
            device.cohort = random.pick(&table);
        }
        device
    }

    fn onboard(&mut self, random: &mut Random) {
        self.onboarding = Onboarding::Onboarded;
        self.flags = self.flags.union(random.pick(population::SENSORS));
        self.flags = self.flags.with(
            Flags::FOREIGN_ORG,
            random.per_mille(population::FOREIGN_ORG),
        );
        self.risk = random.pick(population::RISKS);
    }

    /// Changes something: mostly the risk, now and then the sensor.
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
            1..=3 => self.flip(Flags::TELEMETRY_OK),
            4..=6 => self.flip(Flags::COMMAND_AND_CONTROL_OK),
            7..=9 => self.flip(Flags::SENSOR_RUNNING),
            10 => self.flip(Flags::SETTING_ERROR),
            11 => self.flip(Flags::REGISTERED),
            12..=15 if self.partner != PartnerThreatState::Unknown => {
                self.partner = random.pick(PARTNERS);
            }
            _ => self.risk = step(self.risk, random),
        }
    }

    /// Reads both ends of the device, which may lie in two lines of the cache; the value means nothing. The compiler
    /// puts the long fields first.
    #[inline]
    pub fn look(&self) -> u32 {
        self.seq ^ self.known.seq ^ u32::from(self.onboarding.code()) ^ u32::from(self.cohort)
    }

    fn flip(&mut self, flag: Flags) {
        self.flags = self.flags.with(flag, !self.flags.contains(flag));
    }

    /// The next check-in. `bits` are random.
    #[inline(always)]
    pub fn next(&mut self, device_id: DeviceId, sent_at_ms: u64, bits: u32) -> CheckIn {
        self.seq += 1;
        let onboarded = self.onboarding == Onboarding::Onboarded;
        // A full report comes first and then about daily, at one check-in every 90 minutes.
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

    /// Takes note that a check-in of this device goes out now: what a server will know after it, and
    /// how it will answer. To be called in the order of sending.
    #[inline(always)]
    pub fn sent(&mut self, check_in: &CheckIn) -> Answer {
        let known = &mut self.known;
        let last = u64::from(known.seq);
        if check_in.seq <= last {
            return if check_in.seq == last {
                Answer::Duplicate
            } else {
                Answer::Stale
            };
        }
        known.seq = check_in.seq as u32;
        known.flags = check_in.flags;
        known.risk = check_in.risk.code();
        known.partner = check_in.partner_threat_state.code();
        known.onboarding = check_in.onboarding.code();
        let onboarded = check_in.onboarding == Onboarding::Onboarded;
        let has = |flag| check_in.flags.contains(flag);
        known.ever |= bit(onboarded, Known::ONBOARDED)
            | bit(
                onboarded && has(Flags::COMMAND_AND_CONTROL_OK),
                Known::CONTACT,
            )
            | bit(onboarded && has(Flags::TELEMETRY_OK), Known::TELEMETRY)
            | bit(has(Flags::FULL_REPORT), Known::FULL_REPORT);
        Answer::Accepted
    }

    /// Place in [`population::COHORTS`], if the device sends an inventory.
    pub fn cohort(&self) -> Option<usize> {
        (self.cohort != NO_COHORT).then_some(usize::from(self.cohort))
    }

    /// Which platform the device has.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// What manages the device.
    pub fn management_agent(&self) -> ManagementAgent {
        self.agent
    }

    /// Whether the sensor is onboarded.
    pub fn is_onboarded(&self) -> bool {
        self.onboarding == Onboarding::Onboarded
    }

    /// The risk that the next check-in reports.
    pub fn risk(&self) -> Risk {
        self.risk
    }

    /// Changes the risk that the next check-in reports.
    pub fn set_risk(&mut self, risk: Risk) {
        self.risk = risk;
    }

    /// Number of the last accepted check-in; 0 if there was none.
    pub fn known_seq(&self) -> u32 {
        self.known.seq
    }

    /// The fewest check-ins that leave a server where all the accepted ones left it: the last one,
    /// and before it, unless it is the first, one that said everything that any of them said.
    pub fn condensed(&self, device_id: DeviceId) -> impl Iterator<Item = CheckIn> {
        let known = self.known;
        let last = CheckIn {
            device_id,
            seq: u64::from(known.seq),
            sent_at_ms: 0,
            boot_id: 0,
            payload: 0,
            flags: known.flags,
            risk: Risk::from_code(known.risk).unwrap_or(Risk::NotReported),
            partner_threat_state: PartnerThreatState::from_code(known.partner)
                .unwrap_or(PartnerThreatState::Unknown),
            onboarding: Onboarding::from_code(known.onboarding).unwrap_or(Onboarding::NotOnboarded),
            platform: self.platform,
            management_agent: self.agent,
        };
        let ever = |bit| known.ever & bit != 0;
        let before = CheckIn {
            seq: last.seq.saturating_sub(1),
            flags: Flags::NONE
                .with(Flags::COMMAND_AND_CONTROL_OK, ever(Known::CONTACT))
                .with(Flags::TELEMETRY_OK, ever(Known::TELEMETRY))
                .with(Flags::FULL_REPORT, ever(Known::FULL_REPORT)),
            onboarding: if ever(Known::ONBOARDED) {
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

/// The states a partner's word changes to.
const PARTNERS: &[(PartnerThreatState, u16)] = &[
    (PartnerThreatState::Secured, 700),
    (PartnerThreatState::LowSeverity, 150),
    (PartnerThreatState::MediumSeverity, 100),
    (PartnerThreatState::HighSeverity, 40),
    (PartnerThreatState::Unresponsive, 10),
];

/// One step up or, twice as often, down, so that risks come and go and most devices have none.
fn step(risk: Risk, random: &mut Random) -> Risk {
    let up = random.below(3) == 0;
    match (risk, up) {
        (Risk::NotReported, _) | (Risk::Informational, false) => Risk::None,
        (Risk::None, _) | (Risk::Low, false) => Risk::Informational,
        (Risk::Informational, true) | (Risk::Medium, false) => Risk::Low,
        (Risk::Low, true) | (Risk::High, _) => Risk::Medium,
        (Risk::Medium, true) => Risk::High,
    }
}

/// The flags that onboarding has nothing to do with.
fn steady_flags(
    mix: &PlatformShare,
    agent: ManagementAgent,
    partner: PartnerThreatState,
    random: &mut Random,
) -> Flags {
    let by_channel = !matches!(agent, ManagementAgent::MsSense | ManagementAgent::Unknown);
    let registered = if by_channel {
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
        .with(Flags::SUPERVISED, random.per_mille(mix.supervised))
        .with(Flags::JAILBROKEN, random.per_mille(mix.jailbroken))
        .with(
            Flags::MTD_APP_ACTIVATED,
            has_partner && random.per_mille(population::MTD_APP_ACTIVATED),
        )
}

/// The id of a device, from the seed of its fleet and its number in it.
#[inline]
pub const fn device_id(seed: u64, number: u64) -> DeviceId {
    // Version 8 (RFC 9562: bytes of one's own making), so that it reads as a UUID everywhere.
    let high = mix(seed ^ mix(number)) & !0xf000 | 0x8000;
    let low = mix(high ^ number) & !(0b11 << 62) | 0b10 << 62;
    let both = (high as u128) << 64 | low as u128;
    DeviceId::from_bytes(both.to_be_bytes())
}
