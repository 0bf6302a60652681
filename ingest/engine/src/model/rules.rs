//! The tables of docs/reference/DOMAIN.md, implemented row by row without regard for speed.
//!
//! Pure functions of the oracle. They share no code with [`crate::rules`] but the names of states.

use muster_wire::{Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk};

use super::ModelDevice;
use crate::facet::Facets;
use crate::policy::TenantPolicy;
use crate::rules::compliance::Compliance;
use crate::rules::sensor::SensorState;
use crate::rules::threat::{Connector, ThreatSetting, Threshold};

const DAY: u64 = 24 * 60 * 60;

/// 26.4 hours.
const REPORT: u64 = 26 * 60 * 60 + 24 * 60;

/// R17, row by row. A check-in may be later than `now` if the clock was set back: then that is the time.
pub(super) fn r17(device: &ModelDevice, policy: &TenantPolicy, now: u32) -> SensorState {
    let now = match device.last {
        Some(_) if device.last_check_in > now => device.last_check_in,
        _ => now,
    };
    let older = |then: u32, seconds: u64| u64::from(now) > u64::from(then) + seconds;
    let onboarded = device.is_onboarded();
    let inactive = u64::from(policy.sensor_limits.inactive_seconds);
    let no_data = u64::from(policy.sensor_limits.no_sensor_data_seconds);
    let report = device.last_full_report;

    // 0: not onboarded and never was.
    if !onboarded && device.kept.is_none() {
        return SensorState::NeverOnboarded;
    }
    // 1: now - max(C,T) > 7 days (also after offboarding).
    let silent_since = match device.last_contact.max(device.last_telemetry) {
        Some(sign) => Some(sign),
        None if onboarded => Some(device.last_check_in),
        None => report,
    };
    if silent_since.is_some_and(|then| older(then, inactive)) {
        return SensorState::Inactive;
    }
    // An offboarded device keeps its last state.
    if let Some(kept) = device.kept
        && !onboarded
    {
        return kept;
    }
    let impaired = !device.flag(Flags::COMMAND_AND_CONTROL_OK);
    let stopped = !device.flag(Flags::SENSOR_RUNNING);
    let telemetry_missing = match device.last_telemetry {
        None => true,
        Some(telemetry) => older(telemetry, no_data) || stopped,
    };
    // 2: C impaired and T missing.
    if impaired && telemetry_missing {
        return SensorState::NoSensorDataImpairedCommunication;
    }
    // 3: C flagged impaired.
    if impaired {
        return SensorState::ImpairedCommunication;
    }
    // 3: no full report for more than 26.4 hours while heartbeats come.
    if report.is_some_and(|report| older(report, REPORT)) && !older(device.last_check_in, DAY) {
        return SensorState::ImpairedCommunication;
    }
    // 4: T missing, or never since onboarding; so 5 cannot match.
    if telemetry_missing {
        return SensorState::NoSensorData;
    }
    // 6
    SensorState::Active
}

/// The agents of enrolled devices that policies reach; Configuration Manager alone is the only other one.
const REACHED: [ManagementAgent; 9] = [
    ManagementAgent::Mdm,
    ManagementAgent::EasMdm,
    ManagementAgent::IntuneClient,
    ManagementAgent::EasIntuneClient,
    ManagementAgent::ConfigurationManagerClientMdm,
    ManagementAgent::ConfigurationManagerClientMdmEas,
    ManagementAgent::Jamf,
    ManagementAgent::GoogleCloudDevicePolicyController,
    ManagementAgent::Microsoft365ManagedMdm,
];

