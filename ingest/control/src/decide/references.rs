//! What an object refers to must exist when it begins to refer to it. Changes nothing.
//!
//! A reference that the object already had is not checked again, so that it can be changed after a group was deleted.

use muster_engine::TenantIndex;

use super::access::{changed_tags, tags_property};
use crate::command::{Command, Refusal};
use crate::fault::{FaultKind, Faults};
use crate::id::{ALL_DEVICES, ALL_USERS, DEFENDER, ObjectId};
use crate::object::{
    ASSIGNMENTS, CompliancePolicy, FilterPlatform, Group, Key, Object, RoleAssignment, ScopeTag,
};
use crate::state::ControlPlane;

/// The objects of a tenant, and the faults found so far.
struct References<'a> {
    plane: &'a ControlPlane,
    command: &'a Command,
    tenant: TenantIndex,
    faults: Faults,
}

impl ControlPlane {
    /// Notes every reference of `after` that `before` does not have and that leads nowhere.
    pub(super) fn check_references(
        &self,
        command: &Command,
        before: Option<&Object>,
        after: &Object,
    ) -> Result<(), Refusal> {
        let mut references = References {
            plane: self,
            command,
            tenant: command.tenant,
            faults: Faults::default(),
        };
        references.check_tags(before, after);
        match (after, before) {
            (Object::Policy(after), Some(Object::Policy(before))) => {
                references.check_policy(Some(before), after);
            }
            (Object::Policy(after), _) => references.check_policy(None, after),
            (Object::RoleAssignment(after), Some(Object::RoleAssignment(before))) => {
                references.check_role(Some(before), after);
            }
            (Object::RoleAssignment(after), _) => references.check_role(None, after),
            (Object::Group(after), _) => references.check_group(command.change.key(), after),
            (Object::ScopeTag(after), before) => references.check_tagged(before, after),
            _ => (),
        }
        if references.faults.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid(references.faults))
        }
    }
}

impl References<'_> {
    /// A principal can give and take only the tags that it has. One of others is for the sender as one that does not exist.
    fn check_tags(&mut self, before: Option<&Object>, after: &Object) {
        let Some(name) = tags_property(self.command.change.key()) else {
            return;
        };
        let own = self.command.rights.tags(self.command.action());
        for tag in changed_tags(before, after) {
            let is_added = after.scope_tags().any(|has| has == tag);
            let exists = self.plane.object(self.tenant, Key::ScopeTag(tag)).is_some();
            let whose = if own.is_all() { "tenant" } else { "caller" };
            if is_added && !(exists && own.has(tag)) {
                let allowed = format!("scope tags of the {whose}, without {tag}");
                self.fault(name, allowed);
            } else if !is_added && !own.has(tag) {
                let allowed = format!("a list with {tag}, which the caller cannot take away");
                self.fault(name, allowed);
            }
        }
    }

    /// A scope tag is assigned to groups that exist.
    fn check_tagged(&mut self, before: Option<&Object>, tag: &ScopeTag) {
        let had: Vec<_> = match before {
            Some(Object::ScopeTag(before)) => before.groups().collect(),
            _ => Vec::new(),
        };
        for group in tag.groups().filter(|group| !had.contains(group)) {
            self.check_target(ASSIGNMENTS, group);
        }
    }

    /// Whether the sender may refer to an object: one that it must not know does not exist for it.
    fn finds(&self, key: Key) -> Option<Object> {
        let (found, _) = self.plane.object(self.tenant, key)?;
        let tags = self.command.rights.tags(self.command.action());
        (key.is_built_in() || tags.has_any(found.scope_tags())).then_some(found)
    }

    fn check_policy(&mut self, before: Option<&CompliancePolicy>, policy: &CompliancePolicy) {
        let had = |group: &ObjectId| {
            before.is_some_and(|before| before.assignments.groups().any(|had| had == *group))
        };
        for group in policy.assignments.groups().filter(|group| !had(group)) {
            self.check_target(ASSIGNMENTS, group);
        }
        let had = |filter: &ObjectId| {
            before.is_some_and(|before| before.assignments.filters().any(|had| had == *filter))
        };
        let platform = FilterPlatform::of(policy.subclass);
        for filter in policy.assignments.filters().filter(|filter| !had(filter)) {
            let found = self.finds(Key::Filter(filter));
            let is_of_platform = |found: &Object| matches!(found, Object::Filter(found) if found.properties.platform == platform);
            if !found.is_some_and(|found| is_of_platform(&found)) {
                let platform = platform.name();
                self.fault(
                    ASSIGNMENTS,
                    format!("filters of the tenant for {platform}, without {filter}"),
                );
            }
        }
        // R2 row 2.
        let had = before
            .map(CompliancePolicy::unevaluated_threat)
            .unwrap_or_default();
        let mut connectors = self.plane.connectors(self.tenant);
        let has_mac = connectors.any(|(id, connector, _)| id == DEFENDER && connector.mac_enabled);
        for name in policy.unevaluated_threat() {
            if !has_mac && !had.contains(&name) {
                let allowed = "its default, because macEnabled of the connector is false";
                self.fault(name, allowed.to_owned());
            }
        }
    }

    fn check_role(&mut self, before: Option<&RoleAssignment>, assignment: &RoleAssignment) {
        let groups = |assignment: &RoleAssignment| {
            let properties = &assignment.properties;
            let members = properties.members.iter().map(|group| ("members", group));
            let scopes = properties.resource_scopes.iter();
            let scopes = scopes.map(|group| ("resourceScopes", group));
            members.chain(scopes).collect::<Vec<_>>()
        };
        let had = before.map(groups).unwrap_or_default();
        for (name, group) in groups(assignment) {
            // The scope may be everything.
            let is_all = name != "members" && [ALL_DEVICES, ALL_USERS].contains(&group);
            if !is_all && !had.contains(&(name, group)) {
                self.check_target(name, group);
            }
        }
        let definition = assignment.definition;
        let had = before.is_some_and(|before| before.definition == definition);
        let key = Key::RoleDefinition(definition);
        if !had && self.finds(key).is_none() {
            let allowed = format!("role definitions of the tenant, without {definition}");
            self.fault("roleDefinition@odata.bind", allowed);
        }
    }

    /// A group whose members follow from a rule has none that were added.
    fn check_group(&mut self, key: Key, group: &Group) {
        let members = key
            .id()
            .and_then(|id| self.plane.members(self.tenant, id, None).next());
        if group.properties.group_types.is_dynamic && members.is_some() {
            self.fault("groupTypes", "[] while the group has members".to_owned());
        }
    }

    fn check_target(&mut self, name: &str, group: ObjectId) {
        if self.plane.target(self.tenant, group).is_none() {
            self.fault(name, format!("groups of the tenant, without {group}"));
        }
    }

    fn fault(&mut self, target: &str, allowed: String) {
        self.faults.push(FaultKind::Invalid, target, allowed);
    }
}
