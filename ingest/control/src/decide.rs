//! Decides commands: each becomes an entry, or a refusal that lists every fault. Changes nothing.

mod access;
mod limits;
mod members;
mod references;

use muster_engine::Revision;

use self::members::Listed;
use crate::command::{Change, Command, Precondition, Refusal};
use crate::document::Properties;
use crate::entry::{Effect, Entry};
use crate::id::ETag;
use crate::object::{Key, Object, Part, Token};
use crate::reference::MEMBERS;
use crate::state::ControlPlane;

impl ControlPlane {
    /// The entry that carries out a command.
    ///
    /// # Errors
    /// The command is refused. Of several reasons it has the first in this order: unknown tenant, built in, unknown or
    /// existing, stale,
    /// invalid, beyond a limit. It lists all faults of a document at once.
    pub fn decide(&self, command: &Command) -> Result<Entry, Refusal> {
        let key = command.change.key();
        let is_new_tenant = key == Key::Tenant && matches!(command.change, Change::Create { .. });
        let tenant = match is_new_tenant {
            true => self.next_tenant(),
            false if self.has_tenant(command.tenant) => command.tenant,
            false => return Err(Refusal::UnknownTenant),
        };
        let current = match command.change {
            // An action on a device and an access change no object.
            Change::Device { .. } | Change::Access(_) => None,
            _ => self.object(tenant, key),
        };
        let etag = current.as_ref().map(|(_, etag)| *etag);
        let object = current.as_ref().map(|(object, _)| object);
        self.check_sender(command, tenant, object)?;
        let is_deletion = matches!(command.change, Change::Delete { .. });
        let is_always_there = matches!(key, Key::Settings | Key::Device(_));
        if (key.is_built_in() && !is_always_there) || (is_always_there && is_deletion) {
            return Err(Refusal::BuiltIn { key });
        }
        match (&command.change, etag) {
            (Change::Device { .. } | Change::Access(_), _) => (),
            (Change::Create { .. } | Change::Issue { .. }, Some(_)) => {
                return Err(Refusal::Exists { key });
            }
            (Change::Issue { .. }, None) => (),
            (Change::Create { .. } | Change::Replace { .. } | Change::Update { .. }, _)
                if matches!(key, Key::Token(_)) =>
            {
                return Err(Refusal::Unchangeable { key });
            }
            (Change::Create { .. } | Change::Replace { .. }, _) | (_, Some(_)) => (),
            (_, None) => return Err(Refusal::Unknown { key }),
        }
        if let (Key::ScopeTag(id), None) = (key, etag)
            && id != self.next_scope_tag(tenant)
        {
            // The tag existed, or another command has just made one.
            return Err(Refusal::Exists { key });
        }
        if !command.expected.holds(etag) {
            return Err(Refusal::Stale { current: etag });
        }
        let effect = self.effect(command, current.map(|(object, _)| object))?;
        self.check_reach(command, tenant, &effect)?;
        self.check_limits(command, &effect)?;
        let next = self.revision().0.checked_add(1);
        let revision = next.map(Revision).ok_or(Refusal::Limit {
            what: "revisions",
            max: u32::MAX as usize,
        })?;
        Ok(Entry {
            revision,
            at: command.at,
            actor: command.actor.clone(),
            address: command.address,
            tenant,
            key,
            effect,
        })
    }

