//! Explains the state of a device: the rules that decided it, with their inputs.
//!
//! Pure. It explains the stored state from the stored facts and evaluates nothing. Rows are those of R3, R7 and R17 in
//! docs/reference/DOMAIN.md.

use muster_engine::rules::compliance::is_enrolled;
use muster_engine::rules::sensor::{FULL_REPORT_DUE_SECONDS, SensorLimits};
use muster_engine::rules::threat::ThreatLevel;
use muster_engine::{DeviceRecord, Facets, ManagedBy, SensorState, TenantPolicy, ThreatSetting};
use muster_wire::Flags;

use crate::times;

/// Returns one line each for threat setting, compliance and sensor.
pub(super) fn why(
    record: &DeviceRecord,
    facets: &Facets,
    rules: Option<&TenantPolicy>,
) -> Vec<String> {
    vec![
        setting(facets, rules),
        compliance(record, facets, rules),
        sensor(record, facets, rules),
    ]
}

fn setting(facets: &Facets, rules: Option<&TenantPolicy>) -> String {
    let platform = facets.platform.name();
    let rules = rules.map(|rules| *rules.platform(facets.platform));
    let threshold = rules.unwrap_or_default().threshold.name();
    let risk = facets.risk.name();
    let partner = facets.partner_threat.name();
    let level = match facets.threat_level() {
        None => "unknown",
        Some(ThreatLevel::None) => "none",
        Some(ThreatLevel::Low) => "low",
        Some(ThreatLevel::Medium) => "medium",
        Some(ThreatLevel::High) => "high",
    };
    let (row, reason) = match facets.threat_setting {
        ThreatSetting::NotAssigned => ("R4", "no policy applies to the device".to_owned()),
        ThreatSetting::NotConfigured => ("R2 row 1", "no policy has a threshold".to_owned()),
        ThreatSetting::PlatformNotSupported => (
            "R2 row 2",
            format!("no policy exists for platform {platform}"),
        ),
        ThreatSetting::ConnectorNotEnabled => ("R2 row 3", "there is no connector".to_owned()),
        ThreatSetting::PlatformToggleOff => (
            "R2 row 4",
            format!("the connector is off for platform {platform}"),
        ),
        ThreatSetting::Compliant => (
            "R3",
            format!("threat level {level} is within the threshold {threshold}"),
        ),
        ThreatSetting::NonCompliant => (
            "R3",
            format!("threat level {level} is above the threshold {threshold}"),
        ),
        ThreatSetting::MissingDataAllowed => (
            "R3",
            "no threat level is known, which the tenant allows".to_owned(),
        ),
        ThreatSetting::MissingPartnerData => (
            "R3",
            "no threat level is known, which the tenant blocks".to_owned(),
        ),
        ThreatSetting::Error => ("R3", "the device reported a failed setting".to_owned()),
    };
    let status = facets.threat_setting.status();
    format!("{row}: threat setting is {status}: {reason} (risk {risk}, partner {partner})")
}

fn compliance(record: &DeviceRecord, facets: &Facets, rules: Option<&TenantPolicy>) -> String {
    let secure = rules.is_some_and(|rules| rules.secure_by_default);
    if facets.validity_expired {
        let valid = rules.map_or(0, |rules| rules.validity_seconds);
        let last = times::seconds(record.last_check_in).unwrap_or_default();
        return format!(
            "R7 row 5: compliance is {}: setting \"Is active\": no check-in for {valid} s (last {last})",
            facets.compliance.name()
        );
    }
    let (row, reason) = if !is_enrolled(facets.management_agent) {
        (1, "the device is not enrolled, so no policy reaches it")
    } else if facets.managed_by() == ManagedBy::ConfigMgr {
        (2, "Configuration Manager decides")
    } else {
        match facets.threat_setting {
            ThreatSetting::PlatformNotSupported => (3, "no policy exists for the platform"),
            ThreatSetting::NotAssigned if secure => {
                (4, "no policy applies, and the tenant is secure by default")
            }
            ThreatSetting::NotAssigned => (
                4,
                "no policy applies, and the tenant is not secure by default",
            ),
            ThreatSetting::NonCompliant | ThreatSetting::MissingPartnerData => {
                (6, "the threat setting fails")
            }
            ThreatSetting::Error => (7, "the threat setting is in error"),
            ThreatSetting::NotConfigured
            | ThreatSetting::ConnectorNotEnabled
            | ThreatSetting::PlatformToggleOff
            | ThreatSetting::Compliant
            | ThreatSetting::MissingDataAllowed => (10, "every applicable policy passes"),
        }
    };
    format!(
        "R7 row {row}: compliance is {}: {reason}",
        facets.compliance.name()
    )
}

