//! An entry of the log: one change of one object, or the record of what was done to a device or of an access. It is
//! also the audit record and a part of the history of the object.
//!
//! The encoding is canonical: equal entries have equal bytes, and any other bytes are refused. At most 80 KB, which
//! follows from the limits of the values; usually below 1 KB.

use core::net::IpAddr;

use muster_engine::{Revision, SequenceReset, TenantIndex, Timestamp};
use muster_wire::DeviceId;
use serde_json::Value as Json;

use crate::access::AccessRecord;
use crate::actor::Actor;
use crate::bytes::{EntryError, Reader, Stored, VERSION};
use crate::command::DeviceAction;
use crate::document::Properties;
use crate::id::ObjectId;
use crate::limits::MEMBERS_PER_COMMAND_MAX;
use crate::object::{Key, Object};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The revision that the change creates.
    pub revision: Revision,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub actor: Actor,
    /// From where; `None` for a program on the machine of the server.
    pub address: Option<IpAddr>,
    /// The tenant of the object.
    pub tenant: TenantIndex,
    /// The object, or the device; of an access, the tenant.
    pub key: Key,
    /// What happened to it.
    pub effect: Effect,
}

/// What a change does to its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is created.
    Created {
        /// The object after the change.
        after: Object,
    },
    /// It is changed.
    Updated {
        /// The object before the change.
        before: Object,
        /// The object after the change.
        after: Object,
    },
    /// It is deleted; a group is deleted with its members.
    Deleted {
        /// The object before the change.
        before: Object,
    },
    /// Devices become members; none of them was one. In ascending order.
    MembersAdded(Vec<DeviceId>),
    /// Devices are no longer members; all of them were. In ascending order.
    MembersRemoved(Vec<DeviceId>),
    /// A principal becomes a member of the group.
    PrincipalAdded(ObjectId),
    /// A principal is no longer a member.
    PrincipalRemoved(ObjectId),
    /// Something is done to a device, which changes no object.
    Device(DeviceAction),
    /// A principal did something that changes no object.
    Access(AccessRecord),
}

/// A property whose value a change has replaced, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModifiedProperty {
    /// Its name.
    pub name: String,
    /// Its value before; `None` if the object is new.
    pub old: Option<Json>,
    /// Its value after; `None` if the object was deleted.
    pub new: Option<Json>,
}

impl Entry {
    /// What was done, in the words of Graph's audit.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match &self.effect {
            Effect::Created { .. } => "Create",
            Effect::Updated { before, after } => match before.action_to(after) {
                Some(_) => "Action",
                None => "Patch",
            },
            Effect::Deleted { .. } => "Delete",
            Effect::MembersAdded(_) | Effect::PrincipalAdded(_) => "SetReference",
            Effect::MembersRemoved(_) | Effect::PrincipalRemoved(_) => "RemoveReference",
            Effect::Device(DeviceAction::Remove) => "Delete",
            Effect::Device(_) => "Action",
            Effect::Access(record) => record.access.operation(),
        }
    }

    /// The operation, or the name of the action.
    #[must_use]
    pub fn activity(&self) -> &'static str {
        match &self.effect {
            Effect::Updated { before, after } => {
                before.action_to(after).unwrap_or_else(|| self.operation())
            }
            Effect::Device(DeviceAction::ResetSequence(_)) => "resetSequence",
            Effect::Device(DeviceAction::Restore) => "restore",
            Effect::Access(record) => record.access.activity(),
            _ => self.operation(),
        }
    }

    /// The object before the change; `None` if it did not exist, and for a change of members.
    #[must_use]
    pub const fn before(&self) -> Option<&Object> {
        match &self.effect {
            Effect::Updated { before, .. } | Effect::Deleted { before } => Some(before),
            _ => None,
        }
    }

    /// The object after the change; `None` if it was deleted, and for a change of members.
    #[must_use]
    pub const fn after(&self) -> Option<&Object> {
        match &self.effect {
            Effect::Created { after } | Effect::Updated { after, .. } => Some(after),
            _ => None,
        }
    }

    /// The properties whose values the change has replaced.
    #[must_use]
    pub fn modified_properties(&self) -> Vec<ModifiedProperty> {
        if let Effect::Device(DeviceAction::ResetSequence(numbers)) = &self.effect {
            return reset_properties(numbers);
        }
        if let Effect::Access(record) = &self.effect {
            return access_properties(record);
        }
        let document =
            |object: Option<&Object>| object.map(|object| object.whole_document(self.key));
        let (before, after) = (document(self.before()), document(self.after()));
        let names = before.iter().chain(&after).flat_map(Properties::keys);
        let mut modified: Vec<ModifiedProperty> = Vec::new();
        for name in names {
            let value = |document: &Option<Properties>| document.as_ref()?.get(name).cloned();
            let (old, new) = (value(&before), value(&after));
            if old != new && !modified.iter().any(|property| property.name == *name) {
                let name = name.clone();
                modified.push(ModifiedProperty { name, old, new });
            }
        }
        modified
    }

    /// The bytes of the entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        VERSION.put(&mut bytes);
        self.revision.put(&mut bytes);
        self.at.put(&mut bytes);
        self.tenant.put(&mut bytes);
        self.actor.put(&mut bytes);
        self.address.put(&mut bytes);
        self.key.put(&mut bytes);
        self.effect.code().put(&mut bytes);
        match &self.effect {
            Effect::Created { after } => after.put(&mut bytes),
            Effect::Updated { before, after } => {
                before.put(&mut bytes);
                after.put(&mut bytes);
            }
            Effect::Deleted { before } => before.put(&mut bytes),
            Effect::MembersAdded(members) | Effect::MembersRemoved(members) => {
                put_members(members, &mut bytes);
            }
            Effect::PrincipalAdded(token) | Effect::PrincipalRemoved(token) => {
                token.put(&mut bytes);
            }
            Effect::Device(DeviceAction::ResetSequence(numbers)) => numbers.put(&mut bytes),
            Effect::Device(DeviceAction::Remove | DeviceAction::Restore) => (),
            Effect::Access(record) => record.put(&mut bytes),
        }
        bytes
    }

    /// Decodes [`Entry::encode`].
    ///
    /// # Errors
    /// The bytes are not those of an entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut reader = Reader::new(bytes);
        let from = &mut reader;
        match u8::take(from)? {
            VERSION => (),
            other => return Err(EntryError::Version(other)),
        }
        let (revision, at, tenant) = (
            Stored::take(from)?,
            Stored::take(from)?,
            Stored::take(from)?,
        );
        let (actor, address) = (Stored::take(from)?, Stored::take(from)?);
        let key = Key::take(from)?;
        let effect = Effect::take(key, from)?;
        reader.finish()?;
        Ok(Self {
            revision,
            at,
            actor,
            address,
            tenant,
            key,
            effect,
        })
    }
}

