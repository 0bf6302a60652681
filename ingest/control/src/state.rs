//! The control plane: the objects of all tenants as of one revision.
//!
//! Owned by the caller, which applies one entry at a time and bounds the number of tenants. Bounded by `limits` for each
//! tenant. [`ControlPlane::apply`] is the only way to change it; `decide.rs` creates the entries. A clone shares
//! everything that neither copy changes, so that one state can be published while the next one is prepared.

mod lists;
mod members;
mod principals;
mod tagged;
mod targets;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use muster_engine::{Revision, TargetId, TenantIndex};
use muster_wire::DeviceId;

use self::principals::Principals;
use self::tagged::TaggedGroups;
use self::tokens::Secrets;
use crate::access::{Access, AccessRecord};
use crate::chain::Chain;
use crate::entry::{Effect, Entry};
use crate::id::{ETag, ObjectId};
use crate::object::{Key, Object, ScopeTagId, TenantObject, TenantSettings, built_in};

/// An entry that does not follow from the state that it is applied to: the log is damaged, or belongs to another state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {revision} of the control log contradicts the entries before it: {what}")]
pub struct Contradiction {
    /// The revision of the entry.
    pub revision: Revision,
    /// What does not fit.
    pub what: &'static str,
}

/// An object and the revision of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    pub(crate) object: Object,
    pub(crate) revision: Revision,
}

impl Versioned {
    /// Its ETag.
    pub(crate) const fn etag(&self) -> ETag {
        ETag::of(self.revision)
    }
}

/// The state of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tenant {
    /// Settings that were never changed are absent.
    objects: BTreeMap<Key, Arc<Versioned>>,
    /// The members of each group that has any.
    members: BTreeMap<ObjectId, Arc<BTreeSet<DeviceId>>>,
    /// The principals that are members of groups, by group.
    principals: Principals,
    /// What each group is for shards: the revision that created it.
    targets: BTreeMap<ObjectId, TargetId>,
    /// The scope tags that are assigned to groups.
    tagged: TaggedGroups,
    /// The id of the next scope tag; 0 for 1, which is the first.
    next_scope_tag: u32,
    /// Number of devices that are members of all groups.
    pub(crate) members_count: usize,
    pub(crate) entries: u32,
    /// Number of entries about devices, which `entries` does not include.
    pub(crate) device_actions: u32,
    /// Number of recorded exports, which `entries` does not include.
    pub(crate) exports: u32,
    /// Number of recorded accesses of other kinds.
    pub(crate) accesses: u32,
}

/// The objects of all tenants as of one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlPlane {
    revision: Revision,
    /// The hash chain over all entries.
    chain: Chain,
    /// Number of tenants that were ever created, which is the index of the next one.
    created: u16,
    /// The tenants that exist.
    tenants: BTreeMap<TenantIndex, Arc<Tenant>>,
    /// The tokens of these tenants by their secrets.
    secrets: Secrets,
}

impl ControlPlane {
    /// The revision of the last change.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The hash chain over all entries up to the last change.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Records that revisions up to this one are used by something other than entries.
    pub fn skip_to(&mut self, revision: Revision) {
        self.revision = self.revision.max(revision);
    }

    /// The index of the next tenant. Indexes are assigned in order and never reused.
    #[must_use]
    pub const fn next_tenant(&self) -> TenantIndex {
        TenantIndex(self.created)
    }

    /// Whether a tenant exists.
    #[must_use]
    pub fn has_tenant(&self, tenant: TenantIndex) -> bool {
        self.tenants.contains_key(&tenant)
    }

    /// The tenants that exist, by index.
    pub fn tenants(&self) -> impl Iterator<Item = (TenantIndex, &TenantObject)> {
        self.tenants
            .iter()
            .filter_map(|(index, tenant)| match &tenant.get(Key::Tenant)?.object {
                Object::Tenant(object) => Some((*index, object)),
                _ => None,
            })
    }

    /// The index of a tenant by its name.
    #[must_use]
    pub fn tenant_named(&self, name: &str) -> Option<TenantIndex> {
        let mut tenants = self.tenants();
        tenants
            .find(|(_, tenant)| tenant.name.as_str() == name)
            .map(|(index, _)| index)
    }

    /// The name of a tenant; one that makes its index known for a tenant that was deleted.
    #[must_use]
    pub fn tenant_name(&self, tenant: TenantIndex) -> String {
        match self.object(tenant, Key::Tenant) {
            Some((Object::Tenant(object), _)) => object.name.to_string(),
            _ => format!("tenant-{tenant}"),
        }
    }

