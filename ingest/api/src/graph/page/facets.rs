//! What devices are filtered by, and the words for their states: one table, for filters, lists, counts and exports.
//!
//! Pure. Each device has at most one member of each facet. The members are those of the engine, which a test below
//! checks; only their words are defined here.

use muster_engine::{Compliance, Facets, ThreatSetting};
use muster_wire::Platform;

/// How a state is marked, with a sign and a colour beside its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Information,
    Warning,
    Bad,
    Neutral,
}

/// A member of a facet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Its name in addresses: that of the API.
    pub(super) name: &'static str,
    /// Its name on pages.
    pub(super) text: &'static str,
    pub(super) tone: Tone,
}

/// A facet.
#[derive(Debug)]
pub(super) struct Facet {
    /// Its name in addresses.
    pub(super) name: &'static str,
    /// Its name on pages.
    pub(super) title: &'static str,
    /// Whether the list offers it; the others are those of links from the overview.
    pub(super) is_offered: bool,
    pub(super) members: &'static [Member],
    /// The name of the member that a device has.
    pub(super) of: fn(&Facets) -> Option<&'static str>,
}

impl Facet {
    /// The index of the member with this name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }

    /// The member with this name.
    pub(super) fn member(&self, name: &str) -> Option<&'static Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The member that a device has.
    pub(super) fn of(&self, facets: &Facets) -> Option<&'static Member> {
        (self.of)(facets).and_then(|name| self.member(name))
    }
}

/// Declares facets: name, title, whether it is offered, value, members with tone.
macro_rules! facets {
    ($($facet:ident $name:literal $title:literal $offered:literal, $of:expr => {
        $($member:literal $text:literal $tone:ident),+ $(,)?
    })+) => {
        $(pub(super) const $facet: Facet = Facet {
            name: $name,
            title: $title,
            is_offered: $offered,
            members: &[$(Member { name: $member, text: $text, tone: Tone::$tone }),+],
            of: $of,
        };)+

        /// Every facet.
        pub(super) static FACETS: &[Facet] = &[$($facet),+];
    };
}

facets! {
    MANAGED_BY "managedBy" "Managed by" true, |facets| Some(facets.managed_by().name()) => {
        "intune" "Intune" Neutral,
        "configMgr" "Configuration Manager" Neutral,
        "mde" "Defender for Endpoint" Neutral,
        "jamf" "Jamf" Neutral,
        "google" "Google" Neutral,
        "unknown" "Not known" Neutral,
    }
    ONBOARDING "onboarding" "EDR onboarding status" true, |facets| Some(onboarding(facets)) => {
        "onboarded" "Onboarded" Good,
        "foreignOrg" "Onboarded to another organization" Warning,
        "offboarded" "Offboarded" Warning,
        "notOnboarded" "Not onboarded" Neutral,
        "unsupported" "Not supported" Neutral,
        "insufficientInfo" "Not reported yet" Neutral,
    }
    SENSOR "sensor" "Defender sensor state" true, |facets| Some(facets.sensor.name()) => {
        "active" "Active" Good,
        "noSensorData" "No sensor data" Warning,
        "impairedCommunication" "Impaired communication" Warning,
        "noSensorDataImpairedCommunication" "No sensor data, impaired communication" Bad,
        "inactive" "Inactive" Bad,
        "unknown" "Never in contact" Neutral,
        "neverOnboarded" "Never onboarded" Neutral,
    }
    COMPLIANCE "compliance" "Compliance" true, |facets| Some(facets.compliance.name()) => {
        "compliant" "Compliant" Good,
        "inGracePeriod" "In grace period" Information,
        "noncompliant" "Not compliant" Bad,
        "error" "Error" Warning,
        "conflict" "Conflict" Warning,
        "configManager" "See Configuration Manager" Neutral,
        "unknown" "Not evaluated" Neutral,
    }
    RISK "risk" "Risk" true, |facets| Some(facets.risk.name()) => {
        "high" "High" Bad,
        "medium" "Medium" Warning,
        "low" "Low" Information,
        "informational" "Informational" Good,
        "none" "None" Good,
        "notReported" "Not reported" Neutral,
    }
    PLATFORM "platform" "Platform" true, |facets| Some(facets.platform.name()) => {
        "windows" "Windows" Neutral,
        "windowsServer" "Windows Server" Neutral,
        "macOS" "macOS" Neutral,
        "linux" "Linux" Neutral,
        "iOS" "iOS and iPadOS" Neutral,
        "android" "Android" Neutral,
        "androidEnterprise" "Android Enterprise" Neutral,
        "other" "Other" Neutral,
        "unknown" "Not reported" Neutral,
    }
    WINDOWS "windows" "Windows onboarding" false, |facets| facets.windows_onboarding().map(|bucket| bucket.name()) => {
        "onboardedByPolicy" "Onboarded" Good,
        "foreignOrg" "Onboarded to another organization" Warning,
        "offboarded" "Offboarded" Warning,
        "notTargeted" "Not onboarded, not targeted" Neutral,
        "mdeManaged" "Managed by Defender alone" Information,
    }
    EDR "edr" "EDR onboarding" false, edr => {
        "onboarded" "Have onboarded" Good,
        "notOnboarded" "Have not onboarded" Neutral,
    }
    SUMMARY "summary" "Compliance of enrolled devices" false, |facets| facets.summary().map(|bucket| bucket.name()) => {
        "compliantDeviceCount" "Compliant" Good,
        "inGracePeriodCount" "In grace period" Information,
        "nonCompliantDeviceCount" "Not compliant" Bad,
        "remediatedDeviceCount" "Remediated" Good,
        "errorDeviceCount" "Error" Warning,
        "conflictDeviceCount" "Conflict" Warning,
        "unknownDeviceCount" "Not evaluated" Neutral,
        "notApplicableDeviceCount" "Not applicable" Neutral,
        "configManagerCount" "Configuration Manager" Neutral,
    }
    REASON "reason" "Reason" false, reason => {
        "compliantWithoutData" "Compliant without threat data" Warning,
        "compliantWithoutPolicy" "Compliant without a policy" Warning,
        "validityExpired" "Last report no longer valid" Bad,
    }
}

