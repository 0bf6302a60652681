//! What a principal may do, and to what: the one place that decides (section 7 of the domain). Denied by default.
//!
//! A principal has a grant for each of its own roles, which hold in the whole tenant, and for each role assignment one of
//! whose groups has it as a member. An object whose scope tags no grant covers that allows to read it does not exist for
//! the principal. Derived from the objects for each request, so that a change of a role, an assignment or a group is in
//! force with the next one. Changes nothing.

use std::collections::BTreeSet;

use muster_engine::{TargetId, TenantIndex};
use muster_wire::DeviceId;

use crate::command::Refusal;
use crate::id::{ALL_DEVICES, ObjectId};
use crate::object::{Key, Object, RoleAssignment, RolePermissions, ScopeTagId, ScopeType};
use crate::rights::{Grant, GroupReach, Reach, Rights, Sight, TagReach, Verb, bit};
use crate::role::Action;
use crate::state::ControlPlane;

impl Key {
    /// The action that a verb is for objects of this type.
    #[must_use]
    pub const fn action(self, verb: Verb) -> Action {
        match (self, verb) {
            (Self::Settings | Self::Group(_) | Self::User(_), Verb::Read) => {
                Action::ReadOrganization
            }
            (Self::User(_), _) => Action::UpdateUsers,
            (Self::Settings, _) => Action::UpdateCompliancePolicies,
            (Self::Group(_), _) => Action::UpdateGroups,
            (Self::Connector(_), Verb::Read) => Action::ReadConnectors,
            (Self::Connector(_), _) => Action::ModifyConnectors,
            (Self::Policy(_), Verb::Read) => Action::ReadCompliancePolicies,
            (Self::Policy(_), Verb::Create) => Action::CreateCompliancePolicies,
            (Self::Policy(_), Verb::Update) => Action::UpdateCompliancePolicies,
            (Self::Policy(_), Verb::Delete) => Action::DeleteCompliancePolicies,
            (Self::Policy(_), Verb::Assign) => Action::AssignCompliancePolicies,
            (Self::Device(_), Verb::Read) => Action::ReadDevices,
            (Self::Device(_), Verb::Delete) => Action::DeleteDevices,
            (Self::Device(_), _) => Action::UpdateDevices,
            (Self::Filter(_), Verb::Read) => Action::ReadFilters,
            (Self::Filter(_), _) => Action::ChangeFilters,
            (
                Self::ScopeTag(_)
                | Self::RoleDefinition(_)
                | Self::RoleAssignment(_)
                | Self::Token(_),
                Verb::Read,
            ) => Action::ReadRoles,
            (Self::ScopeTag(_) | Self::RoleDefinition(_) | Self::RoleAssignment(_), _) => {
                Action::ChangeRoles
            }
            // Tenants are made and deleted on the machine only.
            (Self::Token(_) | Self::Tenant, _) => Action::ManageTokens,
        }
    }
}

fn actions_of(permissions: &RolePermissions) -> u64 {
    let allowed = Action::ALL.iter().copied();
    let allowed = allowed.filter(|action| permissions.allows(*action));
    allowed.map(bit).sum()
}

impl Grant {
    /// That of an assignment; `None` if its role definition is missing.
    fn of(plane: &ControlPlane, tenant: TenantIndex, assignment: &RoleAssignment) -> Option<Self> {
        Some(Self {
            actions: role_actions(plane, tenant, assignment.definition)?,
            tags: Reach::Only(assignment.scope_tags.iter().collect()),
            groups: groups_of(assignment),
        })
    }
}

fn role_actions(plane: &ControlPlane, tenant: TenantIndex, role: ObjectId) -> Option<u64> {
    match plane.object(tenant, Key::RoleDefinition(role))? {
        (Object::RoleDefinition(role), _) => Some(actions_of(&role.permissions)),
        _ => None,
    }
}

/// The groups of an assignment. A scope of users has no devices.
fn groups_of(assignment: &RoleAssignment) -> GroupReach {
    let properties = &assignment.properties;
    match properties.scope_type {
        ScopeType::AllDevices | ScopeType::AllDevicesAndLicensedUsers => Reach::All,
        ScopeType::AllLicensedUsers => Reach::none(),
        ScopeType::ResourceScope => {
            match properties.resource_scopes.iter().collect::<BTreeSet<_>>() {
                groups if groups.contains(&ALL_DEVICES) => Reach::All,
                groups => Reach::Only(groups),
            }
        }
    }
}

impl Rights {
    /// That of a principal with these roles for the whole tenant, and with those of every assignment that has it in a
    /// group of its members.
    #[must_use]
    pub fn of(
        plane: &ControlPlane,
        tenant: TenantIndex,
        roles: impl IntoIterator<Item = ObjectId>,
        principal: ObjectId,
    ) -> Self {
        let own = roles.into_iter();
        let own = own.filter_map(|role| Some(Grant::unlimited(role_actions(plane, tenant, role)?)));
        let assigned = plane.role_assignments(tenant).filter_map(|(_, role, _)| {
            let mut groups = role.properties.members.iter();
            let is_member = groups.any(|group| plane.has_principal(tenant, group, principal));
            is_member.then(|| Grant::of(plane, tenant, role)).flatten()
        });
        Self::of_grants(own.chain(assigned))
    }