fn sensor(record: &DeviceRecord, facets: &Facets, rules: Option<&TenantPolicy>) -> String {
    let limits = rules.map_or_else(SensorLimits::default, |rules| rules.sensor_limits);
    let at = |seconds| times::seconds(seconds).unwrap_or_else(|| "never".to_owned());
    let (contact, telemetry) = (at(record.last_contact), at(record.last_telemetry));
    let impaired = facets.onboarded && !record.flags.contains(Flags::COMMAND_AND_CONTROL_OK);
    let (row, reason) = match facets.sensor {
        SensorState::NeverOnboarded => (0, "the sensor was never onboarded".to_owned()),
        SensorState::Inactive => {
            let limit = limits.inactive_seconds;
            let last = record.last_contact.max(record.last_telemetry);
            match last {
                0 => (
                    1,
                    format!(
                        "never in contact, no check-in for {limit} s (last {})",
                        at(record.last_check_in)
                    ),
                ),
                last => (
                    1,
                    format!(
                        "no contact and no telemetry for {limit} s (last {})",
                        at(last)
                    ),
                ),
            }
        }
        SensorState::NoSensorDataImpairedCommunication => (
            2,
            format!("command and control is impaired, telemetry is missing (last {telemetry})"),
        ),
        SensorState::ImpairedCommunication if impaired => (
            3,
            format!("command and control is impaired (last contact {contact})"),
        ),
        SensorState::ImpairedCommunication => {
            let last = at(record.last_full_report);
            (
                3,
                format!(
                    "heartbeats arrive, but no full report for {FULL_REPORT_DUE_SECONDS} s (last {last})"
                ),
            )
        }
        SensorState::NoSensorData
            if facets.onboarded && !record.flags.contains(Flags::SENSOR_RUNNING) =>
        {
            (
                4,
                "the sensor is onboarded, but its process is not running".to_owned(),
            )
        }
        SensorState::NoSensorData => {
            let limit = limits.no_sensor_data_seconds;
            (
                4,
                format!("no telemetry within {limit} s (last {telemetry}, last contact {contact})"),
            )
        }
        SensorState::Unknown => (5, "the sensor never made contact".to_owned()),
        SensorState::Active => (
            6,
            format!("last contact {contact}, last telemetry {telemetry}"),
        ),
    };
    format!(
        "R17 row {row}: sensor is {}: {reason}",
        facets.sensor.name()
    )
}

#[cfg(test)]
mod tests {
    use muster_engine::{Compliance, Threshold};
    use muster_wire::{ManagementAgent, Platform, Risk};

    use super::*;

    fn managed() -> Facets {
        Facets {
            platform: Platform::Windows,
            management_agent: ManagementAgent::Mdm,
            onboarded: true,
            risk: Risk::High,
            threat_setting: ThreatSetting::NonCompliant,
            compliance: Compliance::Noncompliant,
            ..Facets::default()
        }
    }

    fn lines(facets: &Facets) -> [String; 3] {
        let rules = TenantPolicy::with_threshold(Threshold::Medium);
        why(&DeviceRecord::default(), facets, Some(&rules))
            .try_into()
            .unwrap()
    }

    #[test]
    fn each_line_cites_the_row_that_decided_and_its_inputs() {
        let [setting, compliance, sensor] = lines(&managed());
        assert_eq!(
            setting,
            "R3: threat setting is nonCompliant: threat level high is above the threshold medium \
             (risk high, partner unknown)"
        );
        assert_eq!(
            compliance,
            "R7 row 6: compliance is noncompliant: the threat setting fails"
        );
        assert!(
            sensor.starts_with("R17 row 0: sensor is neverOnboarded"),
            "{sensor}"
        );
    }

    #[test]
    fn compliance_cites_the_first_row_that_matches() {
        let cases = [
            (
                Facets {
                    management_agent: ManagementAgent::MsSense,
                    ..managed()
                },
                "R7 row 1",
            ),
            (
                Facets {
                    management_agent: ManagementAgent::ConfigurationManagerClient,
                    ..managed()
                },
                "R7 row 2",
            ),
            (
                Facets {
                    threat_setting: ThreatSetting::PlatformNotSupported,
                    ..managed()
                },
                "R7 row 3",
            ),
            (
                Facets {
                    threat_setting: ThreatSetting::NotAssigned,
                    ..managed()
                },
                "R7 row 4",
            ),
            (
                Facets {
                    threat_setting: ThreatSetting::Error,
                    ..managed()
                },
                "R7 row 7",
            ),
            (
                Facets {
                    threat_setting: ThreatSetting::PlatformToggleOff,
                    ..managed()
                },
                "R7 row 10",
            ),
            (
                Facets {
                    threat_setting: ThreatSetting::Compliant,
                    ..managed()
                },
                "R7 row 10",
            ),
        ];
        for (facets, row) in cases {
            let [_, compliance, _] = lines(&facets);
            assert!(compliance.starts_with(&format!("{row}:")), "{compliance}");
        }
    }

    #[test]
    fn every_sensor_state_cites_a_row_of_its_own_name() {
        for &sensor in SensorState::ALL {
            let [_, _, line] = lines(&Facets {
                sensor,
                onboarded: true,
                ..managed()
            });
            assert!(
                line.contains(&format!("sensor is {}:", sensor.name())),
                "{line}"
            );
        }
    }
}
