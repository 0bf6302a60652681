//! R7: the compliance state of a device.
//!
//! Implemented: rows 1, 2, 4, 6 and 10, with one threat-level policy per tenant and platform, and the device's own
//! error. Not implemented: validity (row 5), grace (R6) and the error hold (R5); so a reported error is `error` at
//! once.

use muster_wire::ManagementAgent;

use super::managed_by::ManagedBy;
use super::states;
use super::threat::ThreatSetting;

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

/// Whether compliance policies apply to the device: it is registered, and not managed by the sensor alone.
pub const fn is_enrolled(registered: bool, agent: ManagementAgent) -> bool {
    registered && !matches!(agent, ManagementAgent::MsSense)
}

/// R4: whether compliance policies reach the device: it is enrolled, and not managed by Configuration Manager alone.
pub(crate) fn is_reached(registered: bool, agent: ManagementAgent) -> bool {
    is_enrolled(registered, agent) && ManagedBy::of(agent) != ManagedBy::ConfigMgr
}

/// R7, first matching row wins. `setting` is that of a device that policies reach.
pub(crate) fn compliance_state(
    registered: bool,
    agent: ManagementAgent,
    secure_by_default: bool,
    setting: ThreatSetting,
) -> Compliance {
    if !is_enrolled(registered, agent) {
        return Compliance::Unknown; // row 1
    }
    if ManagedBy::of(agent) == ManagedBy::ConfigMgr {
        return Compliance::ConfigManager; // row 2
    }
    match setting {
        ThreatSetting::NotAssigned if secure_by_default => Compliance::Noncompliant, // row 4
        ThreatSetting::NotAssigned => Compliance::Compliant,                         // row 4
        ThreatSetting::NonCompliant | ThreatSetting::MissingPartnerData => {
            Compliance::Noncompliant // row 6
        }
        ThreatSetting::Error => Compliance::Error, // row 7 without the hold
        ThreatSetting::PlatformNotSupported => Compliance::Unknown, // row 3: there is nothing to evaluate
        ThreatSetting::NotConfigured
        | ThreatSetting::ConnectorNotEnabled
        | ThreatSetting::PlatformToggleOff
        | ThreatSetting::Compliant
        | ThreatSetting::MissingDataAllowed => Compliance::Compliant, // row 10
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
        // registered, agent, secure by default, setting, state
        #[rustfmt::skip]
        let table = [
            (false, Agent::Mdm,                        false, Setting::NonCompliant,         Unknown),
            (true,  Agent::MsSense,                    false, Setting::NonCompliant,         Unknown),
            (true,  Agent::ConfigurationManagerClient, true,  Setting::NonCompliant,         ConfigManager),
            (true,  co_managed,                        false, Setting::NonCompliant,         Noncompliant),
            (true,  Agent::Mdm,                        true,  Setting::NotAssigned,          Noncompliant),
            (true,  Agent::Mdm,                        false, Setting::NotAssigned,          Compliant),
            (true,  Agent::Mdm,                        true,  Setting::PlatformNotSupported, Unknown),
            (true,  Agent::Mdm,                        true,  Setting::NotConfigured,        Compliant),
            (true,  Agent::Mdm,                        true,  Setting::ConnectorNotEnabled,  Compliant),
            (true,  Agent::Mdm,                        true,  Setting::PlatformToggleOff,    Compliant),
            (true,  Agent::Mdm,                        false, Setting::NonCompliant,         Noncompliant),
            (true,  Agent::Mdm,                        false, Setting::MissingPartnerData,   Noncompliant),
            (true,  Agent::Mdm,                        false, Setting::Error,                Error),
            (true,  Agent::Mdm,                        true,  Setting::Compliant,            Compliant),
            (true,  Agent::Mdm,                        true,  Setting::MissingDataAllowed,   Compliant),
        ];
        for (registered, agent, secure, setting, expected) in table {
            assert_eq!(
                compliance_state(registered, agent, secure, setting),
                expected,
                "registered {registered} {agent:?} secure by default {secure} {setting:?}"
            );
        }
    }
}