    /// Whether the principal may do this with the object that has this key; for a device without the object.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] if no grant allows it, or none that covers the object; [`Refusal::Unknown`] if the
    /// principal must not know that the object exists.
    pub fn authorize(
        &self,
        plane: &ControlPlane,
        tenant: TenantIndex,
        verb: Verb,
        key: Key,
        object: Option<&Object>,
    ) -> Result<(), Refusal> {
        let action = key.action(verb);
        let tags = match (key, object) {
            _ if !self.may(action) => return Err(Refusal::Forbidden { action }),
            (Key::Device(device), _) => Some(plane.device_tags(tenant, &device)),
            (key, Some(object)) => tags_of(key, object),
            (_, None) => None,
        };
        let is_seen = |action| match &tags {
            Some(tags) => self.tags(action).has_any(tags.iter().copied()),
            None => true,
        };
        let is_covered = match key {
            _ if verb == Verb::Read => is_seen(action),
            // One grant must have both.
            Key::Device(device) => self.allowing(action).is_none_or(|mut grants| {
                grants.any(|grant| {
                    let tags = tags.iter().flatten().copied();
                    grant.tags.has_any(tags) && plane.has_device(tenant, &grant.groups, &device)
                })
            }),
            // Tokens may act in the whole tenant, and scope tags say what others see.
            Key::Token(_) | Key::Tenant | Key::ScopeTag(_) => self.may_everywhere(action),
            _ => is_seen(action),
        };
        if is_covered {
            Ok(())
        } else if is_seen(action) || is_seen(key.action(Verb::Read)) {
            Err(Refusal::Forbidden { action })
        } else {
            Err(Refusal::Unknown { key })
        }
    }

    /// Whether the principal sees an object that is not a device.
    #[must_use]
    pub fn sees(&self, key: Key, object: &Object) -> bool {
        self.sees_by(key.action(Verb::Read), key, object)
    }

    /// Whether the principal sees an object that is not a device, when it carries out an action.
    #[must_use]
    pub fn sees_by(&self, action: Action, key: Key, object: &Object) -> bool {
        let tags = self.tags(action);
        tags_of(key, object).is_none_or(|own| tags.has_any(own))
    }

    /// Whether the principal may give, change or take away the rights of an assignment: none that reach further than
    /// its own right to change roles, and none to make tokens without having it.
    pub(crate) fn may_grant(
        &self,
        plane: &ControlPlane,
        tenant: TenantIndex,
        assignment: &RoleAssignment,
    ) -> bool {
        let Some(mut grants) = self.allowing(Action::ChangeRoles) else {
            return true;
        };
        let Some(given) = Grant::of(plane, tenant, assignment) else {
            return true;
        };
        let makes_tokens = given.allows(Action::ManageTokens);
        let covers = |grant: &Grant| {
            let tags = assignment.scope_tags.iter();
            let has_groups = match &given.groups {
                Reach::All => grant.groups.is_all(),
                Reach::Only(groups) => grant.groups.has_all(groups.iter().copied()),
            };
            grant.tags.has_all(tags) && has_groups
        };
        grants.any(covers) && (!makes_tokens || self.may_everywhere(Action::ManageTokens))
    }
}

/// The scope tags that say who sees an object; `None` if every reader of its type does, as for what is built in.
fn tags_of(key: Key, object: &Object) -> Option<BTreeSet<ScopeTagId>> {
    match key {
        // Its tags are those of its groups, so they are not here.
        Key::Device(_) => Some(BTreeSet::new()),
        _ if key.is_built_in() => None,
        Key::ScopeTag(tag) => Some(BTreeSet::from([tag])),
        _ => Some(object.scope_tags().collect()).filter(|tags: &BTreeSet<_>| !tags.is_empty()),
    }
}

/// A device without tags has the default one.
fn or_default(tags: BTreeSet<ScopeTagId>) -> BTreeSet<ScopeTagId> {
    if tags.is_empty() {
        BTreeSet::from([ScopeTagId::DEFAULT])
    } else {
        tags
    }
}

impl ControlPlane {
    /// The scope tags of a device: those that are assigned to a group of which it is a member, or else the default one.
    #[must_use]
    pub fn device_tags(&self, tenant: TenantIndex, device: &DeviceId) -> BTreeSet<ScopeTagId> {
        let tagged = self.tagged_groups(tenant);
        let tagged = tagged.filter(|(group, _)| self.has_member(tenant, *group, device));
        or_default(tagged.flat_map(|(_, tags)| tags).copied().collect())
    }

    /// The devices with one of these scope tags; `None` if all are seen.
    #[must_use]
    pub fn sight(&self, tenant: TenantIndex, tags: &TagReach) -> Option<Sight> {
        let Reach::Only(own) = tags else {
            return None;
        };
        let mut sight = Sight {
            seen: BTreeSet::new(),
            tagged: BTreeSet::new(),
            has_default: own.contains(&ScopeTagId::DEFAULT),
        };
        for (group, tags) in self.tagged_groups(tenant) {
            let target = self.target(tenant, group);
            sight.tagged.extend(target);
            sight.seen.extend(target.filter(|_| !tags.is_disjoint(own)));
        }
        Some(sight)
    }

    /// The same as [`ControlPlane::device_tags`] for a device with these targets, in ascending order.
    #[must_use]
    pub fn tags_of_targets(
        &self,
        tenant: TenantIndex,
        targets: &[TargetId],
    ) -> BTreeSet<ScopeTagId> {
        let tagged = self.tagged_groups(tenant).filter(|(group, _)| {
            let target = self.target(tenant, *group);
            target.is_some_and(|target| targets.binary_search(&target).is_ok())
        });
        or_default(tagged.flat_map(|(_, tags)| tags).copied().collect())
    }

    pub(crate) fn has_device(
        &self,
        tenant: TenantIndex,
        groups: &GroupReach,
        device: &DeviceId,
    ) -> bool {
        match groups {
            Reach::All => true,
            Reach::Only(groups) => groups
                .iter()
                .any(|group| self.has_member(tenant, *group, device)),
        }
    }
}
