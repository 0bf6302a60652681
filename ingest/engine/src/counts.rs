//! Device counts for operators (docs/reference/DOMAIN.md, Counts), summed from cells.
//!
//! A plain value of fixed size. Does not evaluate devices: it adds up facets.

use muster_wire::{PartnerThreatState, Platform, Risk};

use crate::facet::Facets;
use crate::rules::compliance::{Compliance, Summary};
use crate::rules::managed_by::ManagedBy;
use crate::rules::onboarding::OnboardingStatus;
use crate::rules::sensor::SensorState;
use crate::rules::threat::ThreatSetting;

/// One dimension: every member of a closed set and its number of devices.
pub type Dimension = Vec<(&'static str, u64)>;

/// Numbers of devices, in total and by dimension. The sum over any dimension is the total.
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
    compliant_without_data: u64,
    compliant_without_policy: u64,
}

impl Counts {
    /// Adds `number` devices that share these facets.
    pub fn add(&mut self, facets: &Facets, number: u64) {
        self.devices += number;
        self.onboarding_status[facets.onboarding_status().index() as usize] += number;
        self.compliance[facets.compliance.index() as usize] += number;
        self.sensor[facets.sensor.index() as usize] += number;
        self.risk[facets.risk.index()] += number;
        self.platform[facets.platform.index()] += number;
        self.managed_by[facets.managed_by().index() as usize] += number;
        self.partner_threat[facets.partner_threat.index()] += number;
        let compliant = facets.compliance == Compliance::Compliant;
        if compliant && facets.threat_setting == ThreatSetting::MissingDataAllowed {
            self.compliant_without_data += number;
        }
        if compliant && facets.threat_setting == ThreatSetting::NotAssigned {
            self.compliant_without_policy += number;
        }
        if let Some(summary) = facets.summary() {
            self.summary[summary.index() as usize] += number;
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
        groups.push((
            "deviceCompliancePolicyDeviceStateSummary",
            named(Summary::ALL, Summary::name, &self.summary),
        ));
        groups.push(("subsets", self.subsets()));
        groups
    }

    /// Counts of devices that other counts include.
    fn subsets(&self) -> Dimension {
        vec![
            ("compliantWithoutData", self.compliant_without_data),
            ("compliantWithoutPolicy", self.compliant_without_policy),
            ("notEnrolled", self.devices - self.enrolled()),
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
}
