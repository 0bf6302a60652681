//! A compliance policy (`deviceCompliancePolicy` and its subclasses, one for each platform).
//!
//! Two policies may have the same name, as in Graph.

use muster_engine::Timestamp;
use muster_wire::Platform;
use serde_json::{Value as Json, json};

use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Properties, TYPE, full_type, properties};
use crate::fault::FaultKind;
use crate::value::{Description, DisplayName, SecurityLevel, Value, choices};

/// The name of a required property.
const DISPLAY_NAME: &str = "displayName";

/// The only target of assignments so far.
const ALL_DEVICES_TARGET: &str = "allDevicesAssignmentTarget";

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

choices! {
    /// The devices that a policy is assigned to.
    Assignments {
        /// None.
        None = 0 "none",
        /// Every device of the tenant.
        AllDevices = 1 "allDevices",
    }
}

impl Value for Assignments {
    fn allowed() -> String {
        format!(
            "[] or [{{\"target\": {{\"@odata.type\": \"{}\"}}}}], without a filter",
            full_type(ALL_DEVICES_TARGET)
        )
    }

    fn read(json: &Json) -> Option<Self> {
        let list = json.as_array()?;
        match list.as_slice() {
            [] => Some(Self::None),
            [one] if is_for_all_devices(one) => Some(Self::AllDevices),
            _ => None,
        }
    }

    fn show(&self) -> Json {
        match self {
            Self::None => json!([]),
            Self::AllDevices => json!([{ "target": { TYPE: full_type(ALL_DEVICES_TARGET) } }]),
        }
    }
}

/// Whether an assignment is to all devices, without a filter. The server computes its id.
fn is_for_all_devices(assignment: &Json) -> bool {
    let only = |json: &Json, allowed: &dyn Fn(&str, &Json) -> bool| {
        json.as_object()
            .is_some_and(|object| object.iter().all(|(name, value)| allowed(name, value)))
    };
    let full = full_type(ALL_DEVICES_TARGET);
    let in_target = |name: &str, value: &Json| match name {
        TYPE => value
            .as_str()
            .is_some_and(|name| name == full || name == &full[1..]),
        "deviceAndAppManagementAssignmentFilterId" => value.is_null(),
        "deviceAndAppManagementAssignmentFilterType" => value.as_str() == Some("none"),
        _ => false,
    };
    let is_target = |json: &Json| json.get(TYPE).is_some() && only(json, &in_target);
    let in_assignment = |name: &str, value: &Json| match name {
        "target" => is_target(value),
        name => name == "id" || name.contains('@'),
    };
    assignment.get("target").is_some() && only(assignment, &in_assignment)
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
        assignments: Assignments = "assignments", Assignments::None;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_devices_without_a_filter_can_be_assigned() {
        let all = "#microsoft.graph.allDevicesAssignmentTarget";
        let target = |target: Json| json!([{ "target": target }]);
        for (json, expected) in [
            (json!([]), Some(Assignments::None)),
            (target(json!({ TYPE: all })), Some(Assignments::AllDevices)),
            (
                target(json!({ TYPE: &all[1..] })),
                Some(Assignments::AllDevices),
            ),
            (
                json!([{ "id": "x", "target@odata.context": 1, "target": {
                    TYPE: all,
                    "deviceAndAppManagementAssignmentFilterId": null,
                    "deviceAndAppManagementAssignmentFilterType": "none",
                }}]),
                Some(Assignments::AllDevices),
            ),
            (Json::Null, None),
            (json!({}), None),
            (json!([{}]), None),
            (json!([{ "target": {} }]), None),
            (json!([{ "target": { TYPE: all }, "intent": 1 }]), None),
            (
                target(json!({ TYPE: "#microsoft.graph.groupAssignmentTarget" })),
                None,
            ),
            (target(json!({ TYPE: all, "groupId": "x" })), None),
            (
                target(json!({ TYPE: all, "deviceAndAppManagementAssignmentFilterId": "x" })),
                None,
            ),
            (
                json!([{ "target": { TYPE: all } }, { "target": { TYPE: all } }]),
                None,
            ),
        ] {
            assert_eq!(Assignments::read(&json), expected, "{json}");
        }
        for assignments in Assignments::ALL {
            assert_eq!(Assignments::read(&assignments.show()), Some(*assignments));
        }
    }
}