impl Effect {
    const fn code(&self) -> u8 {
        match self {
            Self::Created { .. } => 0,
            Self::Updated { .. } => 1,
            Self::Deleted { .. } => 2,
            Self::MembersAdded(_) => 3,
            Self::MembersRemoved(_) => 4,
            Self::Device(DeviceAction::ResetSequence(_)) => 5,
            Self::Device(DeviceAction::Remove) => 6,
            Self::Device(DeviceAction::Restore) => 7,
            Self::Access(_) => 8,
            Self::PrincipalAdded(_) => 9,
            Self::PrincipalRemoved(_) => 10,
        }
    }

    fn take(key: Key, from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let code = u8::take(from)?;
        match (code, key) {
            (3 | 4 | 9 | 10, Key::Group(_))
            | (5..=7, Key::Device(_))
            | (8, Key::Tenant)
            | (..=2, _) => (),
            _ => return Err(EntryError::Invalid("kind of change")),
        }
        Ok(match code {
            0 => Self::Created {
                after: key.take_object(from)?,
            },
            1 => Self::Updated {
                before: key.take_object(from)?,
                after: key.take_object(from)?,
            },
            2 => Self::Deleted {
                before: key.take_object(from)?,
            },
            3 => Self::MembersAdded(take_members(from)?),
            4 => Self::MembersRemoved(take_members(from)?),
            5 => Self::Device(DeviceAction::ResetSequence(Stored::take(from)?)),
            6 => Self::Device(DeviceAction::Remove),
            7 => Self::Device(DeviceAction::Restore),
            8 => Self::Access(Stored::take(from)?),
            9 => Self::PrincipalAdded(Stored::take(from)?),
            10 => Self::PrincipalRemoved(Stored::take(from)?),
            _ => return Err(EntryError::Invalid("kind of change")),
        })
    }
}

/// Both numbers, also if one of them has not changed.
fn reset_properties(numbers: &SequenceReset) -> Vec<ModifiedProperty> {
    let property = |name: &str, old: Json, new: Json| ModifiedProperty {
        name: name.to_owned(),
        old: Some(old),
        new: Some(new),
    };
    vec![
        property("seq", numbers.seq_before.into(), numbers.seq.into()),
        property(
            "inventoryRevision",
            numbers.inventory_revision_before.into(),
            numbers.inventory_revision.into(),
        ),
    ]
}

/// What was accessed, and how many accesses the record stands for besides.
fn access_properties(record: &AccessRecord) -> Vec<ModifiedProperty> {
    let texts = record.access.texts().into_iter();
    let texts = texts.map(|(name, text)| (name, Json::from(text.as_str())));
    let others = (record.unrecorded > 0).then(|| ("unrecorded", record.unrecorded.into()));
    let all = texts.chain(others);
    all.map(|(name, new)| ModifiedProperty {
        name: name.to_owned(),
        old: None,
        new: Some(new),
    })
    .collect()
}

impl Stored for SequenceReset {
    fn put(&self, into: &mut Vec<u8>) {
        self.seq_before.put(into);
        self.seq.put(into);
        self.inventory_revision_before.put(into);
        self.inventory_revision.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            seq_before: Stored::take(from)?,
            seq: Stored::take(from)?,
            inventory_revision_before: Stored::take(from)?,
            inventory_revision: Stored::take(from)?,
        })
    }
}

fn put_members(members: &[DeviceId], into: &mut Vec<u8>) {
    let count = u16::try_from(members.len()).expect("at most MEMBERS_PER_COMMAND_MAX");
    count.put(into);
    for member in members {
        member.put(into);
    }
}

fn take_members(from: &mut Reader<'_>) -> Result<Vec<DeviceId>, EntryError> {
    let count = usize::from(u16::take(from)?);
    if !(1..=MEMBERS_PER_COMMAND_MAX).contains(&count) {
        return Err(EntryError::Invalid("number of members"));
    }
    let members = (0..count)
        .map(|_| DeviceId::take(from))
        .collect::<Result<Vec<_>, _>>()?;
    if !members.is_sorted_by(|one, next| one < next) {
        return Err(EntryError::Invalid("order of members"));
    }
    Ok(members)
}
