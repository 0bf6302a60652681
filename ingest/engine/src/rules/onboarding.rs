//! R18: Defender `onboardingStatus` of a device; and how onboarding counts in C1 to C3.
//!
//! Not implemented: onboarding policies (R14, R15). Until devices report which policy onboarded them, one that is
//! onboarded to its own organisation counts as onboarded by policy, and no device is targeted.

use muster_wire::Platform;

use super::managed_by::ManagedBy;
use super::states;

states! {
    /// `machine.onboardingStatus`.
    OnboardingStatus {
        /// The sensor is onboarded to this tenant's own organisation.
        Onboarded = 0 "onboarded",
        /// A supported system that is not onboarded to this tenant's organisation.
        CanBeOnboarded = 1 "canBeOnboarded",
        /// A system that the sensor does not support.
        Unsupported = 2 "unsupported",
        /// The device has not reported its system.
        #[default]
        InsufficientInfo = 3 "insufficientInfo",
    }
}

impl OnboardingStatus {
    /// R18, first matching row wins.
    pub fn of(platform: Platform, onboarded: bool, foreign_org: bool) -> Self {
        match (onboarded && !foreign_org, platform) {
            (true, _) => Self::Onboarded,
            (false, Platform::Unknown) => Self::InsufficientInfo,
            (false, Platform::Other) => Self::Unsupported,
            (false, _) => Self::CanBeOnboarded,
        }
    }
}

states! {
    /// The summary of onboarding (C3, `advancedThreatProtectionOnboardingStateSummary`) of the devices that C2 is about,
    /// and those that cannot be onboarded.
    OnboardingSummary {
        /// Onboarded by policy.
        Compliant = 0 "compliantDeviceCount",
        /// Targeted by a policy, and not onboarded.
        NonCompliant = 1 "nonCompliantDeviceCount",
        /// Can be onboarded, and no policy targets it.
        NotAssigned = 2 "notAssignedDeviceCount",
        /// Its system is not supported.
        NotApplicable = 3 "notApplicableDeviceCount",
        /// It has not reported its system.
        #[default]
        Unknown = 4 "unknownDeviceCount",
        /// Onboarded again after it was lost.
        Remediated = 5 "remediatedDeviceCount",
        /// Two policies contradict each other.
        Conflict = 6 "conflictDeviceCount",
        /// The device could not apply the policy.
        Error = 7 "errorDeviceCount",
    }
}

impl OnboardingSummary {
    /// C3, for a device with this status; `None` if Intune and Configuration Manager do not manage it.
    pub const fn of(managed_by: ManagedBy, status: OnboardingStatus) -> Option<Self> {
        if !is_counted(managed_by) {
            return None;
        }
        Some(match status {
            OnboardingStatus::Onboarded => Self::Compliant,
            OnboardingStatus::CanBeOnboarded => Self::NotAssigned,
            OnboardingStatus::Unsupported => Self::NotApplicable,
            OnboardingStatus::InsufficientInfo => Self::Unknown,
        })
    }
}

states! {
    /// How a Windows device is, or is not, onboarded (C1).
    WindowsOnboarding {
        /// Onboarded to this tenant's own organisation.
        OnboardedByPolicy = 0 "onboardedByPolicy",
        /// Onboarded to another organisation.
        ForeignOrg = 1 "foreignOrg",
        /// No longer onboarded.
        Offboarded = 2 "offboarded",
        /// Never onboarded, and no policy targets it.
        #[default]
        NotTargeted = 3 "notTargeted",
        /// The sensor itself manages security settings, so it is not in C1.
        MdeManaged = 4 "mdeManaged",
    }
}

impl WindowsOnboarding {
    /// C1, first matching row wins; `None` for a device that it is not about.
    pub fn of(
        platform: Platform,
        managed_by: ManagedBy,
        onboarded: bool,
        foreign_org: bool,
        ever_onboarded: bool,
    ) -> Option<Self> {
        let is_windows = matches!(platform, Platform::Windows | Platform::WindowsServer);
        match managed_by {
            _ if !is_windows => None,
            ManagedBy::Mde => Some(Self::MdeManaged),
            _ if !is_counted(managed_by) => None,
            _ if onboarded && foreign_org => Some(Self::ForeignOrg),
            _ if onboarded => Some(Self::OnboardedByPolicy),
            _ if ever_onboarded => Some(Self::Offboarded),
            _ => Some(Self::NotTargeted),
        }
    }
}

/// C1 to C3 are about the devices that Intune or Configuration Manager manages.
pub(crate) const fn is_counted(managed_by: ManagedBy) -> bool {
    matches!(managed_by, ManagedBy::Intune | ManagedBy::ConfigMgr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r18_row_by_row() {
        use OnboardingStatus::{CanBeOnboarded, InsufficientInfo, Onboarded, Unsupported};
        for &platform in Platform::ALL {
            let not_here = match platform {
                Platform::Unknown => InsufficientInfo,
                Platform::Other => Unsupported,
                _ => CanBeOnboarded,
            };
            for (onboarded, foreign_org, expected) in [
                (true, false, Onboarded),
                (true, true, not_here),
                (false, false, not_here),
                (false, true, not_here),
            ] {
                let found = OnboardingStatus::of(platform, onboarded, foreign_org);
                assert_eq!(found, expected, "{platform:?} {onboarded} {foreign_org}");
            }
        }
    }

    #[test]
    fn c1_is_about_windows_under_intune_or_configuration_manager() {
        use WindowsOnboarding::{
            ForeignOrg, MdeManaged, NotTargeted, Offboarded, OnboardedByPolicy,
        };
        // onboarded, to another organisation, ever, bucket
        let table = [
            (true, false, true, OnboardedByPolicy),
            (true, true, true, ForeignOrg),
            (false, false, true, Offboarded),
            (false, true, true, Offboarded),
            (false, false, false, NotTargeted),
        ];
        for &platform in Platform::ALL {
            let is_windows = [Platform::Windows, Platform::WindowsServer].contains(&platform);
            for &managed_by in ManagedBy::ALL {
                for (onboarded, foreign_org, ever, bucket) in table {
                    let expected = match managed_by {
                        ManagedBy::Intune | ManagedBy::ConfigMgr if is_windows => Some(bucket),
                        ManagedBy::Mde if is_windows => Some(MdeManaged),
                        _ => None,
                    };
                    let found =
                        WindowsOnboarding::of(platform, managed_by, onboarded, foreign_org, ever);
                    assert_eq!(found, expected, "{platform:?} {managed_by:?} {bucket:?}");
                }
            }
        }
    }

    #[test]
    fn c3_has_one_count_for_each_status() {
        use OnboardingStatus::{CanBeOnboarded, InsufficientInfo, Onboarded, Unsupported};
        for (status, expected) in [
            (Onboarded, "compliantDeviceCount"),
            (CanBeOnboarded, "notAssignedDeviceCount"),
            (Unsupported, "notApplicableDeviceCount"),
            (InsufficientInfo, "unknownDeviceCount"),
        ] {
            for &managed_by in ManagedBy::ALL {
                let expected = match managed_by {
                    ManagedBy::Intune | ManagedBy::ConfigMgr => Some(expected),
                    _ => None,
                };
                let found = OnboardingSummary::of(managed_by, status);
                assert_eq!(
                    found.map(OnboardingSummary::name),
                    expected,
                    "{managed_by:?}"
                );
            }
        }
    }
}
