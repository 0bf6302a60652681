//! Whether the sender of a command may do what it says: permission and scope tags of the object before anything else is
//! said about it, and the reach of what results once that is known. Changes nothing.

use std::collections::BTreeSet;

use muster_engine::TenantIndex;
use muster_wire::DeviceId;
use serde_json::Value as Json;

use crate::command::{Change, Command, Refusal};
use crate::document::Properties;
use crate::entry::Effect;
use crate::id::ObjectId;
use crate::object::{CompliancePolicy, Key, Object, RoleAssignment, ScopeTagId, Target};
use crate::rights::{GroupReach, Reach, Verb};
use crate::role::Action;
use crate::state::ControlPlane;

/// The property with the scope tags of an object, in documents; `None` for a type without tags.
pub(super) const fn tags_property(key: Key) -> Option<&'static str> {
    match key {
        Key::Policy(_) | Key::RoleDefinition(_) => Some("roleScopeTagIds"),
        Key::Filter(_) => Some("roleScopeTags"),
        Key::RoleAssignment(_) => Some("roleScopeTags@odata.bind"),
        _ => None,
    }
}

impl Command {
    /// The action that it carries out.
    pub(super) fn action(&self) -> Action {
        self.change.key().action(self.change.verb())
    }

    /// The properties of a new object with the tags of a sender who has only some, as in Intune; `None` if they have
    /// tags, or the sender has all.
    pub(super) fn with_tags(&self, properties: &Properties) -> Option<Properties> {
        let name = tags_property(self.change.key())?;
        let is_given = properties
            .get(name)
            .is_some_and(|tags| tags.as_array().is_none_or(|tags| !tags.is_empty()));
        let Reach::Only(tags) = self.rights.tags(self.action()) else {
            return None;
        };
        if is_given {
            return None;
        }
        let mut tagged = properties.clone();
        let tags: Json = tags.iter().map(|tag| tag.to_string()).collect();
        tagged.insert(name.to_owned(), tags);
        Some(tagged)
    }
}

impl ControlPlane {
    /// Whether the sender of a command may know that an object exists.
    pub(super) fn sees(&self, command: &Command, key: Key) -> bool {
        let (rights, tenant) = (&command.rights, command.tenant);
        let object = self.object(tenant, key);
        let object = object.as_ref().map(|(object, _)| object);
        let read = rights.authorize(self, tenant, Verb::Read, key, object);
        read.is_ok()
    }

    /// Refuses a command that the sender may not send, or not for this object.
    pub(super) fn check_sender(
        &self,
        command: &Command,
        tenant: TenantIndex,
        object: Option<&Object>,
    ) -> Result<(), Refusal> {
        let (rights, key) = (&command.rights, command.change.key());
        rights.authorize(self, tenant, command.change.verb(), key, object)?;
        if command.change.assigns() {
            rights.authorize(self, tenant, Verb::Assign, key, object)?;
        }
        Ok(())
    }

    /// Refuses an effect that reaches beyond what the sender may do.
    pub(super) fn check_reach(
        &self,
        command: &Command,
        tenant: TenantIndex,
        effect: &Effect,
    ) -> Result<(), Refusal> {
        let (before, after) = match effect {
            Effect::Created { after } => (None, Some(after)),
            Effect::Updated { before, after } => (Some(before), Some(after)),
            Effect::Deleted { before } => (Some(before), None),
            Effect::MembersAdded(members) | Effect::MembersRemoved(members) => {
                self.check_devices(command, tenant, members)?;
                return self.check_tagged_group(command, tenant);
            }
            Effect::PrincipalAdded(_) | Effect::PrincipalRemoved(_) => {
                return self.check_grants_of_group(command, tenant);
            }
            Effect::Device(_) | Effect::Access(_) => return Ok(()),
        };
        for object in [before, after].into_iter().flatten() {
            match object {
                Object::RoleAssignment(assignment) => {
                    self.check_grants(command, tenant, [assignment])?;
                }
                Object::RoleDefinition(_) => self.check_users_of_role(command, tenant)?,
                _ => (),
            }
        }
        match (before, after) {
            (Some(Object::Group(_)), None) => {
                self.check_tagged_group(command, tenant)?;
                self.check_grants_of_group(command, tenant)
            }
            (before, Some(Object::Policy(after))) => {
                let before = match before {
                    Some(Object::Policy(before)) => targets(Some(before)),
                    _ => targets(None),
                };
                check_targets(command, &before, &targets(Some(after)))
            }
            _ => Ok(()),
        }
    }

