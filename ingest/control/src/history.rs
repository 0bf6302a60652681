//! The revisions of all changes, by tenant and by object, so that a page of them reads only its own entries.
//!
//! Owned by the caller, which keeps it beside the log. About 100 bytes for each object that ever existed and 8 bytes for
//! each change; bounded by `limits`, because each object has at least one change.

use std::collections::BTreeMap;

use muster_engine::{Revision, TenantIndex};

use crate::entry::{Effect, Entry};
use crate::object::Key;

/// Whose changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Creations, changes and deletions of tenants.
    Tenants,
    /// All changes of a tenant.
    Tenant(TenantIndex),
    /// The changes of an object of a tenant, or what was done to a device.
    Object(TenantIndex, Key),
}

/// The revisions of all changes.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Ascending, also of tenants that were deleted.
    of_tenants: Vec<Revision>,
    /// Ascending.
    tenants: BTreeMap<TenantIndex, Vec<Revision>>,
    /// Ascending, also of objects that were deleted.
    objects: BTreeMap<(TenantIndex, Key), Vec<Revision>>,
}

/// A part of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub revisions: Vec<Revision>,
    /// Whether older ones exist.
    pub has_more: bool,
}

impl History {
    /// Adds the next entry of the log.
    pub fn push(&mut self, entry: &Entry) {
        let Entry {
            tenant,
            key,
            revision,
            ..
        } = *entry;
        if key == Key::Tenant && !matches!(entry.effect, Effect::Access(_)) {
            self.of_tenants.push(revision);
        }
        self.tenants.entry(tenant).or_default().push(revision);
        let of_object = self.objects.entry((tenant, key)).or_default();
        of_object.push(revision);
    }

    /// The newest changes, at most `limit`; only those before a revision if one is given.
    #[must_use]
    pub fn page(&self, scope: Scope, before: Option<Revision>, limit: usize) -> Page {
        let all = match scope {
            Scope::Tenants => Some(&self.of_tenants),
            Scope::Tenant(tenant) => self.tenants.get(&tenant),
            Scope::Object(tenant, key) => self.objects.get(&(tenant, key)),
        };
        let all = all.map_or(&[][..], Vec::as_slice);
        let end = before.map_or(all.len(), |before| {
            all.partition_point(|revision| *revision < before)
        });
        let first = end.saturating_sub(limit);
        Page {
            revisions: all[first..end].iter().rev().copied().collect(),
            has_more: first > 0,
        }
    }

    /// Whether an object has been changed, also if it was deleted since.
    #[must_use]
    pub fn has(&self, tenant: TenantIndex, key: Key) -> bool {
        self.objects.contains_key(&(tenant, key))
    }
}
