//! Facets: the countable attributes of a device, packed into one 64-bit word (design D20).
//!
//! The word holds reported attributes (platform, agent, onboarding, risk …) and derived ones (sensor, compliance,
//! threat setting). It is in the record of the device, and with the tenant the key of its cell. Attributes that follow
//! from the word alone (`managedBy`, `onboardingStatus`) are not stored. Pure values; the rules that derive them are in
//! [`crate::rules`].

use muster_wire::{Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk};

use crate::rules::compliance::{Compliance, Summary};
use crate::rules::managed_by::ManagedBy;
use crate::rules::onboarding::OnboardingStatus;
use crate::rules::sensor::SensorState;
use crate::rules::threat::{ThreatLevel, ThreatSetting};

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

    const fn put(&self, value: u64) -> u64 {
        value << self.shift
    }

    const fn get(&self, word: u64) -> u64 {
        (word >> self.shift) & ((1 << self.bits) - 1)
    }

    /// The value of a field of one byte.
    const fn code(&self, word: u64) -> u8 {
        self.get(word) as u8
    }
}

// The lowest bits are the codes of a check-in, as `CheckInRecord::codes` has them, so that one comparison covers all of
// them.
const RISK: Field = Field { shift: 0, bits: 8 };
const PARTNER: Field = Field::after(&RISK, 8);
const ONBOARDING: Field = Field::after(&PARTNER, 8);
const PLATFORM: Field = Field::after(&ONBOARDING, 8);
const AGENT: Field = Field::after(&PLATFORM, 8);
const FOREIGN_ORG: Field = Field::after(&AGENT, 1);
const EVER_ONBOARDED: Field = Field::after(&FOREIGN_ORG, 1);
const SENSOR: Field = Field::after(&EVER_ONBOARDED, 3);
const COMPLIANCE: Field = Field::after(&SENSOR, 3);
const THREAT_SETTING: Field = Field::after(&COMPLIANCE, 4);

// Every set fits its field, and words fit the integers that JavaScript reads exactly: the API gives them as numbers.
const _: () = assert!(SensorState::ALL.len() <= 1 << SENSOR.bits);
const _: () = assert!(Compliance::ALL.len() <= 1 << COMPLIANCE.bits);
const _: () = assert!(ThreatSetting::ALL.len() <= 1 << THREAT_SETTING.bits);
const _: () = assert!(THREAT_SETTING.shift + THREAT_SETTING.bits <= 53);

/// Maximum number of combinations of facets, and so of cells, of one tenant: all that its devices can report, with the
/// sensor states that R17 can give: 5 while onboarded, 4 afterwards, 1 before.
pub const COMBINATIONS_MAX: usize = Risk::ALL.len()
    * PartnerThreatState::ALL.len()
    * Platform::ALL.len()
    * ManagementAgent::ALL.len()
    * (5 + 4 + 1)
    // Foreign organisation; setting error, which R3 reads.
    * (2 * 2);

/// [`Facets`] packed; equal words mean equal facets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FacetWord(pub u64);

impl FacetWord {
    /// The [`muster_wire::CheckInRecord::codes`] of a check-in that reports these facets.
    pub(crate) const fn codes(self) -> u64 {
        self.0 & ((1 << FOREIGN_ORG.shift) - 1)
    }

    pub(crate) const fn onboarded(self) -> bool {
        ONBOARDING.code(self.0) == Onboarding::Onboarded.code()
    }

    pub(crate) const fn ever_onboarded(self) -> bool {
        EVER_ONBOARDED.get(self.0) == 1
    }

    /// These facets with this sensor state.
    pub(crate) const fn with_sensor(self, sensor: SensorState) -> Self {
        let others = !SENSOR.put((1 << SENSOR.bits) - 1);
        Self(self.0 & others | SENSOR.put(sensor.index() as u64))
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
    /// Sensor state (R17).
    pub sensor: SensorState,
    /// Compliance state (R7).
    pub compliance: Compliance,
    /// Result of the threat-level setting (R2, R3).
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
            sensor: SensorState::default(),
            compliance: Compliance::default(),
            threat_setting: ThreatSetting::default(),
        }
    }
}

