//! Decides commands: each becomes an entry, or a refusal that lists every fault. Changes nothing.

mod references;

use muster_engine::Revision;
use muster_wire::DeviceId;

use crate::command::{Change, Command, Precondition, Refusal};
use crate::document::Properties;
use crate::entry::{Effect, Entry};
use crate::fault::{FaultKind, Faults};
use crate::id::{ALL_DEVICES, ETag, ObjectId};
use crate::limits::{
    DEVICE_ACTIONS_MAX, ENTRIES_MAX, GROUPS_MAX, MEMBERS_MAX, MEMBERS_PER_COMMAND_MAX,
    POLICIES_MAX, TENANTS_CREATED_MAX, TOKENS_MAX,
};
use crate::object::{Key, Object, Part};
use crate::reference::{self, MEMBERS};
use crate::state::ControlPlane;

/// The members that a command lists.
struct Listed {
    /// The property in their faults.
    property: &'static str,
    /// Each with its place in the list.
    members: Vec<(DeviceId, usize)>,
    /// The faults found so far.
    faults: Faults,
}

impl Listed {
    /// Those of a command that has only members.
    fn new(members: &[DeviceId]) -> Self {
        let mut faults = Faults::default();
        let has_valid_length = (1..=MEMBERS_PER_COMMAND_MAX).contains(&members.len());
        if !has_valid_length {
            let allowed = format!("1 to {MEMBERS_PER_COMMAND_MAX} devices");
            faults.push(FaultKind::Invalid, "members", allowed);
        }
        let members = members.iter().copied().zip(0..);
        Self {
            property: "members",
            members: members.filter(|_| has_valid_length).collect(),
            faults,
        }
    }

    /// Those of a document.
    fn bound(properties: &Properties) -> Self {
        let (members, faults) = reference::members(properties);
        Self {
            property: MEMBERS,
            members,
            faults,
        }
    }
}

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
        let current = self.object(tenant, key);
        let etag = current.as_ref().map(|(_, etag)| *etag);
        let is_deletion = matches!(command.change, Change::Delete { .. });
        if key == Key::Group(ALL_DEVICES) || (key == Key::Settings && is_deletion) {
            return Err(Refusal::BuiltIn { key });
        }
        match (&command.change, etag) {
            (Change::Device { .. }, _) => (),
            (_, None) if matches!(key, Key::Device(_)) => return Err(Refusal::Unknown { key }),
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
        if !command.expected.holds(etag) {
            return Err(Refusal::Stale { current: etag });
        }
        let effect = self.effect(command, current.map(|(object, _)| object))?;
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
            tenant,
            key,
            effect,
        })
    }

    /// What a command does to its object.
    fn effect(&self, command: &Command, current: Option<Object>) -> Result<Effect, Refusal> {
        let key = command.change.key();
        let (properties, keeps) = match &command.change {
            Change::Create { properties, .. } | Change::Replace { properties, .. } => {
                (properties, false)
            }
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
            Change::Assign { properties, .. } => {
                return self.part(command, current, Part::Assignments, properties);
            }
            Change::ScheduleActions { properties, .. } => {
                return self.part(command, current, Part::Actions, properties);
            }
            Change::Device { action, .. } => return Ok(Effect::Device(*action)),
            Change::Issue { token, .. } => {
                if self.token_with(&token.hash).is_some() {
                    return Err(Refusal::Exists { key });
                }
                let after = Object::Token(token.clone());
                return Ok(Effect::Created { after });
            }
        };
        let after = key.object(
            current.as_ref(),
            keeps,
            properties,
            command.handling,
            command.at,
        );
        let after = after.map_err(Refusal::Invalid)?;
        self.check_references(command.tenant, current.as_ref(), &after)?;
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
        self.check_references(command.tenant, Some(&before), &after)?;
        if before.has_same_properties(&after) {
            return Err(Refusal::Unchanged);
        }
        Ok(Effect::Updated { before, after })
    }

    /// The members in ascending order, if the command may add or remove all of them.
    fn checked_members(
        &self,
        command: &Command,
        group: ObjectId,
        listed: Listed,
        are_members: bool,
    ) -> Result<Vec<DeviceId>, Refusal> {
        let Listed {
            property,
            mut members,
            mut faults,
        } = listed;
        let tenant = self.tenant(command.tenant);
        let is_member = |member| tenant.is_some_and(|tenant| tenant.has_member(group, member));
        members.sort_unstable();
        let mut previous = None;
        for (member, index) in &members {
            let allowed = match is_member(member) {
                _ if member.is_zero() => "the id of a device",
                _ if previous == Some(member) => "each device once",
                true if !are_members => "a device that is not a member",
                false if are_members => "a device that is a member",
                _ => "",
            };
            if !allowed.is_empty() {
                faults.push(FaultKind::Invalid, format!("{property}[{index}]"), allowed);
            }
            previous = Some(member);
        }
        if faults.is_empty() {
            Ok(members.into_iter().map(|(member, _)| member).collect())
        } else {
            Err(Refusal::Invalid(faults))
        }
    }

    fn check_limits(&self, command: &Command, effect: &Effect) -> Result<(), Refusal> {
        let key = command.change.key();
        let tenant = self.tenant(command.tenant);
        let count = || tenant.map_or(0, |tenant| tenant.count(key));
        let members = || tenant.map_or(0, |tenant| tenant.members_count);
        let limits = match (effect, key) {
            (Effect::Created { .. }, Key::Policy(_)) => {
                Some(("compliance policies", POLICIES_MAX, count() + 1))
            }
            (Effect::Created { .. }, Key::Group(_)) => Some(("groups", GROUPS_MAX, count() + 1)),
            (Effect::Created { .. }, Key::Token(_)) => Some(("tokens", TOKENS_MAX, count() + 1)),
            (Effect::MembersAdded(added), _) => {
                Some(("members of groups", MEMBERS_MAX, members() + added.len()))
            }
            _ => None,
        };
        // A tenant can be deleted also if it has used up its changes.
        let is_change = matches!(effect, Effect::Updated { .. });
        if key == Key::Tenant && !is_change {
            let number = usize::from(self.next_tenant().0) + 1;
            let (what, max) = ("tenants that were ever created", TENANTS_CREATED_MAX);
            return match effect {
                Effect::Created { .. } if number > max => Err(Refusal::Limit { what, max }),
                _ => Ok(()),
            };
        }
        let actions = tenant.map_or(0, |tenant| tenant.device_actions) as usize;
        let entries = match effect {
            Effect::Device(_) => (
                "actions on devices",
                DEVICE_ACTIONS_MAX as usize,
                actions + 1,
            ),
            _ => {
                let entries = self.entries(command.tenant) as usize;
                ("changes", ENTRIES_MAX as usize, entries + 1)
            }
        };
        for (what, max, number) in limits.into_iter().chain([entries]) {
            if number > max {
                return Err(Refusal::Limit { what, max });
            }
        }
        Ok(())
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
