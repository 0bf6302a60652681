//! The principals that are members of groups: they have the roles that are assigned to the members of the group.
//!
//! Kept apart from the devices of a group, because clients choose the ids of devices: no device may be taken for a
//! principal. Derived from the objects; changed by entries only. Bounded by `PRINCIPAL_MEMBERS_MAX`.

use std::collections::BTreeSet;

use crate::id::ObjectId;

/// Pairs of a group and a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Principals(BTreeSet<(ObjectId, ObjectId)>);

impl Principals {
    /// Whether a token is a member of a group.
    pub(super) fn has(&self, group: ObjectId, token: ObjectId) -> bool {
        self.0.contains(&(group, token))
    }

    /// The tokens in a group, in ascending order.
    pub(super) fn of(&self, group: ObjectId) -> impl Iterator<Item = ObjectId> {
        let first = (group, ObjectId::from_bytes([0; 16]));
        let last = (group, ObjectId::from_bytes([0xff; 16]));
        self.0.range(first..=last).map(|(_, token)| *token)
    }

    /// Number of pairs.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn add(&mut self, group: ObjectId, token: ObjectId) {
        self.0.insert((group, token));
    }

    pub(super) fn remove(&mut self, group: ObjectId, token: ObjectId) {
        self.0.remove(&(group, token));
    }

    /// Forgets a group that is deleted.
    pub(super) fn forget_group(&mut self, group: ObjectId) {
        self.0.retain(|(of, _)| *of != group);
    }

    /// Forgets a token that is revoked.
    pub(super) fn forget(&mut self, token: ObjectId) {
        self.0.retain(|(_, of)| *of != token);
    }
}
