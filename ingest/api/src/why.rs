//! Explains the state of a device: the rows of the rules that decided it, with the facts.
//!
//! Pure. It formats the decisions of the engine's rules and has no rule of its own. Rows are those of
//! docs/reference/DOMAIN.md.

use muster_engine::rules::compliance::ComplianceCause;
use muster_engine::rules::sensor::SensorCause;
use muster_engine::rules::settings::Failing;
use muster_engine::rules::threat::ThreatLevel;
use muster_engine::{Decisions, DeviceRecord, Facets, Setting, TenantPolicy, ThreatSetting};
use muster_wire::Risk;

use crate::times;

/// Returns one line each for threat setting, compliance and sensor.
pub(super) fn why(
    record: &DeviceRecord,
    facets: &Facets,
    rules: &TenantPolicy,
    decisions: &Decisions,
) -> Vec<String> {
    vec![
        setting(facets, decisions),
        compliance(record, rules, decisions),
        sensor(record, rules, decisions),
    ]
}

fn setting(facets: &Facets, decisions: &Decisions) -> String {
    let decision = &decisions.threat_setting;
    let platform = facets.platform.name();
    let (risk, partner) = (facets.risk.name(), facets.partner_threat.name());
    let threshold = decision.cause.threshold.name();
    let level = match decision.cause.level {
        // The device reports a risk score, which R2 does not use.
        None if facets.risk != Risk::NotReported => "no threat level counts before onboarding",
        None => "no threat level is known",
        Some(ThreatLevel::None) => "threat level none",
        Some(ThreatLevel::Low) => "threat level low",
        Some(ThreatLevel::Medium) => "threat level medium",
        Some(ThreatLevel::High) => "threat level high",
    };
    let reason = match decision.state {
        ThreatSetting::NotAssigned => "no policy applies to the device".to_owned(),
        ThreatSetting::NotConfigured => "no policy has a threshold".to_owned(),
        ThreatSetting::PlatformNotSupported => format!("no policy exists for platform {platform}"),
        ThreatSetting::ConnectorNotEnabled => "there is no connector".to_owned(),
        ThreatSetting::PlatformToggleOff => format!("the connector is off for platform {platform}"),
        ThreatSetting::Compliant => format!("{level} is within the threshold {threshold}"),
        ThreatSetting::NonCompliant => format!("{level} is above the threshold {threshold}"),
        ThreatSetting::MissingDataAllowed => format!("{level}, which the tenant allows"),
        ThreatSetting::MissingPartnerData => format!("{level}, which the tenant blocks"),
        ThreatSetting::Error => "the device reported a failed setting".to_owned(),
    };
    let (row, status) = (decision.row, decision.state.status());
    format!("{row}: threat setting is {status}: {reason} (risk {risk}, partner {partner})")
}

fn compliance(record: &DeviceRecord, rules: &TenantPolicy, decisions: &Decisions) -> String {
    let decision = &decisions.compliance;
    let reason = match decision.cause {
        ComplianceCause::NotEnrolled => "the device is not enrolled, so no policy reaches it",
        ComplianceCause::ConfigurationManager => "Configuration Manager decides",
        ComplianceCause::NothingToEvaluate => "no policy exists for the platform",
        ComplianceCause::SecureByDefault => {
            "no policy applies, and the tenant is secure by default"
        }
        ComplianceCause::NoPolicy => "no policy applies, and the tenant is not secure by default",
        ComplianceCause::NotActive => &format!(
            "setting \"Is active\": no check-in for {} s (last {})",
            rules.validity_seconds,
            at(record.last_check_in)
        ),
        ComplianceCause::SettingsFail(failing) => &failed(failing),
        ComplianceCause::SettingInError => "the threat setting is in error",
        ComplianceCause::Contradiction => {
            "no version of the operating system meets every policy that applies"
        }
        ComplianceCause::PoliciesPass => "every policy that applies passes",
    };
    let (row, state) = (decision.row, decision.state.name());
    format!("{row}: compliance is {state}: {reason}")
}

/// The settings that fail, as people call them, with the names of their properties.
fn failed(failing: Failing) -> String {
    let words = |setting| match setting {
        Setting::ThreatLevel => "threat level",
        Setting::OsMinimum => "lowest version of the operating system",
        Setting::OsMaximum => "highest version of the operating system",
        Setting::Jailbroken => "no jailbreak",
        Setting::Encryption => "encryption of the storage",
    };
    let named = |setting: Setting| format!("{} ({})", words(setting), setting.name());
    let names: Vec<_> = failing.iter().map(named).collect();
    format!("not met: {}", names.join(", "))
}

