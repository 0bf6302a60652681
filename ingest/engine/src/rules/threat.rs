//! R2 and R3: the threat level of a device, and its comparison with the compliance threshold.
//!
//! Not implemented, and assumed to be in the reference's normal case: the connector (enabled in R2 rows 3 to 5), its
//! minimum OS version (row 6) and its staleness (row 8).

use muster_wire::{PartnerThreatState, Platform, Risk};

use super::states;

states! {
    /// `deviceThreatProtectionLevel`: the highest threat level that is still compliant.
    Threshold {
        /// No rule.
        #[default]
        NotSet = 0 "notSet",
        /// `secured`, shown as Clear.
        Clear = 1 "clear",
        /// Low and below.
        Low = 2 "low",
        /// Medium and below.
        Medium = 3 "medium",
        /// Any level: reporting only.
        High = 4 "high",
    }
}

/// The effective threat level (R2), by rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThreatLevel {
    /// No known risk.
    None,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High, or compromised.
    High,
}

impl ThreatLevel {
    /// The level of a Defender risk score; `None` if none was reported.
    const fn of_risk(risk: Risk) -> Option<Self> {
        match risk {
            Risk::NotReported => None,
            Risk::None | Risk::Informational => Some(Self::None),
            Risk::Low => Some(Self::Low),
            Risk::Medium => Some(Self::Medium),
            Risk::High => Some(Self::High),
        }
    }

    /// The level reported by another partner than Defender; `None` if its state has no level.
    pub const fn of_partner(state: PartnerThreatState) -> Option<Self> {
        use PartnerThreatState as State;
        match state {
            State::Unknown
            | State::Activated
            | State::Deactivated
            | State::Unresponsive
            | State::Misconfigured => None,
            State::Secured => Some(Self::None),
            State::LowSeverity => Some(Self::Low),
            State::MediumSeverity => Some(Self::Medium),
            State::HighSeverity | State::Compromised => Some(Self::High),
        }
    }

    /// R2 rows 7 and 9: the higher of the two levels; `None`, the table's Missing, if neither Defender nor another
    /// partner reports one.
    pub fn effective(partner: PartnerThreatState, risk: Risk) -> Option<Self> {
        // `None` is less than any level.
        Self::of_partner(partner).max(Self::of_risk(risk))
    }
}

states! {
    /// The result of the threat-level setting on one device (R3), with its reason.
    ThreatSetting {
        /// Off: no threshold, or a platform that the rule does not cover (R2 rows 1, 2).
        #[default]
        NotApplicable = 0 "notApplicable",
        /// The level is at or below the threshold.
        Compliant = 1 "compliant",
        /// No level is reported, and the tenant allows that (`missingDataAllowed`).
        CompliantWithoutData = 2 "compliantWithoutData",
        /// The level is above the threshold.
        NonCompliant = 3 "nonCompliant",
        /// No level is reported, and the tenant blocks that (`missingPartnerData`).
        MissingPartnerData = 4 "missingPartnerData",
        /// The device reported that the setting failed.
        Error = 5 "error",
    }
}

/// R2 row 2: the platforms whose compliance policies carry the threshold.
pub const fn platform_has_threshold(platform: Platform) -> bool {
    matches!(
        platform,
        Platform::Windows | Platform::Ios | Platform::Android | Platform::AndroidEnterprise
    )
}

/// R3: the setting's result for one device under one threshold.
pub fn threat_setting(
    threshold: Threshold,
    blocked_on_missing: bool,
    level: Option<ThreatLevel>,
    setting_error: bool,
) -> ThreatSetting {
    let highest_compliant = match threshold {
        Threshold::NotSet => return ThreatSetting::NotApplicable,
        Threshold::Clear => ThreatLevel::None,
        Threshold::Low => ThreatLevel::Low,
        Threshold::Medium => ThreatLevel::Medium,
        Threshold::High => ThreatLevel::High,
    };
    match level {
        _ if setting_error => ThreatSetting::Error,
        None if blocked_on_missing => ThreatSetting::MissingPartnerData,
        None => ThreatSetting::CompliantWithoutData,
        Some(level) if level <= highest_compliant => ThreatSetting::Compliant,
        Some(_) => ThreatSetting::NonCompliant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r3_cell_by_cell() {
        use ThreatSetting::{Compliant as Yes, NonCompliant as Non};
        let thresholds = [
            Threshold::Clear,
            Threshold::Low,
            Threshold::Medium,
            Threshold::High,
        ];
        let table = [
            (ThreatLevel::None, [Yes, Yes, Yes, Yes]),
            (ThreatLevel::Low, [Non, Yes, Yes, Yes]),
            (ThreatLevel::Medium, [Non, Non, Yes, Yes]),
            (ThreatLevel::High, [Non, Non, Non, Yes]),
        ];
        for (level, row) in table {
            for (threshold, expected) in thresholds.into_iter().zip(row) {
                assert_eq!(
                    threat_setting(threshold, false, Some(level), false),
                    expected,
                    "{level:?} under {threshold:?}"
                );
            }
        }
    }

    #[test]
    fn missing_data_is_allowed_or_blocked_as_the_tenant_says() {
        assert_eq!(
            threat_setting(Threshold::Clear, false, None, false),
            ThreatSetting::CompliantWithoutData
        );
        assert_eq!(
            threat_setting(Threshold::High, true, None, false),
            ThreatSetting::MissingPartnerData
        );
    }

    #[test]
    fn no_threshold_is_not_applicable_and_an_error_is_an_error() {
        let high = Some(ThreatLevel::High);
        assert_eq!(
            threat_setting(Threshold::NotSet, true, high, true),
            ThreatSetting::NotApplicable
        );
        assert_eq!(
            threat_setting(Threshold::High, false, high, true),
            ThreatSetting::Error
        );
    }

    #[test]
    fn r2_rows_7_and_9() {
        use PartnerThreatState as State;
        for state in [
            State::Unknown,
            State::Activated,
            State::Deactivated,
            State::Unresponsive,
            State::Misconfigured,
        ] {
            let level = |risk| ThreatLevel::effective(state, risk);
            assert_eq!(level(Risk::NotReported), None, "{state:?}");
            // A partner without a level does not remove Defender's level.
            assert_eq!(level(Risk::None), Some(ThreatLevel::None), "{state:?}");
            assert_eq!(level(Risk::High), Some(ThreatLevel::High), "{state:?}");
        }
        let table = [
            (State::Unknown, Risk::Informational, ThreatLevel::None),
            (State::Unknown, Risk::Medium, ThreatLevel::Medium),
            (State::Secured, Risk::NotReported, ThreatLevel::None),
            (State::LowSeverity, Risk::None, ThreatLevel::Low),
            (State::LowSeverity, Risk::High, ThreatLevel::High),
            (State::MediumSeverity, Risk::Low, ThreatLevel::Medium),
            (State::HighSeverity, Risk::NotReported, ThreatLevel::High),
            (State::Compromised, Risk::None, ThreatLevel::High),
        ];
        for (partner, risk, expected) in table {
            assert_eq!(
                ThreatLevel::effective(partner, risk),
                Some(expected),
                "{partner:?} {risk:?}"
            );
        }
    }
}