    /// Number of entries of a tenant, without those about devices.
    #[must_use]
    pub fn entries(&self, tenant: TenantIndex) -> u32 {
        self.tenants.get(&tenant).map_or(0, |tenant| tenant.entries)
    }

    /// An object with its ETag; `None` if it does not exist.
    #[must_use]
    pub fn object(&self, tenant: TenantIndex, key: Key) -> Option<(Object, ETag)> {
        let found = self.tenants.get(&tenant)?.get(key);
        let found = found.map(|found| (found.object.clone(), found.etag()));
        found.or_else(|| Some((built_in(key)?, ETag::default())))
    }

    /// The settings of a tenant.
    #[must_use]
    pub fn settings(&self, tenant: TenantIndex) -> TenantSettings {
        match self.object(tenant, Key::Settings) {
            Some((Object::Settings(settings), _)) => settings,
            _ => TenantSettings::default(),
        }
    }

    /// The members of a group, in ascending order; only those after a device if one is given. Those of a built-in
    /// group are not listed.
    pub fn members(
        &self,
        tenant: TenantIndex,
        group: ObjectId,
        after: Option<DeviceId>,
    ) -> impl Iterator<Item = DeviceId> {
        let members = self
            .tenants
            .get(&tenant)
            .and_then(|tenant| tenant.members.get(&group));
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        members
            .into_iter()
            .flat_map(move |members| members.range((begin, Bound::Unbounded)).copied())
    }

    /// The id that the next scope tag of a tenant gets. Ids are assigned in order and never reused.
    #[must_use]
    pub fn next_scope_tag(&self, tenant: TenantIndex) -> ScopeTagId {
        let tenant = self.tenants.get(&tenant);
        ScopeTagId(tenant.map_or(1, |tenant| tenant.next_scope_tag.max(1)))
    }

    fn of(&self, tenant: TenantIndex) -> impl Iterator<Item = (&Key, &Versioned)> {
        self.tenants
            .get(&tenant)
            .into_iter()
            .flat_map(|tenant| &tenant.objects)
            .map(|(key, found)| (key, &**found))
    }

    /// The state of a tenant; `None` if it does not exist.
    pub(crate) fn tenant(&self, tenant: TenantIndex) -> Option<&Tenant> {
        self.tenants.get(&tenant).map(|tenant| &**tenant)
    }

    /// Applies an entry. Never fails for an entry that [`ControlPlane::decide`] created from this state.
    ///
    /// # Errors
    /// The entry was created from another state. Nothing has changed.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Contradiction> {
        let chain = self.chain.with(entry.revision, &entry.encode());
        self.apply_with(entry, chain)
    }

    /// [`ControlPlane::apply`] if the chain after the entry is known.
    pub(crate) fn apply_with(&mut self, entry: &Entry, chain: Chain) -> Result<(), Contradiction> {
        let fault = |what| Contradiction {
            revision: entry.revision,
            what,
        };
        if entry.revision <= self.revision {
            return Err(fault("its revision is not above the last one"));
        }
        match (&entry.effect, entry.key) {
            (Effect::Created { after }, Key::Tenant) => self.create(entry, after).map_err(fault)?,
            (Effect::Deleted { .. }, Key::Tenant) => {
                let object = self.object(entry.tenant, Key::Tenant);
                if object.as_ref().map(|(object, _)| object) != entry.before() {
                    return Err(fault("the tenant differs from the one that it deletes"));
                }
                self.tenants.remove(&entry.tenant);
                self.secrets.forget_tenant(entry.tenant);
            }
            _ => {
                let tenant = self.tenants.get_mut(&entry.tenant);
                let tenant = tenant.ok_or_else(|| fault("its tenant does not exist"))?;
                let tenant = Arc::make_mut(tenant);
                self.secrets.check(entry).map_err(fault)?;
                tenant.apply(entry).map_err(fault)?;
                self.secrets.note(entry);
                match entry.effect {
                    Effect::Device(_) => tenant.device_actions += 1,
                    Effect::Access(AccessRecord { ref access, .. }) => match access {
                        Access::Exported(_) => tenant.exports += 1,
                        _ => tenant.accesses += 1,
                    },
                    _ => tenant.entries += 1,
                }
            }
        }
        self.revision = entry.revision;
        self.chain = chain;
        Ok(())
    }
}

