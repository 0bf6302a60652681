//! A compliance policy (`deviceCompliancePolicy` and its subclasses, one for each platform).
//!
//! Two policies may have the same name, as in Graph.

use muster_engine::Timestamp;
use muster_wire::Platform;

use super::assignments::Assignments;
use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Properties, TYPE, full_type, properties};
use crate::fault::FaultKind;
use crate::value::{Description, DisplayName, SecurityLevel, choices};

/// The name of a required property.
const DISPLAY_NAME: &str = "displayName";

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
            Self::AndroidWorkProfile | Self::AndroidDeviceOwner => Platform::AndroidEnterprise,
        }
    }

    fn allowed() -> String {
        let names: Vec<_> = Self::ALL
            .iter()
            .map(|subclass| full_type(subclass.name()))
            .collect();
        names.join(", ")
    }
}

properties! {
    /// What operators set on a compliance policy.
    PolicyProperties {
        /// Its name.
        display_name: DisplayName = "displayName", unnamed();
        /// Its description.
        description: Description = "description", Description::default();
        /// Whether the threat level decides about compliance.
        threat_protection_enabled: bool = "deviceThreatProtectionEnabled", false;
        /// The highest threat level at which a device is compliant.
        required_security_level: SecurityLevel = "deviceThreatProtectionRequiredSecurityLevel",
            SecurityLevel::Unavailable;
        /// The devices it is assigned to. Graph has a separate route for assignments.
        assignments: Assignments = "assignments", Assignments::default();
    }
}

/// Replaces a missing name, which is a fault.
fn unnamed() -> DisplayName {
    DisplayName::new("unnamed").expect("its length is allowed")
}

/// A compliance policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompliancePolicy {
    /// The platform, which never changes.
    pub subclass: Subclass,
    /// Begins at 1 and grows by one with each change.
    pub version: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// What operators set on it.
    pub properties: PolicyProperties,
}

impl CompliancePolicy {
    /// Creates a policy from a document; `None` if its type is not known, which is noted like every other fault.
    pub(super) fn created(document: &mut Document<'_>, at: Timestamp) -> Option<Self> {
        let subclass = document.type_name().map(Subclass::from_name);
        match subclass {
            None => document.fault(FaultKind::Missing, TYPE, Subclass::allowed()),
            Some(None) => document.fault(FaultKind::Invalid, TYPE, Subclass::allowed()),
            Some(Some(_)) => (),
        }
        document.require::<DisplayName>(DISPLAY_NAME);
        let properties = PolicyProperties::read(&PolicyProperties::default(), document);
        Some(Self {
            subclass: subclass.flatten()?,
            version: 1,
            created_at: at,
            modified_at: at,
            properties,
        })
    }

    /// The policy with the properties of a document. Those that the document does not have keep their values if
    /// `keeps`, and get their defaults otherwise.
    pub(super) fn changed(&self, keeps: bool, document: &mut Document<'_>, at: Timestamp) -> Self {
        let subclass = document.type_name().map(Subclass::from_name);
        if subclass.is_some_and(|subclass| subclass != Some(self.subclass)) {
            document.fault(
                FaultKind::Unchangeable,
                TYPE,
                full_type(self.subclass.name()),
            );
        }
        let properties = if keeps {
            PolicyProperties::read(&self.properties, document)
        } else {
            document.require::<DisplayName>(DISPLAY_NAME);
            PolicyProperties::read(&PolicyProperties::default(), document)
        };
        Self {
            version: self.version.saturating_add(1),
            modified_at: at,
            properties,
            ..self.clone()
        }
    }

    pub(super) fn show(&self, into: &mut Properties) {
        into.insert("version".to_owned(), self.version.into());
        self.properties.show(into);
    }
}

impl Stored for CompliancePolicy {
    fn put(&self, into: &mut Vec<u8>) {
        self.subclass.put(into);
        self.version.put(into);
        self.created_at.put(into);
        self.modified_at.put(into);
        self.properties.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            subclass: Stored::take(from)?,
            version: Stored::take(from)?,
            created_at: Stored::take(from)?,
            modified_at: Stored::take(from)?,
            properties: Stored::take(from)?,
        })
    }
}
