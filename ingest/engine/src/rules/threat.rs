//! R2 and R3: the threat level of a device, and its comparison with the compliance threshold.
//!
//! Not implemented: an unresponsive connector (R2 row 5), its minimum OS version (row 6) and its staleness (row 8).

use muster_wire::{PartnerThreatState, Platform, Risk};

use super::settings::DeviceRules;
use super::{Decision, states};

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

impl Threshold {
    /// R3: of several policies the lowest threshold applies.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::NotSet, other) => other,
            (one, Self::NotSet) => one,
            (one, other) => one.min(other),
        }
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

    /// R2 rows 7 and 9: the higher of the two levels; `None`, the table's Missing, if there is none. Defender's counts
    /// once the device is onboarded to the organisation of its tenant. A partner gives a level only while its own agent
    /// is active on the device, so that one always counts.
    pub fn effective(is_onboarded: bool, partner: PartnerThreatState, risk: Risk) -> Option<Self> {
        let defender = Self::of_risk(risk).filter(|_| is_onboarded);
        // `None` is less than any level.
        Self::of_partner(partner).max(defender)
    }
}

states! {
    /// What the partner connector of a tenant is for the compliance of one platform (R2 rows 3 and 4).
    Connector {
        /// It does not exist.
        #[default]
        NotEnabled = 0 "notEnabled",
        /// It is enabled, and its toggle for the platform is off.
        PlatformToggleOff = 1 "platformToggleOff",
        /// It is enabled, and so is the platform.
        Enabled = 2 "enabled",
    }
}

/// What a tenant requires of the devices of one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlatformRules {
    /// Whether a compliance policy for this platform is assigned.
    pub policy_assigned: bool,
    /// The lowest threshold of the assigned policies.
    pub threshold: Threshold,
    /// Whether the connector delivers threat levels of this platform.
    pub connector: Connector,
    /// Whether a device without threat data fails.
    pub blocked_on_missing: bool,
    /// What the assigned policies require of the device itself.
    pub device: DeviceRules,
}

states! {
    /// The result of the threat-level setting on one device (R2, R3), with its reason.
    ThreatSetting {
        /// No policy applies to the device.
        #[default]
        NotAssigned = 0 "notAssigned",
        /// R2 row 1: the policies that apply have no threshold.
        NotConfigured = 1 "notConfigured",
        /// R2 row 2: no policy can have a threshold for the platform.
        PlatformNotSupported = 2 "platformNotSupported",
        /// R2 row 3: there is no connector.
        ConnectorNotEnabled = 3 "connectorNotEnabled",
        /// R2 row 4: the toggle of the connector for the platform is off.
        PlatformToggleOff = 4 "platformToggleOff",
        /// The level is at or below the threshold.
        Compliant = 5 "compliant",
        /// No level is reported, and the tenant allows that.
        MissingDataAllowed = 6 "missingDataAllowed",
        /// The level is above the threshold.
        NonCompliant = 7 "nonCompliant",
        /// No level is reported, and the tenant blocks that.
        MissingPartnerData = 8 "missingPartnerData",
        /// The device reported that the setting failed.
        Error = 9 "error",
    }
}

impl ThreatSetting {
    /// Whether it is the result of a policy that applies to the device (R4).
    pub(crate) const fn is_of_a_policy(self) -> bool {
        !matches!(self, Self::NotAssigned | Self::PlatformNotSupported)
    }

    /// Whether the setting fails.
    pub(crate) const fn fails(self) -> bool {
        matches!(self, Self::NonCompliant | Self::MissingPartnerData)
    }

    /// The status that the reference gives a setting with this result (`complianceStatus`).
    pub const fn status(self) -> &'static str {
        match self {
            Self::NotAssigned => "notAssigned",
            Self::NotConfigured
            | Self::PlatformNotSupported
            | Self::ConnectorNotEnabled
            | Self::PlatformToggleOff => "notApplicable",
            Self::Compliant | Self::MissingDataAllowed => "compliant",
            Self::NonCompliant | Self::MissingPartnerData => "nonCompliant",
            Self::Error => "error",
        }
    }

    /// The reason for the status; `None` if the level decided, or nothing is to be explained.
    pub fn reason(self) -> Option<&'static str> {
        (self.name() != self.status()).then(|| self.name())
    }
}