impl Facets {
    /// The packed form.
    pub fn word(&self) -> FacetWord {
        let onboarding = if self.onboarded {
            Onboarding::Onboarded
        } else {
            Onboarding::NotOnboarded
        };
        FacetWord(
            RISK.put(self.risk.code().into())
                | PARTNER.put(self.partner_threat.code().into())
                | ONBOARDING.put(onboarding.code().into())
                | PLATFORM.put(self.platform.code().into())
                | AGENT.put(self.management_agent.code().into())
                | FOREIGN_ORG.put(self.foreign_org.into())
                | EVER_ONBOARDED.put(self.ever_onboarded.into())
                | SENSOR.put(self.sensor.index().into())
                | COMPLIANCE.put(self.compliance.index().into())
                | THREAT_SETTING.put(self.threat_setting.index().into()),
        )
    }

    /// Unpacks a word; `None` if [`Facets::word`] cannot have produced it.
    pub fn from_word(FacetWord(word): FacetWord) -> Option<Self> {
        let facets = Self {
            platform: Platform::from_code(PLATFORM.code(word))?,
            management_agent: ManagementAgent::from_code(AGENT.code(word))?,
            onboarded: Onboarding::from_code(ONBOARDING.code(word))? == Onboarding::Onboarded,
            foreign_org: FOREIGN_ORG.get(word) == 1,
            ever_onboarded: EVER_ONBOARDED.get(word) == 1,
            risk: Risk::from_code(RISK.code(word))?,
            partner_threat: PartnerThreatState::from_code(PARTNER.code(word))?,
            sensor: SensorState::from_index(SENSOR.get(word) as u32)?,
            compliance: Compliance::from_index(COMPLIANCE.get(word) as u32)?,
            threat_setting: ThreatSetting::from_index(THREAT_SETTING.get(word) as u32)?,
        };
        (facets.word() == FacetWord(word)).then_some(facets)
    }

    /// Sets the facets that are reported by flags.
    #[inline]
    pub(crate) fn set_flags(&mut self, flags: Flags) {
        self.foreign_org = flags.contains(Flags::FOREIGN_ORG);
    }

    /// Onboarding status (R18), derived from the reported attributes.
    pub fn onboarding_status(&self) -> OnboardingStatus {
        OnboardingStatus::of(self.platform, self.onboarded, self.foreign_org)
    }

    /// The level that decides about compliance (R2), derived from the reported attributes; `None` if it is missing.
    pub fn threat_level(&self) -> Option<ThreatLevel> {
        let is_onboarded = self.onboarded && !self.foreign_org;
        ThreatLevel::effective(is_onboarded, self.partner_threat, self.risk)
    }

    /// The bucket of the device in the summary of C4; `None` if it is not enrolled.
    pub fn summary(&self) -> Option<Summary> {
        Summary::of(self.management_agent, self.platform, self.compliance)
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
            + 3
            + Risk::ALL.len() * PartnerThreatState::ALL.len() * ManagementAgent::ALL.len();
        assert_eq!(words.len(), fields, "two facets share a word");
    }

    #[test]
    fn a_word_with_unknown_members_or_spare_bits_is_refused() {
        assert_eq!(Facets::from_word(FacetWord(u64::MAX)), None);
        let spare = 1 << (THREAT_SETTING.shift + THREAT_SETTING.bits);
        assert_eq!(
            Facets::from_word(FacetWord(Facets::default().word().0 | spare)),
            None
        );
        for field in [RISK, PARTNER, ONBOARDING, PLATFORM, AGENT] {
            let unknown = Facets::default().word().0 | field.put(0xff);
            assert_eq!(Facets::from_word(FacetWord(unknown)), None);
        }
    }
}
