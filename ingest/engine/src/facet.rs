//! Facets: the countable attributes of a device, packed into one 64-bit word (design D20).
//!
//! The word holds reported attributes (platform, agent, onboarding, risk …) and derived ones (sensor, compliance,
//! threat setting). It is in the record of the device, and with the tenant the key of its cell. Attributes that follow
//! from the word alone (`managedBy`, `onboardingStatus`) are not stored. Pure values; the rules that derive them are in
//! [`crate::rules`].

use muster_wire::{Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk};

use crate::rules::compliance::{Compliance, Summary, is_reached};
use crate::rules::managed_by::ManagedBy;
use crate::rules::onboarding::{OnboardingStatus, WindowsOnboarding};
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
// Right behind the codes, so that one comparison of codes also covers it: a check-in ends it.
const VALIDITY_EXPIRED: Field = Field::after(&AGENT, 1);
const FOREIGN_ORG: Field = Field::after(&VALIDITY_EXPIRED, 1);
// The state of the sensor, or the one that it has kept if it is inactive since it was offboarded.
const SENSOR: Field = Field::after(&FOREIGN_ORG, 3);
const SENSOR_SILENT: Field = Field::after(&SENSOR, 1);
const COMPLIANCE: Field = Field::after(&SENSOR_SILENT, 3);
const THREAT_SETTING: Field = Field::after(&COMPLIANCE, 4);

// Every set fits its field, and words fit the integers that JavaScript reads exactly: the API gives them as numbers.
const _: () = assert!(SensorState::ALL.len() <= 1 << SENSOR.bits);
const _: () = assert!(Compliance::ALL.len() <= 1 << COMPLIANCE.bits);
const _: () = assert!(ThreatSetting::ALL.len() <= 1 << THREAT_SETTING.bits);
const _: () = assert!(THREAT_SETTING.shift + THREAT_SETTING.bits <= 53);

/// Maximum number of combinations of facets, and so of cells, of one tenant: all that its devices can report, with the
/// sensor states that R17 can give: 5 while onboarded, afterwards those, and 4 that are inactive and have kept another;
/// 1 before.
pub const COMBINATIONS_MAX: usize = Risk::ALL.len()
    * PartnerThreatState::ALL.len()
    * Platform::ALL.len()
    * ManagementAgent::ALL.len()
    * (5 + 5 + 4 + 1)
    // Foreign organisation; setting error, which R3 reads; expired validity.
    * (2 * 2 * 2);

/// [`Facets`] packed; equal words mean equal facets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FacetWord(pub u64);

impl FacetWord {
    /// The [`muster_wire::CheckInRecord::codes`] of a check-in that reports these facets.
    pub(crate) const fn codes(self) -> u64 {
        self.0 & ((1 << VALIDITY_EXPIRED.shift) - 1)
    }

    /// Whether these facets are those of a valid report with these codes.
    pub(crate) const fn are_valid_with(self, codes: u64) -> bool {
        self.0 & ((1 << FOREIGN_ORG.shift) - 1) == codes
    }

    pub(crate) const fn onboarded(self) -> bool {
        ONBOARDING.code(self.0) == Onboarding::Onboarded.code()
    }

    /// Whether some accepted check-in reported onboarded.
    pub(crate) fn ever_onboarded(self) -> bool {
        self.onboarded() || self.kept_sensor() != SensorState::NeverOnboarded
    }

    /// The state of the sensor, apart from silence since it was offboarded.
    pub(crate) fn kept_sensor(self) -> SensorState {
        SensorState::from_index(SENSOR.get(self.0) as u32).unwrap_or_default()
    }

