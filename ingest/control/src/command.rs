//! A command of an operator, and why one is refused.

use core::net::IpAddr;

use muster_engine::{SequenceReset, TenantIndex, Timestamp};
use muster_wire::DeviceId;
use serde_json::Value as Json;

use crate::access::AccessRecord;
use crate::actor::Actor;
use crate::document::{Handling, Properties};
use crate::fault::Faults;
use crate::id::{ETag, ObjectId};
use crate::object::{ASSIGNMENTS, Key, ScopeTagId, Token};
use crate::rights::{Rights, Verb};
use crate::role::Action;

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Who sends it.
    pub actor: Actor,
    /// From where; `None` for a program on the machine of the server.
    pub address: Option<IpAddr>,
    /// What the sender may do.
    pub rights: Rights,
    /// When it was sent.
    pub at: Timestamp,
    /// The tenant of the object; ignored if it is a new tenant, which gets the next index.
    pub tenant: TenantIndex,
    /// The condition that the object must meet.
    pub expected: Precondition,
    /// How much of its document is checked: the header `Prefer`.
    pub handling: Handling,
    /// What to do.
    pub change: Change,
}

/// The header `If-Match`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// None: the last writer wins.
    #[default]
    Nothing,
    /// The object exists.
    Exists,
    /// The object has this ETag.
    Is(ETag),
}

/// What to do with an object. The sender of a command that creates an object chooses its id.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create it.
    Create {
        /// Its key, which no object may have yet.
        key: Key,
        /// Its properties; the others have their defaults.
        properties: Properties,
    },
    /// Create a token. No document makes one, because only the server knows its secret.
    Issue {
        /// Its id, which no token may have yet.
        id: ObjectId,
        /// The token.
        token: Token,
    },
    /// Create it, or replace all its properties.
    Replace {
        /// Its key.
        key: Key,
        /// Its properties; the others have their defaults.
        properties: Properties,
    },
    /// Change some of its properties.
    Update {
        /// Its key.
        key: Key,
        /// These properties.
        properties: Properties,
    },
    /// Delete it.
    Delete {
        /// Its key.
        key: Key,
    },
    /// Replace the assignments of a policy: the action `assign`.
    Assign {
        /// The policy.
        policy: ObjectId,
        /// The property `assignments`.
        properties: Properties,
    },
    /// Replace the groups whose devices have a scope tag: the action `assign`.
    AssignTag {
        /// The scope tag.
        tag: ScopeTagId,
        /// The property `assignments`.
        properties: Properties,
    },
    /// Replace the scheduled actions of a compliance policy: the action `scheduleActionsForRules`.
    ScheduleActions {
        /// The policy.
        policy: ObjectId,
        /// The property `deviceComplianceScheduledActionForRules`.
        properties: Properties,
    },
    /// Add members to a group: all of them or none.
    AddMembers {
        /// The group.
        group: ObjectId,
        /// Devices that are not members.
        members: Vec<DeviceId>,
    },
    /// Remove members from a group: all of them or none.
    RemoveMembers {
        /// The group.
        group: ObjectId,
        /// Devices that are members.
        members: Vec<DeviceId>,
    },
    /// Add a principal to a group, so that it has the roles that are assigned to its members.
    AddPrincipal {
        /// The group.
        group: ObjectId,
        /// A token that is not a member.
        token: ObjectId,
    },
    /// Remove a principal from a group.
    RemovePrincipal {
        /// The group.
        group: ObjectId,
        /// A token that is a member.
        token: ObjectId,
    },
    /// Record an access. This changes no object.
    Access(AccessRecord),
    /// Record what was done to a device. This changes no object.
    Device {
        /// The device.
        device: DeviceId,
        /// What was done.
        action: DeviceAction,
    },
}

/// What operators do to a device, which the shard that owns it carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceAction {
    /// Its numbers are reset: before and after.
    ResetSequence(SequenceReset),
    /// It is removed.
    Remove,
    /// It is restored as it was before it was removed.
    Restore,
}

