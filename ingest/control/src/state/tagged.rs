//! The groups to which scope tags are assigned, so that the tags of a device are found without all objects.
//!
//! Derived from the objects; changed by entries only. Bounded by the assignments of all scope tags of a tenant.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::ObjectId;
use crate::object::{Key, Object, ScopeTagId};

/// The scope tags of groups that have any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TaggedGroups(BTreeMap<ObjectId, BTreeSet<ScopeTagId>>);

impl TaggedGroups {
    /// Notes a change of an object, which may be a scope tag.
    pub(super) fn note(&mut self, key: Key, before: Option<&Object>, after: Option<&Object>) {
        let Key::ScopeTag(id) = key else {
            return;
        };
        if let Some(Object::ScopeTag(before)) = before {
            for group in before.groups() {
                if let Some(tags) = self.0.get_mut(&group) {
                    tags.remove(&id);
                }
            }
            self.0.retain(|_, tags| !tags.is_empty());
        }
        if let Some(Object::ScopeTag(after)) = after {
            for group in after.groups() {
                self.0.entry(group).or_default().insert(id);
            }
        }
    }

    /// The groups, with their tags.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ObjectId, &BTreeSet<ScopeTagId>)> {
        self.0.iter().map(|(group, tags)| (*group, tags))
    }

    /// The tags of a group.
    pub(super) fn of(&self, group: ObjectId) -> impl Iterator<Item = ScopeTagId> {
        self.0.get(&group).into_iter().flatten().copied()
    }
}