    /// What a command does to its object.
    fn effect(&self, command: &Command, current: Option<Object>) -> Result<Effect, Refusal> {
        let key = command.change.key();
        let tagged;
        let (properties, keeps) = match &command.change {
            Change::Create { properties, .. } => {
                tagged = command.with_tags(properties);
                (tagged.as_ref().unwrap_or(properties), false)
            }
            Change::Replace { properties, .. } => (properties, false),
            Change::Update {
                key: Key::Group(group),
                properties,
            } if properties.contains_key(MEMBERS) => {
                let listed = Listed::bound(properties);
                let members = self.checked_members(command, *group, listed, false)?;
                return Ok(Effect::MembersAdded(members));
            }
            Change::Update { properties, .. } => (properties, true),
            Change::Delete { .. } => {
                let before = current.ok_or(Refusal::Unknown { key })?;
                if let Some(by) = self.user_of(command.tenant, key) {
                    let by = Some(by).filter(|by| self.sees(command, *by));
                    return Err(Refusal::InUse { key, by });
                }
                return Ok(Effect::Deleted { before });
            }
            Change::AddMembers { group, members } => {
                let listed = Listed::new(members);
                let members = self.checked_members(command, *group, listed, false)?;
                return Ok(Effect::MembersAdded(members));
            }
            Change::RemoveMembers { group, members } => {
                let listed = Listed::new(members);
                let members = self.checked_members(command, *group, listed, true)?;
                return Ok(Effect::MembersRemoved(members));
            }
            Change::AddPrincipal { token, .. } => {
                return self.principal(command, current, *token, false);
            }
            Change::RemovePrincipal { token, .. } => {
                return self.principal(command, current, *token, true);
            }
            Change::AssignTag { properties, .. } => {
                return self.tag_groups(command, current, properties);
            }
            Change::Assign { properties, .. } => {
                return self.part(command, current, Part::Assignments, properties);
            }
            Change::ScheduleActions { properties, .. } => {
                return self.part(command, current, Part::Actions, properties);
            }
            Change::Device { action, .. } => return Ok(Effect::Device(*action)),
            Change::Access(record) => return Ok(Effect::Access(record.clone())),
            Change::Issue { token, .. } => return self.issued(command, token),
        };
        self.written(command, current, properties, keeps)
    }

    /// The token that a command makes.
    fn issued(&self, command: &Command, token: &Token) -> Result<Effect, Refusal> {
        if let Some(key) = token.role.map(Key::RoleDefinition)
            && self.object(command.tenant, key).is_none()
        {
            return Err(Refusal::Unknown { key });
        }
        if self.token_with(&token.hash).is_some() {
            let key = command.change.key();
            return Err(Refusal::Exists { key });
        }
        let after = Object::Token(token.clone());
        Ok(Effect::Created { after })
    }

    /// What the document of a command makes of its object.
    fn written(
        &self,
        command: &Command,
        current: Option<Object>,
        properties: &Properties,
        keeps: bool,
    ) -> Result<Effect, Refusal> {
        let key = command.change.key();
        let after = key.object(
            current.as_ref(),
            keeps,
            properties,
            command.handling,
            command.at,
        );
        let after = after.map_err(Refusal::Invalid)?;
        self.check_references(command, current.as_ref(), &after)?;
        match current {
            None => match &after {
                Object::Tenant(tenant) if self.tenant_named(tenant.name.as_str()).is_some() => {
                    Err(Refusal::Exists { key })
                }
                _ => Ok(Effect::Created { after }),
            },
            Some(before) if before.has_same_properties(&after) => Err(Refusal::Unchanged),
            Some(before) => Ok(Effect::Updated { before, after }),
        }
    }

    /// What a command does to the groups of a scope tag.
    fn tag_groups(
        &self,
        command: &Command,
        current: Option<Object>,
        properties: &Properties,
    ) -> Result<Effect, Refusal> {
        let key = command.change.key();
        let Some(Object::ScopeTag(tag)) = current else {
            return Err(Refusal::Unknown { key });
        };
        let after = Object::ScopeTag(tag.with(properties).map_err(Refusal::Invalid)?);
        let before = Object::ScopeTag(tag);
        self.check_references(command, Some(&before), &after)?;
        if before == after {
            return Err(Refusal::Unchanged);
        }
        Ok(Effect::Updated { before, after })
    }

    /// What a command does to a part of a policy.
    fn part(
        &self,
        command: &Command,
        current: Option<Object>,
        part: Part,
        properties: &Properties,
    ) -> Result<Effect, Refusal> {
        let key = command.change.key();
        let Some(Object::Policy(policy)) = current else {
            return Err(Refusal::Unknown { key });
        };
        let after = policy.with(part, properties, command.handling, command.at);
        let after = Object::Policy(after.map_err(Refusal::Invalid)?);
        let before = Object::Policy(policy);
        self.check_references(command, Some(&before), &after)?;
        if before.has_same_properties(&after) {
            return Err(Refusal::Unchanged);
        }
        Ok(Effect::Updated { before, after })
    }
}

impl Precondition {
    /// Whether an object with this ETag, or no object, meets the precondition.
    fn holds(self, etag: Option<ETag>) -> bool {
        match self {
            Self::Nothing => true,
            Self::Exists => etag.is_some(),
            Self::Is(expected) => etag == Some(expected),
        }
    }
}