fn sensor(record: &DeviceRecord, rules: &TenantPolicy, decisions: &Decisions) -> String {
    let decision = &decisions.sensor;
    let limits = rules.sensor_limits;
    let inactive = limits.inactive_seconds;
    let (contact, telemetry) = (at(record.last_contact), at(record.last_telemetry));
    let reason = match decision.cause {
        SensorCause::NeverOnboarded => "the sensor was never onboarded".to_owned(),
        SensorCause::NoSign { since } => {
            let since = at(since);
            format!("no contact and no telemetry for {inactive} s (last {since})")
        }
        SensorCause::NoCheckIn { since } => {
            let since = at(since);
            format!("never in contact, no check-in for {inactive} s (last {since})")
        }
        SensorCause::NoSignOffboarded { since } => {
            let since = at(since);
            format!("offboarded, never in contact for {inactive} s (last full report {since})")
        }
        SensorCause::Offboarded => {
            format!(
                "the sensor keeps the state in which it was offboarded (last contact {contact})"
            )
        }
        SensorCause::ImpairedWithoutTelemetry => {
            format!("command and control is impaired, telemetry is missing (last {telemetry})")
        }
        SensorCause::Impaired => {
            format!("command and control is impaired (last contact {contact})")
        }
        SensorCause::NoFullReport { since } => {
            let since = at(since);
            format!("heartbeats arrive, but the next full report is overdue (last {since})")
        }
        SensorCause::NotRunning => "the process of the sensor is not running".to_owned(),
        SensorCause::NoTelemetry => {
            let limit = limits.no_sensor_data_seconds;
            format!("no telemetry within {limit} s (last {telemetry}, last contact {contact})")
        }
        SensorCause::Healthy => format!("last contact {contact}, last telemetry {telemetry}"),
    };
    let (row, state) = (decision.row, decision.state.name());
    format!("{row}: sensor is {state}: {reason}")
}

fn at(seconds: u32) -> String {
    times::seconds(seconds).unwrap_or_else(|| "never".to_owned())
}

#[cfg(test)]
mod tests {
    use muster_engine::{ColdRecord, Connector, SensorState, Threshold, decide};
    use muster_wire::{Flags, ManagementAgent, Platform};

    use super::*;

    const DAY: u32 = 24 * 3600;

    /// When the device has checked in last.
    const THEN: u32 = 1_767_225_600;

    /// An onboarded Windows device at high risk, managed by Intune, whose sensor works.
    fn device() -> (DeviceRecord, Facets) {
        let facets = Facets {
            platform: Platform::Windows,
            management_agent: ManagementAgent::Mdm,
            onboarded: true,
            risk: Risk::High,
            ..Facets::default()
        };
        let record = DeviceRecord {
            last_check_in: THEN,
            last_contact: THEN,
            last_telemetry: THEN,
            last_full_report: THEN,
            flags: Flags::SENSOR_RUNNING | Flags::COMMAND_AND_CONTROL_OK | Flags::TELEMETRY_OK,
            ..DeviceRecord::default()
        };
        (record, facets)
    }

    fn medium() -> TenantPolicy {
        TenantPolicy::with_threshold(Threshold::Medium)
    }

    fn lines(
        (record, facets): (DeviceRecord, Facets),
        rules: &TenantPolicy,
        now: u32,
    ) -> [String; 3] {
        let decisions = decide(&record, &ColdRecord::default(), &facets, rules, now);
        why(&record, &facets, rules, &decisions).try_into().unwrap()
    }

    #[test]
    fn each_line_cites_the_row_that_decided_and_its_facts() {
        let expected = [
            "R3: threat setting is nonCompliant: threat level high is above the threshold medium \
             (risk high, partner unknown)",
            "R7 row 6: compliance is noncompliant: not met: threat level (deviceThreatProtectionRequiredSecurityLevel)",
            "R17 row 6: sensor is active: last contact 2026-01-01T00:00:00Z, \
             last telemetry 2026-01-01T00:00:00Z",
        ];
        assert_eq!(lines(device(), &medium(), THEN), expected);
    }

    #[test]
    fn silence_is_explained_by_the_last_sign() {
        let expected = [
            "R3: threat setting is nonCompliant: threat level high is above the threshold medium \
             (risk high, partner unknown)",
            "R7 row 5: compliance is noncompliant: setting \"Is active\": no check-in for 2592000 s \
             (last 2026-01-01T00:00:00Z)",
            "R17 row 1: sensor is inactive: no contact and no telemetry for 604800 s \
             (last 2026-01-01T00:00:00Z)",
        ];
        assert_eq!(lines(device(), &medium(), THEN + 31 * DAY), expected);
    }

    #[test]
    fn a_setting_that_does_not_apply_says_why() {
        let off = |connector| {
            let mut rules = medium();
            rules.change_platform(Platform::Windows, |rules| rules.connector = connector);
            rules
        };
        let (record, facets) = device();
        let elsewhere = Facets {
            foreign_org: true,
            ..facets
        };
        for (facets, rules, expected) in [
            (
                facets,
                off(Connector::PlatformToggleOff),
                "R2 row 4: threat setting is notApplicable: the connector is off for platform windows",
            ),
            (
                facets,
                off(Connector::NotEnabled),
                "R2 row 3: threat setting is notApplicable: there is no connector",
            ),
            (
                facets,
                TenantPolicy::default(),
                "R4: threat setting is notAssigned: no policy applies to the device",
            ),
            (
                elsewhere,
                medium(),
                "R2 row 7: threat setting is compliant: no threat level counts before onboarding, \
                 which the tenant allows",
            ),
        ] {
            let [setting, ..] = lines((record, facets), &rules, THEN);
            assert_eq!(setting, format!("{expected} (risk high, partner unknown)"));
        }
    }

    #[test]
    fn an_offboarded_sensor_says_that_it_keeps_its_state() {
        let (record, facets) = device();
        let offboarded = Facets {
            onboarded: false,
            sensor: SensorState::ImpairedCommunication,
            ..facets
        };
        let [_, _, sensor] = lines((record, offboarded), &medium(), THEN);
        let expected = "R17: sensor is impairedCommunication: the sensor keeps the state in which it was \
                        offboarded (last contact 2026-01-01T00:00:00Z)";
        assert_eq!(sensor, expected);
    }
}