/// The platforms that compliance policies exist for.
pub const fn platform_has_policies(platform: Platform) -> bool {
    platform_has_threshold(platform) || matches!(platform, Platform::MacOs)
}

/// R2 row 2: the platforms whose compliance policies have a threshold.
pub const fn platform_has_threshold(platform: Platform) -> bool {
    matches!(
        platform,
        Platform::Windows | Platform::Ios | Platform::Android | Platform::AndroidEnterprise
    )
}

/// What decided about the threat setting, with its reason ([`ThreatSetting`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreatCause {
    /// The level of the device (R2 rows 7 and 9); `None` if it is missing.
    pub level: Option<ThreatLevel>,
    /// The lowest threshold of the policies of its platform.
    pub threshold: Threshold,
}

/// R2 and R3: the setting's result for one device. Policies apply only to a device that they reach (R4).
#[inline(always)]
pub(crate) fn threat_setting(
    platform: Platform,
    rules: &PlatformRules,
    is_reached: bool,
    level: Option<ThreatLevel>,
    setting_error: bool,
) -> Decision<ThreatSetting, ThreatCause> {
    let threshold = rules.threshold;
    let cause = ThreatCause { level, threshold };
    let decided = |row, state| Decision { state, row, cause };
    if !platform_has_policies(platform) {
        return decided("R2 row 2", ThreatSetting::PlatformNotSupported); // not even a policy
    }
    if !is_reached || !rules.policy_assigned {
        return decided("R4", ThreatSetting::NotAssigned);
    }
    let highest_compliant = match threshold {
        Threshold::NotSet => return decided("R2 row 1", ThreatSetting::NotConfigured),
        Threshold::Clear => ThreatLevel::None,
        Threshold::Low => ThreatLevel::Low,
        Threshold::Medium => ThreatLevel::Medium,
        Threshold::High => ThreatLevel::High,
    };
    match rules.connector {
        Connector::NotEnabled => return decided("R2 row 3", ThreatSetting::ConnectorNotEnabled),
        Connector::PlatformToggleOff => {
            return decided("R2 row 4", ThreatSetting::PlatformToggleOff);
        }
        Connector::Enabled => (),
    }
    match level {
        _ if setting_error => decided("R3", ThreatSetting::Error),
        None if rules.blocked_on_missing => decided("R2 row 7", ThreatSetting::MissingPartnerData),
        None => decided("R2 row 7", ThreatSetting::MissingDataAllowed),
        Some(level) if level <= highest_compliant => decided("R3", ThreatSetting::Compliant),
        Some(_) => decided("R3", ThreatSetting::NonCompliant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use ThreatSetting as Setting;

    const MEDIUM: PlatformRules = PlatformRules {
        policy_assigned: true,
        threshold: Threshold::Medium,
        connector: Connector::Enabled,
        blocked_on_missing: false,
        device: DeviceRules {
            os_minimum: 0,
            os_maximum: u64::MAX,
            blocks_jailbroken: false,
            requires_encryption: false,
        },
    };

    const HIGH: Option<ThreatLevel> = Some(ThreatLevel::High);

    fn windows(rules: PlatformRules, level: Option<ThreatLevel>, setting_error: bool) -> Setting {
        threat_setting(Platform::Windows, &rules, true, level, setting_error).state
    }

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
                let rules = PlatformRules {
                    threshold,
                    ..MEDIUM
                };
                let found = windows(rules, Some(level), false);
                assert_eq!(found, expected, "{level:?} under {threshold:?}");
            }
        }
    }

    #[test]
    fn missing_data_is_allowed_or_blocked_as_the_tenant_says() {
        for threshold in &Threshold::ALL[1..] {
            for (blocked_on_missing, expected) in [
                (false, Setting::MissingDataAllowed),
                (true, Setting::MissingPartnerData),
            ] {
                let rules = PlatformRules {
                    threshold: *threshold,
                    blocked_on_missing,
                    ..MEDIUM
                };
                assert_eq!(windows(rules, None, false), expected, "{threshold:?}");
            }
        }
    }

    /// Each row changes one thing for the worse, so the first that matches is named; nothing after it matters.
    #[test]
    fn a_setting_that_does_not_apply_names_the_first_row_that_matches() {
        let toggle_off = PlatformRules {
            connector: Connector::PlatformToggleOff,
            blocked_on_missing: true,
            ..MEDIUM
        };
        let no_connector = PlatformRules {
            connector: Connector::NotEnabled,
            ..toggle_off
        };
        let not_configured = PlatformRules {
            threshold: Threshold::NotSet,
            ..no_connector
        };
        let not_assigned = PlatformRules {
            policy_assigned: false,
            ..not_configured
        };
        for (rules, row, expected) in [
            (toggle_off, "R2 row 4", Setting::PlatformToggleOff),
            (no_connector, "R2 row 3", Setting::ConnectorNotEnabled),
            (not_configured, "R2 row 1", Setting::NotConfigured),
            (not_assigned, "R4", Setting::NotAssigned),
        ] {
            let cited = threat_setting(Platform::Windows, &rules, true, HIGH, true);
            let ThreatCause { level, threshold } = cited.cause;
            assert_eq!(cited.row, row);
            assert_eq!((level, threshold), (HIGH, rules.threshold));
            for level in [None, HIGH] {
                for error in [false, true] {
                    assert_eq!(windows(rules, level, error), expected, "{level:?} {error}");
                }
            }
            for &platform in Platform::ALL {
                let expected = match platform {
                    Platform::Linux
                    | Platform::WindowsServer
                    | Platform::Other
                    | Platform::Unknown => Setting::PlatformNotSupported,
                    _ => expected,
                };
                let found = threat_setting(platform, &rules, true, HIGH, true);
                assert_eq!(found.state, expected, "{platform:?}");
            }
        }
        let unreached = threat_setting(Platform::Windows, &MEDIUM, false, HIGH, true);
        assert_eq!(unreached.state, Setting::NotAssigned);
    }

    #[test]
    fn an_error_of_the_device_wins_over_its_level() {
        for level in [None, Some(ThreatLevel::None), HIGH] {
            assert_eq!(windows(MEDIUM, level, true), Setting::Error, "{level:?}");
        }
    }

    #[test]
    fn a_result_shows_its_status_and_why_it_is_not_the_level_that_decided() {
        let shown = Setting::ALL
            .iter()
            .map(|each| (each.status(), each.reason()));
        let expected = [
            ("notAssigned", None),
            ("notApplicable", Some("notConfigured")),
            ("notApplicable", Some("platformNotSupported")),
            ("notApplicable", Some("connectorNotEnabled")),
            ("notApplicable", Some("platformToggleOff")),
            ("compliant", None),
            ("compliant", Some("missingDataAllowed")),
            ("nonCompliant", None),
            ("nonCompliant", Some("missingPartnerData")),
            ("error", None),
        ];
        assert!(shown.eq(expected));
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
            let level = |risk| ThreatLevel::effective(true, state, risk);
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
                ThreatLevel::effective(true, partner, risk),
                Some(expected),
                "{partner:?} {risk:?}"
            );
        }
    }

    #[test]
    fn without_onboarding_only_a_partner_gives_a_level() {
        for &risk in Risk::ALL {
            for &partner in PartnerThreatState::ALL {
                let found = ThreatLevel::effective(false, partner, risk);
                assert_eq!(
                    found,
                    ThreatLevel::of_partner(partner),
                    "{partner:?} {risk:?}"
                );
            }
        }
    }
}
