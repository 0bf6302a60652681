//! What a principal may do: grants, each of which allows actions on the objects of some scope tags and on the devices of
//! some groups. Denied by default.
//!
//! Pure values. `authorization.rs` derives them from the objects of a tenant and decides with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_engine::TargetId;

use crate::id::ObjectId;
use crate::object::ScopeTagId;
use crate::role::Action;

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read it.
    Read,
    /// Create it.
    Create,
    /// Change it.
    Update,
    /// Delete it.
    Delete,
    /// Assign it to groups.
    Assign,
}

/// A set without bounds, or one with these elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach<T> {
    /// Everything.
    All,
    /// These.
    Only(BTreeSet<T>),
}

impl<T: Ord + Copy> Reach<T> {
    /// Whether it has an element.
    #[must_use]
    pub fn has(&self, element: T) -> bool {
        match self {
            Self::All => true,
            Self::Only(known) => known.contains(&element),
        }
    }

    /// Whether it has all of these elements.
    pub fn has_all(&self, elements: impl IntoIterator<Item = T>) -> bool {
        elements.into_iter().all(|element| self.has(element))
    }

    /// Whether it has one of these elements.
    pub fn has_any(&self, elements: impl IntoIterator<Item = T>) -> bool {
        elements.into_iter().any(|element| self.has(element))
    }

    /// What is in both.
    #[must_use]
    pub fn meet(self, other: &Self) -> Self {
        match (self, other) {
            (Self::All, other) => other.clone(),
            (own, Self::All) => own,
            (Self::Only(own), Self::Only(other)) => Self::Only(&own & other),
        }
    }

    /// Whether it is without bounds.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    fn join(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Only(mut own), Self::Only(other)) => {
                own.extend(other);
                Self::Only(own)
            }
            _ => Self::All,
        }
    }

    pub(crate) const fn none() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// The scope tags of the objects and devices that a grant covers.
pub type TagReach = Reach<ScopeTagId>;

/// The groups on whose devices a grant allows to act.
pub type GroupReach = Reach<ObjectId>;

/// The devices that a principal sees if its roles have not all scope tags, by the targets of the devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Groups with a scope tag of the principal.
    pub seen: BTreeSet<TargetId>,
    /// Groups with any scope tag; the devices of other groups have the default one.
    pub tagged: BTreeSet<TargetId>,
    /// Whether the principal has the default one.
    pub has_default: bool,
}

impl Sight {
    /// Whether a device with these targets is seen.
    #[must_use]
    pub fn has(&self, targets: &[TargetId]) -> bool {
        let has = |groups: &BTreeSet<_>| targets.iter().any(|target| groups.contains(target));
        has(&self.seen) || self.has_default && !has(&self.tagged)
    }
}

/// What a role allows, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// A bit for each action.
    pub(crate) actions: u64,
    pub(crate) tags: TagReach,
    pub(crate) groups: GroupReach,
}

// Of `Grant::actions`.
const _: () = assert!(Action::ALL.len() <= 64);

pub(crate) fn bit(action: Action) -> u64 {
    1 << action as u32
}

impl Grant {
    /// One for the whole tenant.
    pub(crate) const fn unlimited(actions: u64) -> Self {
        Self {
            actions,
            tags: Reach::All,
            groups: Reach::All,
        }
    }

    pub(crate) fn allows(&self, action: Action) -> bool {
        self.actions & bit(action) != 0
    }

    const fn is_unlimited(&self) -> bool {
        self.tags.is_all() && self.groups.is_all()
    }
}

/// What a principal may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// `None` for a program on the machine of the server, which may do everything.
    grants: Option<Arc<[Grant]>>,
}

impl Rights {
    /// That of a program on the machine of the server: everything.
    #[must_use]
    pub const fn local() -> Self {
        Self { grants: None }
    }

    pub(crate) fn of_grants(grants: impl IntoIterator<Item = Grant>) -> Self {
        Self {
            grants: Some(grants.into_iter().collect()),
        }
    }

    /// The grants that allow an action; `None` if everything is allowed.
    pub(crate) fn allowing(&self, action: Action) -> Option<impl Iterator<Item = &Grant>> {
        let grants = self.grants.as_ref()?;
        Some(grants.iter().filter(move |grant| grant.allows(action)))
    }

    /// Whether some grant allows an action.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        let mut allowing = self.allowing(action);
        allowing
            .as_mut()
            .is_none_or(|grants| grants.next().is_some())
    }

    /// Whether a grant for the whole tenant allows an action.
    #[must_use]
    pub fn may_everywhere(&self, action: Action) -> bool {
        let mut allowing = self.allowing(action);
        allowing
            .as_mut()
            .is_none_or(|grants| grants.any(Grant::is_unlimited))
    }

    /// The scope tags for which an action is allowed.
    #[must_use]
    pub fn tags(&self, action: Action) -> TagReach {
        let Some(grants) = self.allowing(action) else {
            return Reach::All;
        };
        grants.fold(Reach::none(), |tags, grant| tags.join(&grant.tags))
    }

    /// The groups on whose devices an action is allowed.
    #[must_use]
    pub fn groups(&self, action: Action) -> GroupReach {
        let Some(grants) = self.allowing(action) else {
            return Reach::All;
        };
        grants.fold(Reach::none(), |groups, grant| groups.join(&grant.groups))
    }
}
