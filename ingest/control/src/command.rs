//! A command of an operator, and why one is refused.

use muster_engine::{SequenceReset, TenantIndex, Timestamp};
use muster_wire::DeviceId;

use crate::document::Properties;
use crate::fault::Faults;
use crate::id::{ETag, ObjectId};
use crate::object::{Key, Token};
use crate::value::Actor;

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Who sends it.
    pub actor: Actor,
    /// When it was sent.
    pub at: Timestamp,
    /// The tenant of the object; ignored if it is a new tenant, which gets the next index.
    pub tenant: TenantIndex,
    /// The condition that the object must meet.
    pub expected: Precondition,
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
            Self::AddMembers { group, .. } | Self::RemoveMembers { group, .. } => {
                Key::Group(*group)
            }
            Self::Device { device, .. } => Key::Device(*device),
            Self::Issue { id, .. } => Key::Token(*id),
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
    /// The object does not exist.
    #[error("no {} has this id", key.type_name())]
    Unknown {
        /// Its key.
        key: Key,
    },
    /// An object with this key already exists.
    #[error("a {} with this {} exists", key.type_name(), if key.id().is_some() { "id" } else { "name" })]
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

fn has(current: Option<ETag>) -> String {
    match current {
        Some(etag) => format!("has the ETag {etag}"),
        None => "does not exist".to_owned(),
    }
}
