//! Facets: the countable attributes of a device, packed into one 32-bit word (design D7).
//!
//! The word holds reported attributes (platform, agent, onboarding, risk …) and derived ones (sensor, compliance,
//! threat setting). The cell of a device has its word, so the device record does not repeat them. Attributes that
//! follow from the word alone (`managedBy`, `onboardingStatus`) are not stored. Pure values; the rules that derive them
//! are in [`crate::rules`].

use muster_wire::{Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk};

use crate::rules::compliance::Compliance;
use crate::rules::managed_by::ManagedBy;
use crate::rules::onboarding::OnboardingStatus;
use crate::rules::sensor::SensorState;
use crate::rules::threat::ThreatSetting;

/// The bit field of an attribute.
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn after(previous: &Self, bits: u32) -> Self {
        Self {
            shift: previous.shift + previous.bits,
            bits,
        }
    }

    const fn put(&self, value: u32) -> u32 {
        value << self.shift
    }

    const fn get(&self, word: u32) -> u32 {
        (word >> self.shift) & ((1 << self.bits) - 1)
    }
}

const PLATFORM: Field = Field { shift: 0, bits: 4 };
const AGENT: Field = Field::after(&PLATFORM, 4);
const ONBOARDED: Field = Field::after(&AGENT, 1);
const FOREIGN_ORG: Field = Field::after(&ONBOARDED, 1);
const EVER_ONBOARDED: Field = Field::after(&FOREIGN_ORG, 1);
const RISK: Field = Field::after(&EVER_ONBOARDED, 3);
const PARTNER: Field = Field::after(&RISK, 4);
const REGISTERED: Field = Field::after(&PARTNER, 1);
const SENSOR: Field = Field::after(&REGISTERED, 3);
const COMPLIANCE: Field = Field::after(&SENSOR, 3);
const THREAT_SETTING: Field = Field::after(&COMPLIANCE, 3);

// Every set fits its field, and the fields fit the word.
const _: () = assert!(Platform::ALL.len() <= 1 << PLATFORM.bits);
const _: () = assert!(ManagementAgent::ALL.len() <= 1 << AGENT.bits);
const _: () = assert!(Risk::ALL.len() <= 1 << RISK.bits);
const _: () = assert!(PartnerThreatState::ALL.len() <= 1 << PARTNER.bits);
const _: () = assert!(SensorState::ALL.len() <= 1 << SENSOR.bits);
const _: () = assert!(Compliance::ALL.len() <= 1 << COMPLIANCE.bits);
const _: () = assert!(ThreatSetting::ALL.len() <= 1 << THREAT_SETTING.bits);
const _: () = assert!(THREAT_SETTING.shift + THREAT_SETTING.bits <= u32::BITS);

/// [`Facets`] packed; equal words mean equal facets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FacetWord(pub u32);

impl FacetWord {
    pub(crate) const fn onboarded(self) -> bool {
        ONBOARDED.get(self.0) == 1
    }

    pub(crate) const fn ever_onboarded(self) -> bool {
        EVER_ONBOARDED.get(self.0) == 1
    }

    /// These facets with this sensor state.
    pub(crate) const fn with_sensor(self, sensor: SensorState) -> Self {
        let others = !SENSOR.put((1 << SENSOR.bits) - 1);
        Self(self.0 & others | SENSOR.put(sensor.index()))
    }
}

/// The countable attributes of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Facets {
    /// Reported operating system class.
    pub platform: Platform,
    /// Reported management agent.
    pub management_agent: ManagementAgent,
    /// Reported onboarding state.
    pub onboarded: bool,
    /// The sensor is onboarded to another organisation than this tenant's.
    pub foreign_org: bool,
    /// Some accepted check-in reported onboarded.
    pub ever_onboarded: bool,
    /// Reported Defender risk score.
    pub risk: Risk,
    /// Reported state of a threat defence partner.
    pub partner_threat: PartnerThreatState,
    /// Registered with the directory.
    pub registered: bool,
    /// Sensor state (R17).
    pub sensor: SensorState,
    /// Compliance state (R7).
    pub compliance: Compliance,
    /// Result of the threat-level setting (R3).
    pub threat_setting: ThreatSetting,
}

impl Default for Facets {
    /// The facets of a device that has reported nothing.
    fn default() -> Self {
        Self {
            platform: Platform::Unknown,
            management_agent: ManagementAgent::Unknown,
            onboarded: false,
            foreign_org: false,
            ever_onboarded: false,
            risk: Risk::NotReported,
            partner_threat: PartnerThreatState::Unknown,
            registered: false,
            sensor: SensorState::default(),
            compliance: Compliance::default(),
            threat_setting: ThreatSetting::default(),
        }
    }
}

