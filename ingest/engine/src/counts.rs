//! Device counts for operators (docs/reference/DOMAIN.md, Counts), summed from cells.
//!
//! A plain value of fixed size. Does not evaluate devices: it adds up facets.

use muster_wire::{PartnerThreatState, Platform, Risk};

use crate::facet::Facets;
use crate::rules::compliance::{Compliance, Summary};
use crate::rules::managed_by::ManagedBy;
use crate::rules::onboarding::{
    OnboardingStatus, OnboardingSummary, WindowsOnboarding, is_counted,
};
use crate::rules::sensor::SensorState;
use crate::rules::threat::ThreatSetting;

/// One dimension: every member of a closed set and its number of devices.
pub type Dimension = Vec<(&'static str, u64)>;

/// Numbers of devices: in total, by dimension, and in summaries of some devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    devices: u64,
    onboarding_status: [u64; OnboardingStatus::ALL.len()],
    compliance: [u64; Compliance::ALL.len()],
    sensor: [u64; SensorState::ALL.len()],
    risk: [u64; Risk::ALL.len()],
    platform: [u64; Platform::ALL.len()],
    managed_by: [u64; ManagedBy::ALL.len()],
    partner_threat: [u64; PartnerThreatState::ALL.len()],
    summary: [u64; Summary::ALL.len()],
    windows: [u64; WindowsOnboarding::ALL.len()],
    onboarding_summary: [u64; OnboardingSummary::ALL.len()],
    edr_onboarded: Edr,
    edr_not_onboarded: Edr,
    compliant_without_data: u64,
    compliant_without_policy: u64,
    without_policy: u64,
    validity_expired: u64,
}

/// One side of C2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Edr {
    devices: u64,
    platform: [u64; Platform::ALL.len()],
    managed_by: [u64; ManagedBy::ALL.len()],
}

impl Edr {
    fn add(&mut self, facets: &Facets, number: u64) {
        self.devices += number;
        self.platform[facets.platform.index()] += number;
        self.managed_by[facets.managed_by().index() as usize] += number;
    }

    fn by_platform(&self) -> Dimension {
        named(Platform::ALL, Platform::name, &self.platform)
    }

    fn by_managed_by(&self) -> Dimension {
        let all = ManagedBy::ALL.iter().zip(self.managed_by);
        let counted = all.filter(|(managed_by, _)| is_counted(**managed_by));
        counted
            .map(|(managed_by, number)| (managed_by.name(), number))
            .collect()
    }
}

impl Counts {
    /// Adds `number` devices that share these facets.
    pub fn add(&mut self, facets: &Facets, number: u64) {
        let (status, managed_by) = (facets.onboarding_status(), facets.managed_by());
        self.devices += number;
        self.onboarding_status[status.index() as usize] += number;
        self.compliance[facets.compliance.index() as usize] += number;
        self.sensor[facets.sensor.index() as usize] += number;
        self.risk[facets.risk.index()] += number;
        self.platform[facets.platform.index()] += number;
        self.managed_by[managed_by.index() as usize] += number;
        self.partner_threat[facets.partner_threat.index()] += number;
        if let Some(summary) = facets.summary() {
            self.summary[summary.index() as usize] += number;
        }
        if let Some(windows) = facets.windows_onboarding() {
            self.windows[windows.index() as usize] += number;
        }
        if let Some(summary) = OnboardingSummary::of(managed_by, status) {
            self.onboarding_summary[summary.index() as usize] += number;
        }
        match status {
            OnboardingStatus::Onboarded if is_counted(managed_by) => {
                self.edr_onboarded.add(facets, number);
            }
            OnboardingStatus::CanBeOnboarded if is_counted(managed_by) => {
                self.edr_not_onboarded.add(facets, number);
            }
            _ => (),
        }
        self.add_to_subsets(facets, number);
    }

    fn add_to_subsets(&mut self, facets: &Facets, number: u64) {
        let compliant = facets.compliance == Compliance::Compliant;
        if compliant && facets.threat_setting == ThreatSetting::MissingDataAllowed {
            self.compliant_without_data += number;
        }
        if compliant && facets.threat_setting == ThreatSetting::NotAssigned {
            self.compliant_without_policy += number;
        }
        if facets.validity_expired {
            self.validity_expired += number;
        }
        if facets.is_without_policy() {
            self.without_policy += number;
        }
    }

    /// Devices in total.
    pub fn devices(&self) -> u64 {
        self.devices
    }