impl ControlPlane {
    /// Creates the tenant of an entry.
    fn create(&mut self, entry: &Entry, after: &Object) -> Result<(), &'static str> {
        let Object::Tenant(object) = after else {
            return Err("the object is of another type");
        };
        if entry.tenant != self.next_tenant() {
            return Err("its tenant is not the next one");
        }
        if self.tenant_named(object.name.as_str()).is_some() {
            return Err("another tenant has this name");
        }
        let mut tenant = Tenant::default();
        tenant.apply(entry)?;
        self.tenants.insert(entry.tenant, Arc::new(tenant));
        self.created += 1;
        Ok(())
    }
}

impl Tenant {
    /// An object; `None` also for one that is built in and unchanged.
    pub(crate) fn get(&self, key: Key) -> Option<&Versioned> {
        self.objects.get(&key).map(|found| &**found)
    }

    /// Number of objects of the same type as `like`.
    pub(crate) fn count(&self, like: Key) -> usize {
        self.objects
            .values()
            .filter(|found| found.object.is_of(like))
            .count()
    }

    /// Whether a device is a member of a group.
    pub(crate) fn has_member(&self, group: ObjectId, member: &DeviceId) -> bool {
        self.members
            .get(&group)
            .is_some_and(|members| members.contains(member))
    }

    /// Applies the entry completely, or returns the reason and changes nothing.
    fn apply(&mut self, entry: &Entry) -> Result<(), &'static str> {
        let key = entry.key;
        let current = self.objects.get(&key).map(|found| &found.object);
        let builtin = built_in(key);
        if current.or(builtin.as_ref()) != entry.before() && !entry.keeps_object() {
            return Err("the object differs from the one that it changes");
        }
        if entry.after().is_some_and(|after| !after.is_of(key)) {
            return Err("the object is of another type");
        }
        match &entry.effect {
            Effect::Created { after } | Effect::Updated { after, .. } => {
                let object = after.clone();
                let revision = entry.revision;
                if let Key::Group(group) = key {
                    self.targets.entry(group).or_insert(TargetId(revision.0));
                }
                if let Key::ScopeTag(id) = key {
                    self.next_scope_tag = self.next_scope_tag.max(id.0.saturating_add(1));
                }
                self.tagged.note(key, entry.before(), entry.after());
                let found = Versioned { object, revision };
                self.objects.insert(key, Arc::new(found));
            }
            Effect::Deleted { before } => {
                self.tagged.note(key, Some(before), None);
                self.delete(key);
            }
            Effect::PrincipalAdded(token) => self.add_principal(entry, *token)?,
            Effect::PrincipalRemoved(token) => self.remove_principal(entry, *token)?,
            Effect::MembersAdded(members) => self.add_members(entry, members)?,
            Effect::MembersRemoved(members) => self.remove_members(entry, members)?,
            Effect::Device(_) if matches!(key, Key::Device(_)) => (),
            Effect::Device(_) => return Err("it is not about a device"),
            Effect::Access(_) if key == Key::Tenant => (),
            Effect::Access(_) => return Err("an access is not about an object"),
        }
        Ok(())
    }

    fn delete(&mut self, key: Key) {
        self.objects.remove(&key);
        if let Key::Group(id) = key {
            self.targets.remove(&id);
            let members = self.members.remove(&id).unwrap_or_default();
            self.members_count -= members.len();
            self.principals.forget_group(id);
        }
        if let Key::Token(id) = key {
            self.principals.forget(id);
        }
    }

    /// Gives the group of an entry the revision of a change of its members.
    fn revise_group(&mut self, entry: &Entry) -> Result<ObjectId, &'static str> {
        let Key::Group(group) = entry.key else {
            return Err("only groups have members");
        };
        let found = self
            .objects
            .get_mut(&entry.key)
            .ok_or("the group does not exist")?;
        Arc::make_mut(found).revision = entry.revision;
        Ok(group)
    }
}

impl Entry {
    /// Whether it changes no properties.
    const fn keeps_object(&self) -> bool {
        matches!(
            self.effect,
            Effect::MembersAdded(_)
                | Effect::MembersRemoved(_)
                | Effect::PrincipalAdded(_)
                | Effect::PrincipalRemoved(_)
                | Effect::Device(_)
                | Effect::Access(_)
        )
    }
}