impl Facets {
    /// The packed form.
    pub fn word(&self) -> FacetWord {
        FacetWord(
            PLATFORM.put(self.platform.index() as u32)
                | AGENT.put(self.management_agent.index() as u32)
                | ONBOARDED.put(u32::from(self.onboarded))
                | FOREIGN_ORG.put(u32::from(self.foreign_org))
                | EVER_ONBOARDED.put(u32::from(self.ever_onboarded))
                | RISK.put(self.risk.index() as u32)
                | PARTNER.put(self.partner_threat.index() as u32)
                | REGISTERED.put(u32::from(self.registered))
                | SENSOR.put(self.sensor.index())
                | COMPLIANCE.put(self.compliance.index())
                | THREAT_SETTING.put(self.threat_setting.index()),
        )
    }

    /// Unpacks a word; `None` if [`Facets::word`] cannot have produced it.
    pub fn from_word(FacetWord(word): FacetWord) -> Option<Self> {
        let facets = Self {
            platform: *Platform::ALL.get(PLATFORM.get(word) as usize)?,
            management_agent: *ManagementAgent::ALL.get(AGENT.get(word) as usize)?,
            onboarded: ONBOARDED.get(word) == 1,
            foreign_org: FOREIGN_ORG.get(word) == 1,
            ever_onboarded: EVER_ONBOARDED.get(word) == 1,
            risk: *Risk::ALL.get(RISK.get(word) as usize)?,
            partner_threat: *PartnerThreatState::ALL.get(PARTNER.get(word) as usize)?,
            registered: REGISTERED.get(word) == 1,
            sensor: SensorState::from_index(SENSOR.get(word))?,
            compliance: Compliance::from_index(COMPLIANCE.get(word))?,
            threat_setting: ThreatSetting::from_index(THREAT_SETTING.get(word))?,
        };
        (facets.word() == FacetWord(word)).then_some(facets)
    }

    /// The [`muster_wire::CheckInRecord::codes`] of a check-in that reports these facets.
    pub(crate) fn codes(&self) -> [u8; 5] {
        let onboarding = if self.onboarded {
            Onboarding::Onboarded
        } else {
            Onboarding::NotOnboarded
        };
        [
            self.risk.code(),
            self.partner_threat.code(),
            onboarding.code(),
            self.platform.code(),
            self.management_agent.code(),
        ]
    }

    /// Sets the facets that are reported by flags.
    #[inline]
    pub(crate) fn set_flags(&mut self, flags: Flags) {
        self.foreign_org = flags.contains(Flags::FOREIGN_ORG);
        self.registered = flags.contains(Flags::REGISTERED);
    }

    /// Onboarding status (R18), derived from the reported attributes.
    pub fn onboarding_status(&self) -> OnboardingStatus {
        OnboardingStatus::of(self.platform, self.onboarded, self.foreign_org)
    }

    /// `managedBy` (docs/reference/DOMAIN.md), derived from the agent.
    pub fn managed_by(&self) -> ManagedBy {
        ManagedBy::of(self.management_agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_every_field_survives_packing() {
        let mut words = std::collections::HashSet::new();
        let mut check = |facets: Facets| {
            assert_eq!(Facets::from_word(facets.word()), Some(facets));
            words.insert(facets.word());
        };
        let base = Facets::default();
        check(base);
        for &platform in &Platform::ALL[1..] {
            check(Facets { platform, ..base });
        }
        for &sensor in &SensorState::ALL[1..] {
            check(Facets { sensor, ..base });
        }
        for &compliance in &Compliance::ALL[1..] {
            check(Facets { compliance, ..base });
        }
        for &threat_setting in &ThreatSetting::ALL[1..] {
            check(Facets {
                threat_setting,
                ..base
            });
        }
        check(Facets {
            onboarded: true,
            ..base
        });
        check(Facets {
            foreign_org: true,
            ..base
        });
        check(Facets {
            ever_onboarded: true,
            ..base
        });
        check(Facets {
            registered: true,
            ..base
        });
        for &risk in Risk::ALL {
            for &partner_threat in PartnerThreatState::ALL {
                for &management_agent in ManagementAgent::ALL {
                    check(Facets {
                        risk,
                        partner_threat,
                        management_agent,
                        ..base
                    });
                }
            }
        }
        let fields = Platform::ALL.len()
            + SensorState::ALL.len()
            + Compliance::ALL.len()
            + ThreatSetting::ALL.len()
            - 4
            + 4
            + Risk::ALL.len() * PartnerThreatState::ALL.len() * ManagementAgent::ALL.len();
        assert_eq!(words.len(), fields, "two facets share a word");
    }

    #[test]
    fn a_word_with_unknown_members_or_spare_bits_is_refused() {
        assert_eq!(Facets::from_word(FacetWord(u32::MAX)), None);
        let spare = 1 << (THREAT_SETTING.shift + THREAT_SETTING.bits);
        assert_eq!(
            Facets::from_word(FacetWord(Facets::default().word().0 | spare)),
            None
        );
    }
}