    /// These facets with this sensor state, and the one that the sensor keeps if it is offboarded.
    pub(crate) fn with_sensor(self, sensor: SensorState, kept: SensorState) -> Self {
        let others = !(SENSOR.put((1 << SENSOR.bits) - 1) | SENSOR_SILENT.put(1));
        let silent = SENSOR_SILENT.put((sensor != kept).into());
        Self(self.0 & others | SENSOR.put(kept.index().into()) | silent)
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
    /// Reported Defender risk score.
    pub risk: Risk,
    /// Reported state of a threat defence partner.
    pub partner_threat: PartnerThreatState,
    /// Sensor state (R17).
    pub sensor: SensorState,
    /// The state that the sensor kept from when it was offboarded until it was inactive; `None` if it is not such one.
    pub sensor_before_silence: Option<SensorState>,
    /// Compliance state (R7).
    pub compliance: Compliance,
    /// The device is noncompliant because its last report is no longer valid (R7 row 5).
    pub validity_expired: bool,
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
            risk: Risk::NotReported,
            partner_threat: PartnerThreatState::Unknown,
            sensor: SensorState::default(),
            sensor_before_silence: None,
            compliance: Compliance::default(),
            validity_expired: false,
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
                | VALIDITY_EXPIRED.put(self.validity_expired.into())
                | FOREIGN_ORG.put(self.foreign_org.into())
                | SENSOR.put(self.kept_sensor().index().into())
                | SENSOR_SILENT.put(self.sensor_before_silence.is_some().into())
                | COMPLIANCE.put(self.compliance.index().into())
                | THREAT_SETTING.put(self.threat_setting.index().into()),
        )
    }

    /// Unpacks a word; `None` if [`Facets::word`] cannot have produced it.
    pub fn from_word(FacetWord(word): FacetWord) -> Option<Self> {
        let kept = SensorState::from_index(SENSOR.get(word) as u32)?;
        let (sensor, sensor_before_silence) = match SENSOR_SILENT.get(word) {
            0 => (kept, None),
            _ => (SensorState::Inactive, Some(kept)),
        };
        let facets = Self {
            platform: Platform::from_code(PLATFORM.code(word))?,
            management_agent: ManagementAgent::from_code(AGENT.code(word))?,
            onboarded: Onboarding::from_code(ONBOARDING.code(word))? == Onboarding::Onboarded,
            validity_expired: VALIDITY_EXPIRED.get(word) == 1,
            foreign_org: FOREIGN_ORG.get(word) == 1,
            risk: Risk::from_code(RISK.code(word))?,
            partner_threat: PartnerThreatState::from_code(PARTNER.code(word))?,
            sensor,
            sensor_before_silence,
            compliance: Compliance::from_index(COMPLIANCE.get(word) as u32)?,
            threat_setting: ThreatSetting::from_index(THREAT_SETTING.get(word) as u32)?,
        };
        let is_possible = match facets.sensor_before_silence {
            None => true,
            Some(SensorState::NeverOnboarded | SensorState::Inactive) => false,
            Some(_) => !facets.onboarded,
        };
        (is_possible && facets.word() == FacetWord(word)).then_some(facets)
    }

    /// Sets the facets that are reported by flags.
    #[inline]
    pub(crate) fn set_flags(&mut self, flags: Flags) {
        self.foreign_org = flags.contains(Flags::FOREIGN_ORG);
    }

    /// The state of the sensor, apart from silence since it was offboarded (R17).
    pub(crate) fn kept_sensor(&self) -> SensorState {
        self.sensor_before_silence.unwrap_or(self.sensor)
    }

    /// Whether some accepted check-in reported onboarded.
    pub fn ever_onboarded(&self) -> bool {
        self.sensor != SensorState::NeverOnboarded
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

    /// How a Windows device is onboarded (C1); `None` for a device that this count is not about.
    pub fn windows_onboarding(&self) -> Option<WindowsOnboarding> {
        WindowsOnboarding::of(
            self.platform,
            self.managed_by(),
            self.onboarded,
            self.foreign_org,
            self.ever_onboarded(),
        )
    }

    /// Whether no policy applies to the device, although policies reach it (C9).
    pub fn is_without_policy(&self) -> bool {
        self.threat_setting == ThreatSetting::NotAssigned && is_reached(self.management_agent)
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
            validity_expired: true,
            ..base
        });
        for &kept in SensorState::ALL {
            if [SensorState::NeverOnboarded, SensorState::Inactive].contains(&kept) {
                continue;
            }
            check(Facets {
                sensor: SensorState::Inactive,
                sensor_before_silence: Some(kept),
                ..base
            });
        }
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
            + SensorState::ALL.len()
            - 2
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
        for (sensor, onboarded, is_possible) in [
            (SensorState::Active, false, true),
            (SensorState::Active, true, false),
            (SensorState::Inactive, false, false),
            (SensorState::NeverOnboarded, false, false),
        ] {
            let facets = Facets {
                sensor: SensorState::Inactive,
                sensor_before_silence: Some(sensor),
                onboarded,
                ..Facets::default()
            };
            let unpacked = Facets::from_word(facets.word());
            assert_eq!(unpacked.is_some(), is_possible, "{sensor:?} {onboarded}");
        }
        for field in [RISK, PARTNER, ONBOARDING, PLATFORM, AGENT] {
            let unknown = Facets::default().word().0 | field.put(0xff);
            assert_eq!(Facets::from_word(FacetWord(unknown)), None);
        }
    }
}