impl Change {
    /// The object to change, or the device.
    #[must_use]
    pub const fn key(&self) -> Key {
        match self {
            Self::Create { key, .. }
            | Self::Replace { key, .. }
            | Self::Update { key, .. }
            | Self::Delete { key } => *key,
            Self::AddMembers { group, .. }
            | Self::RemoveMembers { group, .. }
            | Self::AddPrincipal { group, .. }
            | Self::RemovePrincipal { group, .. } => Key::Group(*group),
            Self::AssignTag { tag, .. } => Key::ScopeTag(*tag),
            Self::Assign { policy, .. } | Self::ScheduleActions { policy, .. } => {
                Key::Policy(*policy)
            }
            Self::Device { device, .. } => Key::Device(*device),
            Self::Access(_) => Key::Tenant,
            Self::Issue { id, .. } => Key::Token(*id),
        }
    }

    /// What it does with its object.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Create { .. } | Self::Issue { .. } => Verb::Create,
            Self::Delete { .. } | Self::Device { .. } => Verb::Delete,
            Self::Assign { .. } => Verb::Assign,
            _ => Verb::Update,
        }
    }

    /// Whether it assigns a policy, which is a right of its own.
    #[must_use]
    pub fn assigns(&self) -> bool {
        match self {
            Self::Assign { .. } => true,
            Self::Create { key, properties } | Self::Replace { key, properties } => {
                let sent = properties.get(ASSIGNMENTS).and_then(Json::as_array);
                matches!(key, Key::Policy(_)) && sent.is_some_and(|list| !list.is_empty())
            }
            _ => false,
        }
    }
}

/// Why a command is refused. It has changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The document has faults, all of which are listed.
    #[error("{0}")]
    Invalid(Faults),
    /// The tenant does not exist.
    #[error("the server has no tenant with this name")]
    UnknownTenant,
    /// The role of the sender does not allow it, or not for this object.
    #[error("the roles of the caller do not allow Microsoft.Intune_{} here", action.name())]
    Forbidden {
        /// What it does not allow.
        action: Action,
    },
    /// Devices that become members do not exist, or the sender must not know that they do.
    #[error("devices that become members do not exist")]
    UnknownMembers(Vec<DeviceId>),
    /// The object does not exist, or the sender must not know that it does.
    #[error("no {} has this id", key.type_name())]
    Unknown {
        /// Its key.
        key: Key,
    },
    /// An object with this key already exists.
    #[error("a {} with this {} exists", key.type_name(), if key.id_text().is_some() { "id" } else { "name" })]
    Exists {
        /// Its key.
        key: Key,
    },
    /// The object does not meet the precondition.
    #[error("the object has changed: it {}", has(*current))]
    Stale {
        /// Its ETag; `None` if it does not exist.
        current: Option<ETag>,
    },
    /// The object is built in: it cannot be changed, or cannot be deleted.
    #[error("this {} is built in", key.type_name())]
    BuiltIn {
        /// Its key.
        key: Key,
    },
    /// Another object refers to it, so it cannot be deleted.
    #[error("this {} is used by {}", key.type_name(), user(*by))]
    InUse {
        /// Its key.
        key: Key,
        /// An object that refers to it; `None` if the sender must not know it.
        by: Option<Key>,
    },
    /// The object is made and deleted, but never changed.
    #[error("a {} cannot be changed; delete it and create another", key.type_name())]
    Unchangeable {
        /// Its key.
        key: Key,
    },
    /// The tenant or the server has reached a limit.
    #[error("the limit of {max} {what} is reached")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The object already has these values, so nothing is written.
    #[error("the object already has these values")]
    Unchanged,
}

fn user(by: Option<Key>) -> String {
    match by.map(|key| (key.type_name(), key.id_text())) {
        None => "another object".to_owned(),
        Some((type_name, None)) => format!("the {type_name}"),
        Some((type_name, Some(id))) => format!("the {type_name} {id}"),
    }
}

fn has(current: Option<ETag>) -> String {
    match current {
        Some(etag) => format!("has the ETag {etag}"),
        None => "does not exist".to_owned(),
    }
}
