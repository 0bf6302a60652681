//! The subclasses of `deviceCompliancePolicy`, and the platforms of their devices.

use muster_wire::Platform;

use crate::document::full_type;
use crate::value::choices;

choices! {
    /// The platform of a policy.
    Subclass {
        /// Windows 10 and later.
        Windows10 = 0 "windows10CompliancePolicy",
        /// iOS and iPadOS.
        Ios = 1 "iosCompliancePolicy",
        /// Android, managed by device administrator.
        Android = 2 "androidCompliancePolicy",
        /// Android Enterprise with a work profile.
        AndroidWorkProfile = 3 "androidWorkProfileCompliancePolicy",
        /// Android Enterprise, fully managed, dedicated, or corporate with a work profile.
        AndroidDeviceOwner = 4 "androidDeviceOwnerCompliancePolicy",
        /// macOS.
        MacOs = 5 "macOSCompliancePolicy",
    }
}

impl Subclass {
    /// The platform of the devices. Check-ins do not distinguish the modes of Android Enterprise, so the policies of
    /// both apply to all its devices.
    #[must_use]
    pub const fn platform(self) -> Platform {
        match self {
            Self::Windows10 => Platform::Windows,
            Self::Ios => Platform::Ios,
            Self::Android => Platform::Android,
            Self::MacOs => Platform::MacOs,
            Self::AndroidWorkProfile | Self::AndroidDeviceOwner => Platform::AndroidEnterprise,
        }
    }

    pub(super) fn allowed() -> String {
        let names: Vec<_> = Self::ALL
            .iter()
            .map(|subclass| full_type(subclass.name()))
            .collect();
        names.join(", ")
    }
}
