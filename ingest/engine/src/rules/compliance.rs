//! R7: the compliance state of a device.
//!
//! Implemented: rows 1 to 6, 8 and 10, and row 7 without the hold (R5): a reported error is `error` at once. Not
//! implemented: grace (R6, row 9).

use muster_wire::{ManagementAgent, Platform};

use super::managed_by::ManagedBy;
use super::settings::{self, Failing};
use super::threat::ThreatSetting;
use super::{Decision, states};

states! {
    /// `complianceState` of a device.
    Compliance {
        /// Not enrolled, or not evaluated yet.
        #[default]
        Unknown = 0 "unknown",
        /// Every applicable policy passes.
        Compliant = 1 "compliant",
        /// Some applicable policy fails.
        Noncompliant = 2 "noncompliant",
        /// Two policies contradict each other.
        Conflict = 3 "conflict",
        /// The device could not apply a setting.
        Error = 4 "error",
        /// Some policy fails, and its grace period runs.
        InGracePeriod = 5 "inGracePeriod",
        /// Configuration Manager decides.
        ConfigManager = 6 "configManager",
    }
}

impl Compliance {
    /// Whether access rules treat the device as compliant (`isCompliant`, below R7).
    pub const fn is_compliant(self) -> bool {
        matches!(self, Self::Compliant | Self::InGracePeriod)
    }
}

states! {
    /// The summary of a tenant's enrolled devices (C4, `deviceCompliancePolicyDeviceStateSummary`): each is in one.
    Summary {
        /// Compliant.
        Compliant = 0 "compliantDeviceCount",
        /// Some policy fails, and its grace period runs.
        InGracePeriod = 1 "inGracePeriodCount",
        /// Noncompliant.
        Noncompliant = 2 "nonCompliantDeviceCount",
        /// Compliant after a setting was remediated, which no setting of a compliance policy is.
        Remediated = 3 "remediatedDeviceCount",
        /// In error.
        Error = 4 "errorDeviceCount",
        /// Two policies contradict each other.
        Conflict = 5 "conflictDeviceCount",
        /// Not evaluated yet.
        #[default]
        Unknown = 6 "unknownDeviceCount",
        /// No policy exists for the platform.
        NotApplicable = 7 "notApplicableDeviceCount",
        /// Configuration Manager decides.
        ConfigManager = 8 "configManagerCount",
    }
}

impl Summary {
    /// C4, for a device with this state; `None` if it is not enrolled.
    pub const fn of(
        agent: ManagementAgent,
        platform: Platform,
        compliance: Compliance,
    ) -> Option<Self> {
        if !is_enrolled(agent) {
            return None;
        }
        Some(match compliance {
            Compliance::Compliant => Self::Compliant,
            Compliance::InGracePeriod => Self::InGracePeriod,
            Compliance::Noncompliant => Self::Noncompliant,
            Compliance::Error => Self::Error,
            Compliance::Conflict => Self::Conflict,
            Compliance::ConfigManager => Self::ConfigManager,
            Compliance::Unknown => match platform {
                Platform::Unknown => Self::Unknown,
                _ => Self::NotApplicable,
            },
        })
    }
}

/// Whether the device is enrolled. It does not have to be registered in the directory.
pub const fn is_enrolled(agent: ManagementAgent) -> bool {
    use ManagementAgent as Agent;
    match agent {
        Agent::MsSense | Agent::Eas | Agent::Unknown => false,
        Agent::Mdm
        | Agent::EasMdm
        | Agent::IntuneClient
        | Agent::EasIntuneClient
        | Agent::ConfigurationManagerClient
        | Agent::ConfigurationManagerClientMdm
        | Agent::ConfigurationManagerClientMdmEas
        | Agent::Jamf
        | Agent::GoogleCloudDevicePolicyController
        | Agent::Microsoft365ManagedMdm => true,
    }
}

/// R4: whether compliance policies reach the device: it is enrolled, and not managed by Configuration Manager alone.
pub(crate) fn is_reached(agent: ManagementAgent) -> bool {
    is_enrolled(agent) && ManagedBy::of(agent) != ManagedBy::ConfigMgr
}

/// What decided about the compliance of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComplianceCause {
    /// It is not enrolled.
    NotEnrolled,
    /// Configuration Manager alone manages it.
    ConfigurationManager,
    /// There is nothing to evaluate: no policy exists for its platform.
    NothingToEvaluate,
    /// No policy applies, and the tenant is secure by default.
    SecureByDefault,
    /// No policy applies, and the tenant is not secure by default.
    NoPolicy,
    /// Its last report is no longer valid.
    NotActive,
    /// These settings fail.
    SettingsFail(Failing),
    /// The threat setting is in error.
    SettingInError,
    /// No version of the operating system meets all policies.
    Contradiction,
    /// Every policy that applies passes.
    PoliciesPass,
}