/// The onboarding of any device, in the words of C1.
fn onboarding(facets: &Facets) -> &'static str {
    match facets.platform {
        _ if facets.onboarded && facets.foreign_org => "foreignOrg",
        _ if facets.onboarded => "onboarded",
        Platform::Unknown => "insufficientInfo",
        Platform::Other => "unsupported",
        _ if facets.ever_onboarded() => "offboarded",
        _ => "notOnboarded",
    }
}

/// The side of C2 that a device is on: only devices under Intune or Configuration Manager that can be onboarded are.
fn edr(facets: &Facets) -> Option<&'static str> {
    use muster_engine::{ManagedBy, OnboardingStatus};
    match (facets.managed_by(), facets.onboarding_status()) {
        (ManagedBy::Intune | ManagedBy::ConfigMgr, OnboardingStatus::Onboarded) => {
            Some("onboarded")
        }
        (ManagedBy::Intune | ManagedBy::ConfigMgr, OnboardingStatus::CanBeOnboarded) => {
            Some("notOnboarded")
        }
        _ => None,
    }
}

/// What a state of compliance hides.
fn reason(facets: &Facets) -> Option<&'static str> {
    match (facets.compliance, facets.threat_setting) {
        (Compliance::Compliant, ThreatSetting::MissingDataAllowed) => Some("compliantWithoutData"),
        (Compliance::Compliant, ThreatSetting::NotAssigned) => Some("compliantWithoutPolicy"),
        _ => facets.validity_expired.then_some("validityExpired"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use muster_engine::{Counts, ManagedBy, SensorState};
    use muster_wire::{ManagementAgent, Risk};

    use super::*;

    /// Some devices of every kind that the engine tells apart.
    fn some_of_every_kind() -> Vec<Facets> {
        let mut all = Vec::new();
        for &platform in Platform::ALL {
            for &management_agent in ManagementAgent::ALL {
                for (onboarded, foreign_org) in [(true, false), (true, true), (false, false)] {
                    for &sensor in SensorState::ALL {
                        let index = all.len();
                        all.push(Facets {
                            platform,
                            management_agent,
                            onboarded,
                            foreign_org,
                            sensor,
                            risk: Risk::ALL[index % Risk::ALL.len()],
                            compliance: Compliance::ALL[index % Compliance::ALL.len()],
                            threat_setting: ThreatSetting::ALL[index % ThreatSetting::ALL.len()],
                            ..Facets::default()
                        });
                    }
                }
            }
        }
        all
    }

    #[test]
    fn every_state_of_the_engine_has_a_word() {
        for facets in some_of_every_kind() {
            for facet in FACETS {
                let named = (facet.of)(&facets);
                let member = facet.of(&facets);
                assert_eq!(member.map(|member| member.name), named, "{}", facet.name);
            }
        }
        assert_eq!(ManagedBy::ALL.len(), MANAGED_BY.members.len());
        assert_eq!(Risk::ALL.len(), RISK.members.len());
    }

    /// A number of the overview is that of the devices behind its link.
    #[test]
    fn facets_count_as_the_engine_does() {
        let mut counts = Counts::default();
        let mut own: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (number, facets) in some_of_every_kind().iter().enumerate() {
            let number = number as u64 + 1;
            counts.add(facets, number);
            for facet in FACETS {
                if let Some(member) = facet.of(facets) {
                    *own.entry((facet.name, member.name)).or_default() += number;
                }
            }
        }
        let groups: BTreeMap<_, _> = counts.groups().into_iter().collect();
        for (facet, group) in [
            (&MANAGED_BY, "managed_by"),
            (&SENSOR, "sensor"),
            (&COMPLIANCE, "compliance"),
            (&RISK, "risk"),
            (&PLATFORM, "platform"),
            (&WINDOWS, "windows_onboarding_buckets"),
            (&EDR, "edr_onboarding"),
            (&SUMMARY, "deviceCompliancePolicyDeviceStateSummary"),
        ] {
            let expected = &groups[group];
            assert_eq!(expected.len(), facet.members.len(), "{group}");
            for (name, number) in expected {
                let found = own.get(&(facet.name, name)).copied().unwrap_or_default();
                assert_eq!(found, *number, "{group} {name}");
            }
        }
        for name in ["compliantWithoutData", "compliantWithoutPolicy"] {
            let (_, number) = groups["subsets"]
                .iter()
                .find(|(known, _)| *known == name)
                .unwrap();
            assert_eq!(own[&("reason", name)], *number, "{name}");
        }
    }
}