/// R2 and R3: the table of twelve combinations, and the rows around it.
pub(super) fn r3(device: &ModelDevice, policy: &TenantPolicy) -> ThreatSetting {
    let Some(check_in) = &device.last else {
        return ThreatSetting::PlatformNotSupported; // its platform is not known
    };
    let platform = check_in.platform();
    let with_policies = [
        Platform::Windows,
        Platform::MacOs,
        Platform::Ios,
        Platform::Android,
        Platform::AndroidEnterprise,
    ];
    let rules = policy.platform(platform);
    if !with_policies.contains(&platform) {
        return ThreatSetting::PlatformNotSupported;
    }
    if !rules.policy_assigned || !REACHED.contains(&check_in.management_agent()) {
        return ThreatSetting::NotAssigned;
    }
    let threshold = rules.threshold;
    if threshold == Threshold::NotSet {
        return ThreatSetting::NotConfigured;
    }
    if rules.connector == Connector::NotEnabled {
        return ThreatSetting::ConnectorNotEnabled;
    }
    if rules.connector == Connector::PlatformToggleOff {
        return ThreatSetting::PlatformToggleOff;
    }
    if device.flag(Flags::SETTING_ERROR) {
        return ThreatSetting::Error;
    }
    // From the highest level down: the first that either side reports.
    let here = check_in.onboarding() == Onboarding::Onboarded && !device.flag(Flags::FOREIGN_ORG);
    let risk = if here {
        check_in.risk()
    } else {
        Risk::NotReported // of no sensor of this organisation
    };
    let level = match (check_in.partner_threat_state(), risk) {
        (PartnerThreatState::HighSeverity, _)
        | (PartnerThreatState::Compromised, _)
        | (_, Risk::High) => Some(3),
        (PartnerThreatState::MediumSeverity, _) | (_, Risk::Medium) => Some(2),
        (PartnerThreatState::LowSeverity, _) | (_, Risk::Low) => Some(1),
        (PartnerThreatState::Secured, _) | (_, Risk::None) | (_, Risk::Informational) => Some(0),
        (_, Risk::NotReported) => None,
    };
    let compliant = match (level, threshold) {
        (None, _) if rules.blocked_on_missing => {
            return ThreatSetting::MissingPartnerData;
        }
        (None, _) => return ThreatSetting::MissingDataAllowed,
        (_, Threshold::High) | (Some(0), _) => true,
        (Some(1), Threshold::Low | Threshold::Medium) => true,
        (Some(2), Threshold::Medium) => true,
        _ => false,
    };
    if compliant {
        ThreatSetting::Compliant
    } else {
        ThreatSetting::NonCompliant
    }
}

/// R7 row 5: a policy applies, and the last report is older than its validity.
pub(super) fn is_expired(
    device: &ModelDevice,
    facets: &Facets,
    policy: &TenantPolicy,
    now: u32,
) -> bool {
    let without_policy = [
        ThreatSetting::NotAssigned,
        ThreatSetting::PlatformNotSupported,
    ];
    let valid_until = u64::from(device.last_check_in) + u64::from(policy.validity_seconds);
    !without_policy.contains(&facets.threat_setting) && u64::from(now) > valid_until
}

/// Whether a setting besides the threat level fails (R4), each judged by itself; a contradiction of the bounds of the
/// version is none (R13).
fn fails(device: &ModelDevice, facets: &Facets, policy: &TenantPolicy) -> bool {
    let rules = policy.platform(facets.platform).device;
    let version = device.os_version;
    let is_bounded = !contradicts(facets, policy);
    let too_old = rules.os_minimum > 0 && version < rules.os_minimum;
    let too_new = rules.os_maximum < u64::MAX && (version == 0 || version > rules.os_maximum);
    (is_bounded && (too_old || too_new))
        || (rules.blocks_jailbroken && device.flag(Flags::JAILBROKEN))
        || (rules.requires_encryption && !device.flag(Flags::ENCRYPTED))
}

/// R13: no version can meet all policies.
fn contradicts(facets: &Facets, policy: &TenantPolicy) -> bool {
    let rules = policy.platform(facets.platform).device;
    rules.os_minimum > rules.os_maximum
}

/// R7, the implemented rows.
pub(super) fn r7(device: &ModelDevice, facets: &Facets, policy: &TenantPolicy) -> Compliance {
    let threat_fails = [
        ThreatSetting::NonCompliant,
        ThreatSetting::MissingPartnerData,
    ];
    if facets.management_agent == ManagementAgent::ConfigurationManagerClient {
        Compliance::ConfigManager
    } else if !REACHED.contains(&facets.management_agent)
        || facets.threat_setting == ThreatSetting::PlatformNotSupported
    {
        Compliance::Unknown
    } else if facets.threat_setting == ThreatSetting::NotAssigned {
        if policy.secure_by_default {
            Compliance::Noncompliant
        } else {
            Compliance::Compliant
        }
    } else if facets.validity_expired
        || threat_fails.contains(&facets.threat_setting)
        || fails(device, facets, policy)
    {
        Compliance::Noncompliant
    } else if facets.threat_setting == ThreatSetting::Error {
        Compliance::Error
    } else if contradicts(facets, policy) {
        Compliance::Conflict
    } else {
        Compliance::Compliant
    }
}
