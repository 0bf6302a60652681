//! Who and what is in groups: principals and devices, and the scope tags of groups.
//!
//! Members come and go by entries; everything else is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_engine::TenantIndex;
use muster_wire::DeviceId;

use super::{ControlPlane, Tenant};
use crate::entry::Entry;
use crate::id::ObjectId;
use crate::object::{Key, ScopeTagId};

impl Tenant {
    pub(super) fn add_members(
        &mut self,
        entry: &Entry,
        members: &[DeviceId],
    ) -> Result<(), &'static str> {
        let group = self.touch_group(entry, members, false)?;
        let all = self.members.entry(group).or_default();
        Arc::make_mut(all).extend(members);
        self.members_count += members.len();
        Ok(())
    }

    pub(super) fn remove_members(
        &mut self,
        entry: &Entry,
        members: &[DeviceId],
    ) -> Result<(), &'static str> {
        let group = self.touch_group(entry, members, true)?;
        let left = Arc::make_mut(self.members.entry(group).or_default());
        for member in members {
            left.remove(member);
        }
        if left.is_empty() {
            self.members.remove(&group);
        }
        self.members_count -= members.len();
        Ok(())
    }

    /// Gives a group the revision of a change of its members. All of them must be members before it, or none.
    fn touch_group(
        &mut self,
        entry: &Entry,
        members: &[DeviceId],
        are_members: bool,
    ) -> Result<ObjectId, &'static str> {
        if let Key::Group(group) = entry.key
            && members
                .iter()
                .any(|member| self.has_member(group, member) != are_members)
        {
            return Err("the members differ from those that it changes");
        }
        self.revise_group(entry)
    }

    pub(super) fn add_principal(
        &mut self,
        entry: &Entry,
        token: ObjectId,
    ) -> Result<(), &'static str> {
        if self.get(Key::Token(token)).is_none() {
            return Err("the token that becomes a member does not exist");
        }
        if self.has_principal(entry.key, token) {
            return Err("the token that becomes a member is one already");
        }
        let group = self.revise_group(entry)?;
        self.principals.add(group, token);
        Ok(())
    }

    pub(super) fn remove_principal(
        &mut self,
        entry: &Entry,
        token: ObjectId,
    ) -> Result<(), &'static str> {
        if !self.has_principal(entry.key, token) {
            return Err("the token that is removed from a group is not a member");
        }
        let group = self.revise_group(entry)?;
        self.principals.remove(group, token);
        Ok(())
    }

    fn has_principal(&self, group: Key, token: ObjectId) -> bool {
        matches!(group, Key::Group(group) if self.principals.has(group, token))
    }

    /// Number of principals in all groups, each as often as it is a member.
    pub(crate) fn principals_count(&self) -> usize {
        self.principals.len()
    }
}

impl ControlPlane {
    /// Whether a principal is a member of a group.
    #[must_use]
    pub fn has_principal(&self, tenant: TenantIndex, group: ObjectId, token: ObjectId) -> bool {
        let tenant = self.tenants.get(&tenant);
        tenant.is_some_and(|tenant| tenant.principals.has(group, token))
    }

    /// The principals that are members of a group, in ascending order.
    pub fn principals(
        &self,
        tenant: TenantIndex,
        group: ObjectId,
    ) -> impl Iterator<Item = ObjectId> {
        let tenant = self.tenants.get(&tenant).into_iter();
        tenant.flat_map(move |tenant| tenant.principals.of(group))
    }

    /// Whether a device is a member of a group.
    #[must_use]
    pub fn has_member(&self, tenant: TenantIndex, group: ObjectId, device: &DeviceId) -> bool {
        let tenant = self.tenants.get(&tenant);
        tenant.is_some_and(|tenant| tenant.has_member(group, device))
    }

    /// The groups to which scope tags are assigned, also those that were deleted since, with their tags.
    pub fn tagged_groups(
        &self,
        tenant: TenantIndex,
    ) -> impl Iterator<Item = (ObjectId, &BTreeSet<ScopeTagId>)> {
        let tenant = self.tenants.get(&tenant).into_iter();
        tenant.flat_map(|tenant| tenant.tagged.iter())
    }

    /// The scope tags that are assigned to a group.
    pub(crate) fn tags_of_group(
        &self,
        tenant: TenantIndex,
        group: ObjectId,
    ) -> impl Iterator<Item = ScopeTagId> {
        let tenant = self.tenants.get(&tenant).into_iter();
        tenant.flat_map(move |tenant| tenant.tagged.of(group))
    }
}
