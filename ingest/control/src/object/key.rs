//! Keys: which object of a tenant.

use muster_wire::DeviceId;

use super::scope_tag::ScopeTagId;
use crate::bytes::{EntryError, Reader, Stored};
use crate::id::ObjectId;

/// Which object of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The settings of the tenant, which always exist.
    Settings,
    /// A connector to a partner.
    Connector(ObjectId),
    /// A compliance policy.
    Policy(ObjectId),
    /// A group of devices.
    Group(ObjectId),
    /// A device: what operators set on it, and what was done to it.
    Device(DeviceId),
    /// The tenant itself.
    Tenant,
    /// An API token.
    Token(ObjectId),
    /// An assignment filter.
    Filter(ObjectId),
    /// A scope tag.
    ScopeTag(ScopeTagId),
    /// A role definition.
    RoleDefinition(ObjectId),
    /// A role assignment.
    RoleAssignment(ObjectId),
    /// A user.
    User(ObjectId),
}

impl Key {
    /// The name of the type in Graph; for a policy, that of its base type.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Settings => "deviceManagementSettings",
            Self::Connector(_) => "mobileThreatDefenseConnector",
            Self::Policy(_) => "deviceCompliancePolicy",
            Self::Group(_) => "group",
            Self::Device(_) => "managedDevice",
            Self::Tenant => "tenant",
            Self::Token(_) => "token",
            Self::Filter(_) => "deviceAndAppManagementAssignmentFilter",
            Self::ScopeTag(_) => "roleScopeTag",
            Self::RoleDefinition(_) => "deviceAndAppManagementRoleDefinition",
            Self::RoleAssignment(_) => "deviceAndAppManagementRoleAssignment",
            Self::User(_) => "user",
        }
    }

    /// The id, if it is a UUID; `None` for a scope tag, and for the tenant itself and its settings.
    #[must_use]
    pub const fn id(self) -> Option<ObjectId> {
        match self {
            Self::Settings | Self::Tenant | Self::ScopeTag(_) => None,
            Self::Connector(id)
            | Self::Policy(id)
            | Self::Group(id)
            | Self::Token(id)
            | Self::Filter(id)
            | Self::RoleDefinition(id)
            | Self::RoleAssignment(id)
            | Self::User(id) => Some(id),
            Self::Device(id) => Some(ObjectId::from_bytes(*id.as_bytes())),
        }
    }

    /// The id as it is written; `None` for the tenant itself and its settings.
    #[must_use]
    pub fn id_text(self) -> Option<String> {
        match self {
            Self::ScopeTag(id) => Some(id.to_string()),
            _ => self.id().map(|id| id.to_string()),
        }
    }

    /// The code of the type in the bytes of an entry.
    const fn code(self) -> u8 {
        match self {
            Self::Settings => 0,
            Self::Connector(_) => 1,
            Self::Policy(_) => 2,
            Self::Group(_) => 3,
            Self::Device(_) => 4,
            Self::Tenant => 5,
            Self::Token(_) => 6,
            Self::Filter(_) => 7,
            Self::ScopeTag(_) => 8,
            Self::RoleDefinition(_) => 9,
            Self::RoleAssignment(_) => 10,
            Self::User(_) => 11,
        }
    }
}

impl Stored for Key {
    fn put(&self, into: &mut Vec<u8>) {
        self.code().put(into);
        match self {
            Self::ScopeTag(id) => id.put(into),
            _ => self.id().iter().for_each(|id| id.put(into)),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(match u8::take(from)? {
            0 => Self::Settings,
            1 => Self::Connector(Stored::take(from)?),
            2 => Self::Policy(Stored::take(from)?),
            3 => Self::Group(Stored::take(from)?),
            4 => Self::Device(Stored::take(from)?),
            5 => Self::Tenant,
            6 => Self::Token(Stored::take(from)?),
            7 => Self::Filter(Stored::take(from)?),
            8 => Self::ScopeTag(Stored::take(from)?),
            9 => Self::RoleDefinition(Stored::take(from)?),
            10 => Self::RoleAssignment(Stored::take(from)?),
            11 => Self::User(Stored::take(from)?),
            _ => return Err(EntryError::Invalid("type of object")),
        })
    }
}