    /// Devices that the sender does not see do not exist, and it may act only on those of its groups.
    fn check_devices(
        &self,
        command: &Command,
        tenant: TenantIndex,
        devices: &[DeviceId],
    ) -> Result<(), Refusal> {
        let rights = &command.rights;
        let action = command.action();
        if rights.may_everywhere(action) {
            return Ok(());
        }
        let is_of_tags = |device: &&DeviceId| {
            let tags = self.device_tags(tenant, device);
            !rights.tags(action).has_any(tags)
        };
        let hidden: Vec<_> = devices.iter().filter(is_of_tags).copied().collect();
        if !hidden.is_empty() {
            return Err(Refusal::UnknownMembers(hidden));
        }
        let groups = rights.groups(action);
        let mut devices = devices.iter();
        allowed_if(
            devices.all(|device| self.has_device(tenant, &groups, device)),
            action,
        )
    }

    /// The devices of a group have its scope tags, so only a principal that has these tags may change its members.
    fn check_tagged_group(&self, command: &Command, tenant: TenantIndex) -> Result<(), Refusal> {
        let action = command.action();
        let tags = group_of(command).map(|group| self.tags_of_group(tenant, group));
        let is_covered = command
            .rights
            .tags(action)
            .has_all(tags.into_iter().flatten());
        allowed_if(is_covered, action)
    }

    /// Whoever makes a principal a member of a group gives it the roles of the group.
    fn check_grants_of_group(&self, command: &Command, tenant: TenantIndex) -> Result<(), Refusal> {
        let Some(group) = group_of(command) else {
            return Ok(());
        };
        let is_deleted = matches!(command.change, Change::Delete { .. });
        if is_deleted && self.principals(tenant, group).next().is_none() {
            return Ok(());
        }
        allowed_if(command.rights.may(Action::ChangeRoles), Action::ChangeRoles)?;
        let all = self.role_assignments(tenant);
        let own = all.map(|(_, assignment, _)| assignment);
        let own = own.filter(|assignment| {
            let mut members = assignment.properties.members.iter();
            members.any(|member| member == group)
        });
        self.check_grants(command, tenant, own)
    }

    /// Whoever changes a role changes the rights of all that have it, also in the whole tenant: tokens, and users of
    /// issuers, whom only the configuration knows.
    fn check_users_of_role(&self, command: &Command, tenant: TenantIndex) -> Result<(), Refusal> {
        let Some(role) = command.change.key().id() else {
            return Ok(());
        };
        let is_everywhere = command.rights.may_everywhere(Action::ChangeRoles);
        allowed_if(is_everywhere, Action::ChangeRoles)?;
        let all = self.role_assignments(tenant);
        let own = all.map(|(_, assignment, _)| assignment);
        self.check_grants(
            command,
            tenant,
            own.filter(|assignment| assignment.definition == role),
        )
    }

    fn check_grants<'a>(
        &self,
        command: &Command,
        tenant: TenantIndex,
        assignments: impl IntoIterator<Item = &'a RoleAssignment>,
    ) -> Result<(), Refusal> {
        let mut assignments = assignments.into_iter();
        let may_grant = |assignment| command.rights.may_grant(self, tenant, assignment);
        allowed_if(assignments.all(may_grant), Action::ChangeRoles)
    }
}

fn group_of(command: &Command) -> Option<ObjectId> {
    match command.change.key() {
        Key::Group(group) => Some(group),
        _ => None,
    }
}

fn allowed_if(is_allowed: bool, action: Action) -> Result<(), Refusal> {
    is_allowed
        .then_some(())
        .ok_or(Refusal::Forbidden { action })
}

fn targets(policy: Option<&CompliancePolicy>) -> BTreeSet<Target> {
    let assignments = policy.map(|policy| policy.assignments.list());
    let targets = assignments.into_iter().flatten();
    targets.map(|(target, _)| target.clone()).collect()
}

/// A policy is assigned to, and taken from, the groups on whose devices the sender may act.
fn check_targets(
    command: &Command,
    before: &BTreeSet<Target>,
    after: &BTreeSet<Target>,
) -> Result<(), Refusal> {
    let action = Action::AssignCompliancePolicies;
    let groups: GroupReach = command.rights.groups(action);
    let mut changed = before.symmetric_difference(after);
    let is_covered = changed.all(|target| match target.group() {
        Some(group) => groups.has(group),
        None => groups.is_all(),
    });
    allowed_if(is_covered, action)
}

/// The scope tags by which two versions of an object differ.
pub(super) fn changed_tags(before: Option<&Object>, after: &Object) -> Vec<ScopeTagId> {
    let tags = |object: Option<&Object>| {
        object.map_or_else(BTreeSet::new, |object| {
            object.scope_tags().collect::<BTreeSet<_>>()
        })
    };
    let (before, after) = (tags(before), tags(Some(after)));
    before.symmetric_difference(&after).copied().collect()
}