/// R7, first matching row wins. `setting` is that of a device that policies reach, and `failing` has its other settings;
/// `contradict` says that its policies do. The validity of its report can only have expired if a policy applies.
#[inline(always)]
pub(crate) fn compliance_state(
    agent: ManagementAgent,
    secure_by_default: bool,
    validity_expired: bool,
    setting: ThreatSetting,
    mut failing: Failing,
    contradict: bool,
) -> Decision<Compliance, ComplianceCause> {
    use ComplianceCause as Cause;
    let decided = |row, state, cause| Decision { state, row, cause };
    if !is_enrolled(agent) {
        return decided("R7 row 1", Compliance::Unknown, Cause::NotEnrolled);
    }
    if ManagedBy::of(agent) == ManagedBy::ConfigMgr {
        let state = Compliance::ConfigManager;
        return decided("R7 row 2", state, Cause::ConfigurationManager);
    }
    match setting {
        ThreatSetting::PlatformNotSupported => {
            decided("R7 row 3", Compliance::Unknown, Cause::NothingToEvaluate)
        }
        ThreatSetting::NotAssigned if secure_by_default => {
            decided("R7 row 4", Compliance::Noncompliant, Cause::SecureByDefault)
        }
        ThreatSetting::NotAssigned => decided("R7 row 4", Compliance::Compliant, Cause::NoPolicy),
        _ if validity_expired => decided("R7 row 5", Compliance::Noncompliant, Cause::NotActive),
        ThreatSetting::NonCompliant
        | ThreatSetting::MissingPartnerData
        | ThreatSetting::Error
        | ThreatSetting::NotConfigured
        | ThreatSetting::ConnectorNotEnabled
        | ThreatSetting::PlatformToggleOff
        | ThreatSetting::Compliant
        | ThreatSetting::MissingDataAllowed => {
            failing.add(settings::Setting::ThreatLevel, setting.fails());
            if failing.any() {
                let cause = Cause::SettingsFail(failing);
                decided("R7 row 6", Compliance::Noncompliant, cause)
            } else if setting == ThreatSetting::Error {
                // Without the hold.
                decided("R7 row 7", Compliance::Error, Cause::SettingInError)
            } else if contradict {
                decided("R7 row 8", Compliance::Conflict, Cause::Contradiction)
            } else {
                decided("R7 row 10", Compliance::Compliant, Cause::PoliciesPass)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ManagementAgent as Agent;
    use ThreatSetting as Setting;

    #[test]
    fn r7_row_by_row() {
        use Compliance::{Compliant, ConfigManager, Error, Noncompliant, Unknown};
        let co_managed = Agent::ConfigurationManagerClientMdm;
        // agent, secure by default, setting, state; and with an expired validity
        #[rustfmt::skip]
        let table = [
            (Agent::MsSense,                    true,  Setting::NotAssigned,          Unknown,      Unknown),
            (Agent::Eas,                        true,  Setting::NotAssigned,          Unknown,      Unknown),
            (Agent::Unknown,                    true,  Setting::NotAssigned,          Unknown,      Unknown),
            (Agent::ConfigurationManagerClient, true,  Setting::NotAssigned,          ConfigManager,ConfigManager),
            (co_managed,                        false, Setting::NonCompliant,         Noncompliant, Noncompliant),
            (Agent::Mdm,                        true,  Setting::PlatformNotSupported, Unknown,      Unknown),
            (Agent::Mdm,                        true,  Setting::NotAssigned,          Noncompliant, Noncompliant),
            (Agent::Mdm,                        false, Setting::NotAssigned,          Compliant,    Compliant),
            (Agent::Mdm,                        true,  Setting::NotConfigured,        Compliant,    Noncompliant),
            (Agent::Mdm,                        true,  Setting::ConnectorNotEnabled,  Compliant,    Noncompliant),
            (Agent::Mdm,                        true,  Setting::PlatformToggleOff,    Compliant,    Noncompliant),
            (Agent::Mdm,                        false, Setting::NonCompliant,         Noncompliant, Noncompliant),
            (Agent::Mdm,                        false, Setting::MissingPartnerData,   Noncompliant, Noncompliant),
            (Agent::Mdm,                        false, Setting::Error,                Error,        Noncompliant),
            (Agent::Mdm,                        true,  Setting::Compliant,            Compliant,    Noncompliant),
            (Agent::Mdm,                        true,  Setting::MissingDataAllowed,   Compliant,    Noncompliant),
        ];
        for (agent, secure, setting, valid, expired) in table {
            for (validity_expired, expected) in [(false, valid), (true, expired)] {
                let none = Failing::default();
                let found = compliance_state(agent, secure, validity_expired, setting, none, false);
                assert_eq!(
                    found.state, expected,
                    "{agent:?} secure by default {secure} expired {validity_expired} {setting:?}"
                );
            }
        }
    }

    #[test]
    fn a_decision_cites_its_row() {
        use ComplianceCause as Cause;
        let (mdm, server) = (Agent::Mdm, Agent::ConfigurationManagerClient);
        // agent, secure by default, expired, setting
        for (facts, row, cause) in [
            (
                (Agent::Eas, true, false, Setting::NotAssigned),
                1,
                Cause::NotEnrolled,
            ),
            (
                (server, true, false, Setting::NotAssigned),
                2,
                Cause::ConfigurationManager,
            ),
            (
                (mdm, true, false, Setting::PlatformNotSupported),
                3,
                Cause::NothingToEvaluate,
            ),
            (
                (mdm, true, false, Setting::NotAssigned),
                4,
                Cause::SecureByDefault,
            ),
            (
                (mdm, false, false, Setting::NotAssigned),
                4,
                Cause::NoPolicy,
            ),
            (
                (mdm, true, true, Setting::NonCompliant),
                5,
                Cause::NotActive,
            ),
            (
                (mdm, true, false, Setting::NonCompliant),
                6,
                Cause::SettingsFail(failing(&[settings::Setting::ThreatLevel])),
            ),
            (
                (mdm, true, false, Setting::MissingPartnerData),
                6,
                Cause::SettingsFail(failing(&[settings::Setting::ThreatLevel])),
            ),
            ((mdm, true, false, Setting::Error), 7, Cause::SettingInError),
            (
                (mdm, true, false, Setting::PlatformToggleOff),
                10,
                Cause::PoliciesPass,
            ),
        ] {
            let (agent, secure, expired, setting) = facts;
            let none = Failing::default();
            let found = compliance_state(agent, secure, expired, setting, none, false);
            assert_eq!(
                (found.row, found.cause),
                (format!("R7 row {row}").as_str(), cause)
            );
        }
    }

    fn failing(settings: &[settings::Setting]) -> Failing {
        let mut failing = Failing::default();
        for &setting in settings {
            failing.add(setting, true);
        }
        failing
    }

    /// Rows 6 to 8 and 10 with the settings besides the threat level: a failure wins over an error, and that over a
    /// contradiction.
    #[test]
    fn other_settings_decide_with_the_threat_level() {
        use Compliance::{Compliant, Conflict, Error, Noncompliant};
        use settings::Setting::{Jailbroken, ThreatLevel};
        for (setting, others, contradict, expected, row) in [
            (Setting::Compliant, &[][..], false, Compliant, 10),
            (Setting::Compliant, &[], true, Conflict, 8),
            (Setting::Error, &[], true, Error, 7),
            (Setting::Error, &[Jailbroken], false, Noncompliant, 6),
            (Setting::NotConfigured, &[Jailbroken], true, Noncompliant, 6),
            (Setting::NonCompliant, &[Jailbroken], false, Noncompliant, 6),
        ] {
            let failing = failing(others);
            let found = compliance_state(Agent::Mdm, false, false, setting, failing, contradict);
            let row = format!("R7 row {row}");
            assert_eq!(
                (found.state, found.row),
                (expected, row.as_str()),
                "{setting:?}"
            );
            if setting == Setting::NonCompliant {
                let both = self::failing(&[ThreatLevel, Jailbroken]);
                assert_eq!(found.cause, ComplianceCause::SettingsFail(both));
            }
        }
        // Where no policy applies, nothing can fail.
        let of_no_policy = failing(&[Jailbroken]);
        let setting = Setting::NotAssigned;
        let found = compliance_state(Agent::Mdm, false, false, setting, of_no_policy, true);
        assert_eq!(found.state, Compliant);
    }

    #[test]
    fn an_enrolled_device_is_in_one_bucket_and_another_in_none() {
        use Compliance::{Compliant, ConfigManager, Unknown};
        for (agent, platform, compliance, expected) in [
            (Agent::MsSense, Platform::Windows, Unknown, None),
            (Agent::Eas, Platform::Android, Unknown, None),
            (Agent::Unknown, Platform::Unknown, Unknown, None),
            (
                Agent::Mdm,
                Platform::Windows,
                Compliant,
                Some("compliantDeviceCount"),
            ),
            (
                Agent::Mdm,
                Platform::Unknown,
                Unknown,
                Some("unknownDeviceCount"),
            ),
            (
                Agent::Mdm,
                Platform::Linux,
                Unknown,
                Some("notApplicableDeviceCount"),
            ),
            (
                Agent::ConfigurationManagerClient,
                Platform::WindowsServer,
                ConfigManager,
                Some("configManagerCount"),
            ),
        ] {
            let found = Summary::of(agent, platform, compliance).map(Summary::name);
            assert_eq!(found, expected, "{agent:?} {platform:?} {compliance:?}");
        }
        let of_state = |state| Summary::of(Agent::Mdm, Platform::Windows, state);
        let distinct: std::collections::HashSet<_> = Compliance::ALL
            .iter()
            .map(|state| of_state(*state))
            .collect();
        assert_eq!(distinct.len(), Compliance::ALL.len());
    }
}