    /// Devices onboarded to their tenant's own organisation (R18), whatever manages them.
    pub fn onboarded(&self) -> u64 {
        self.onboarding_status[OnboardingStatus::Onboarded.index() as usize]
    }

    /// Enrolled devices.
    pub fn enrolled(&self) -> u64 {
        self.summary.iter().sum()
    }

    /// The totals with their API names, in report order.
    pub fn totals(&self) -> [(&'static str, u64); 4] {
        [
            ("devices", self.devices),
            ("onboarded", self.onboarded()),
            ("not_onboarded", self.devices - self.onboarded()),
            ("enrolled", self.enrolled()),
        ]
    }

    /// Every group of counts with its API name, in report order: the dimensions, then summaries of some devices.
    pub fn groups(&self) -> Vec<(&'static str, Dimension)> {
        let mut groups = Vec::from(self.dimensions());
        groups.extend([
            (
                "deviceCompliancePolicyDeviceStateSummary",
                named(Summary::ALL, Summary::name, &self.summary),
            ),
            ("windows_onboarding", self.windows_onboarding()),
            (
                "windows_onboarding_buckets",
                named(
                    WindowsOnboarding::ALL,
                    WindowsOnboarding::name,
                    &self.windows,
                ),
            ),
            (
                "edr_onboarding",
                vec![
                    ("onboarded", self.edr_onboarded.devices),
                    ("notOnboarded", self.edr_not_onboarded.devices),
                ],
            ),
            (
                "edr_onboarded_by_platform",
                self.edr_onboarded.by_platform(),
            ),
            (
                "edr_not_onboarded_by_platform",
                self.edr_not_onboarded.by_platform(),
            ),
            (
                "edr_onboarded_by_managed_by",
                self.edr_onboarded.by_managed_by(),
            ),
            (
                "edr_not_onboarded_by_managed_by",
                self.edr_not_onboarded.by_managed_by(),
            ),
            (
                "advancedThreatProtectionOnboardingStateSummary",
                named(
                    OnboardingSummary::ALL,
                    OnboardingSummary::name,
                    &self.onboarding_summary,
                ),
            ),
            ("subsets", self.subsets()),
        ]);
        groups
    }

    /// C1.
    fn windows_onboarding(&self) -> Dimension {
        let of = |bucket: WindowsOnboarding| self.windows[bucket.index() as usize];
        let not_onboarded = [
            WindowsOnboarding::ForeignOrg,
            WindowsOnboarding::Offboarded,
            WindowsOnboarding::NotTargeted,
        ];
        vec![
            ("onboarded", of(WindowsOnboarding::OnboardedByPolicy)),
            ("notOnboarded", not_onboarded.map(of).iter().sum()),
        ]
    }

    /// Counts of devices that other counts include.
    fn subsets(&self) -> Dimension {
        let misconfigured = [
            SensorState::NoSensorDataImpairedCommunication,
            SensorState::ImpairedCommunication,
            SensorState::NoSensorData,
        ];
        let misconfigured = misconfigured.map(|state| self.sensor[state.index() as usize]);
        vec![
            ("compliantWithoutData", self.compliant_without_data),
            ("compliantWithoutPolicy", self.compliant_without_policy),
            ("devicesWithoutCompliancePolicy", self.without_policy),
            ("misconfigured", misconfigured.iter().sum()),
            ("notEnrolled", self.devices - self.enrolled()),
            ("validityExpired", self.validity_expired),
        ]
    }

    /// Every dimension with its API name, in report order.
    pub fn dimensions(&self) -> [(&'static str, Dimension); 7] {
        [
            (
                "onboarding_status",
                named(
                    OnboardingStatus::ALL,
                    OnboardingStatus::name,
                    &self.onboarding_status,
                ),
            ),
            (
                "compliance",
                named(Compliance::ALL, Compliance::name, &self.compliance),
            ),
            (
                "sensor",
                named(SensorState::ALL, SensorState::name, &self.sensor),
            ),
            ("risk", named(Risk::ALL, Risk::name, &self.risk)),
            (
                "platform",
                named(Platform::ALL, Platform::name, &self.platform),
            ),
            (
                "managed_by",
                named(ManagedBy::ALL, ManagedBy::name, &self.managed_by),
            ),
            (
                "partner_threat",
                named(
                    PartnerThreatState::ALL,
                    PartnerThreatState::name,
                    &self.partner_threat,
                ),
            ),
        ]
    }
}

fn named<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, numbers: &[u64]) -> Dimension {
    let names = all.iter().map(|member| name(*member));
    names.zip(numbers.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use muster_wire::ManagementAgent;

    use super::*;

    #[test]
    fn every_dimension_sums_to_the_total() {
        let mut counts = Counts::default();
        counts.add(&Facets::default(), 3);
        counts.add(
            &Facets {
                onboarded: true,
                sensor: SensorState::Active,
                ..Facets::default()
            },
            4,
        );
        assert_eq!(counts.devices(), 7);
        let totals = counts.totals();
        assert_eq!(totals[1..3], [("onboarded", 4), ("not_onboarded", 3)]);
        for (name, members) in counts.dimensions() {
            assert_eq!(members.iter().map(|(_, n)| n).sum::<u64>(), 7, "{name}");
        }
    }

    /// The members of a group that are not 0.
    fn group(counts: &Counts, name: &str) -> Dimension {
        let groups = counts.groups();
        let (_, members) = groups
            .into_iter()
            .find(|(group, _)| *group == name)
            .unwrap();
        members
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    #[test]
    fn onboarding_is_counted_for_what_intune_or_configuration_manager_manages() {
        let of = |platform, management_agent, onboarded, foreign_org| Facets {
            platform,
            management_agent,
            onboarded,
            foreign_org,
            ..Facets::default()
        };
        use ManagementAgent as Agent;
        let (mdm, config_mgr) = (Agent::Mdm, Agent::ConfigurationManagerClient);
        let mut counts = Counts::default();
        for (facets, number) in [
            (of(Platform::Windows, mdm, true, false), 1),
            (of(Platform::WindowsServer, config_mgr, true, false), 2),
            (of(Platform::Windows, mdm, true, true), 4),
            (of(Platform::Windows, mdm, false, false), 8),
            (of(Platform::Linux, mdm, true, false), 16),
            (of(Platform::Ios, mdm, false, false), 32),
            (of(Platform::Other, mdm, false, false), 64),
            (of(Platform::Unknown, mdm, false, false), 128),
            (of(Platform::Windows, Agent::MsSense, true, false), 256),
            (of(Platform::MacOs, Agent::Jamf, true, false), 512),
        ] {
            counts.add(&facets, number);
        }
        for (name, expected) in [
            (
                "windows_onboarding",
                vec![("onboarded", 3), ("notOnboarded", 12)],
            ),
            (
                "windows_onboarding_buckets",
                vec![
                    ("onboardedByPolicy", 3),
                    ("foreignOrg", 4),
                    ("notTargeted", 8),
                    ("mdeManaged", 256),
                ],
            ),
            (
                "edr_onboarding",
                vec![("onboarded", 19), ("notOnboarded", 44)],
            ),
            (
                "edr_onboarded_by_platform",
                vec![("windows", 1), ("windowsServer", 2), ("linux", 16)],
            ),
            (
                "edr_not_onboarded_by_platform",
                vec![("windows", 12), ("iOS", 32)],
            ),
            (
                "edr_onboarded_by_managed_by",
                vec![("intune", 17), ("configMgr", 2)],
            ),
            ("edr_not_onboarded_by_managed_by", vec![("intune", 44)]),
            (
                "advancedThreatProtectionOnboardingStateSummary",
                vec![
                    ("compliantDeviceCount", 19),
                    ("notAssignedDeviceCount", 44),
                    ("notApplicableDeviceCount", 64),
                    ("unknownDeviceCount", 128),
                ],
            ),
        ] {
            assert_eq!(group(&counts, name), expected, "{name}");
        }
        let onboarded = 1 + 2 + 16 + 256 + 512;
        assert_eq!(counts.onboarded(), onboarded, "whatever manages the device");
    }

    #[test]
    fn rows_2_to_4_of_r17_are_misconfigured() {
        let mut counts = Counts::default();
        for (sensor, number) in [
            (SensorState::NeverOnboarded, 1),
            (SensorState::Inactive, 2),
            (SensorState::NoSensorDataImpairedCommunication, 4),
            (SensorState::ImpairedCommunication, 8),
            (SensorState::NoSensorData, 16),
            (SensorState::Active, 32),
        ] {
            let facets = Facets {
                sensor,
                ..Facets::default()
            };
            counts.add(&facets, number);
        }
        assert!(group(&counts, "subsets").contains(&("misconfigured", 28)));
    }
}
