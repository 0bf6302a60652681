//! The devices that a policy is assigned to (`deviceCompliancePolicyAssignment` in Graph).
//!
//! A target is assigned at most once, a group either included or excluded. Whether groups and filters exist is checked
//! when a command is decided; a group that is deleted later has no members. Assignments to all users, to collections
//! and with a filter are not evaluated yet: only a lenient command stores them, and they reach no device.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value as Json, json};

use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Properties, TYPE, bare_type, document_schema, full_type};
use crate::fault::FaultKind;
use crate::id::{ALL_DEVICES, ALL_USERS, NO_OBJECT, ObjectId};
use crate::limits::{ASSIGNMENTS_MAX, COLLECTION_ID_MAX};
use crate::value::{Text, Value, choice_values, choices};

/// The property with the assignments.
pub(crate) const ASSIGNMENTS: &str = "assignments";

const ALL_DEVICES_TARGET: &str = "allDevicesAssignmentTarget";
const ALL_USERS_TARGET: &str = "allLicensedUsersAssignmentTarget";
const GROUP_TARGET: &str = "groupAssignmentTarget";
const EXCLUSION_TARGET: &str = "exclusionGroupAssignmentTarget";
const COLLECTION_TARGET: &str = "configurationManagerCollectionAssignmentTarget";
const TARGETS: &[&str] = &[
    ALL_DEVICES_TARGET,
    ALL_USERS_TARGET,
    GROUP_TARGET,
    EXCLUSION_TARGET,
    COLLECTION_TARGET,
];
const TARGET: &str = "target";
const GROUP_ID: &str = "groupId";
const COLLECTION_ID: &str = "collectionId";
const FILTER_ID: &str = "deviceAndAppManagementAssignmentFilterId";
const FILTER_TYPE: &str = "deviceAndAppManagementAssignmentFilterType";

/// What Graph computes for an assignment.
const COMPUTED: &[&str] = &["id", "source", "sourceId"];

/// The id of a collection of Configuration Manager.
pub type CollectionId = Text<1, COLLECTION_ID_MAX>;

/// To whom a policy is assigned.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Every device of the tenant.
    AllDevices,
    /// Every user of the tenant. Not evaluated.
    AllUsers,
    /// The members of a group.
    Included(ObjectId),
    /// The members of a group are excluded, which wins (R12).
    Excluded(ObjectId),
    /// The devices of a collection of Configuration Manager. Not evaluated.
    Collection(CollectionId),
}

choices! {
    /// `deviceAndAppManagementAssignmentFilterType`.
    FilterMode {
        /// No filter.
        None = 0 "none",
        /// Only devices that match.
        Include = 1 "include",
        /// Only devices that do not match.
        Exclude = 2 "exclude",
    }
}

choice_values!(FilterMode);

/// The filter of an assignment. Not evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// The filter.
    pub filter: ObjectId,
    /// Which devices it leaves: never [`FilterMode::None`].
    pub mode: FilterMode,
}

/// The devices that a policy is assigned to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments(BTreeMap<Target, Option<Filtered>>);

impl Assignments {
    /// Each target, with its filter.
    pub fn list(&self) -> impl Iterator<Item = (&Target, Option<Filtered>)> {
        self.0.iter().map(|(target, filtered)| (target, *filtered))
    }

    /// Whether the policy is assigned to every device of the tenant.
    #[must_use]
    pub fn all_devices(&self) -> bool {
        self.0.get(&Target::AllDevices) == Some(&None)
    }

    /// The groups whose members get the policy.
    pub fn included(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.list().filter_map(|assignment| match assignment {
            (Target::Included(group), None) => Some(*group),
            _ => None,
        })
    }

    /// The groups whose members do not get the policy.
    pub fn excluded(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.list().filter_map(|assignment| match assignment {
            (Target::Excluded(group), None) => Some(*group),
            _ => None,
        })
    }

    /// Every group that is named.
    pub fn groups(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.0.keys().filter_map(Target::group)
    }

    /// Every filter that is named.
    pub fn filters(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.0.values().flatten().map(|filtered| filtered.filter)
    }

    /// The kinds of assignments that are not evaluated.
    pub(super) fn not_evaluated(&self) -> impl Iterator<Item = String> {
        let kinds = [ALL_USERS_TARGET, COLLECTION_TARGET, FILTER_ID];
        let has = |kind: &&str| {
            self.list()
                .any(|(target, filtered)| unevaluated(target, filtered) == Some(*kind))
        };
        let found: Vec<_> = kinds.into_iter().filter(has).collect();
        found
            .into_iter()
            .map(|kind| format!("{ASSIGNMENTS}/{kind}"))
    }

    /// The assignments of a document, each of which must be evaluated or one of `base`; `None` without the property.
    pub(super) fn read(base: &Self, document: &mut Document<'_>) -> Option<Self> {
        let json = document.raw(ASSIGNMENTS)?;
        let list = json.as_array().filter(|list| list.len() <= ASSIGNMENTS_MAX);
        let Some(list) = list else {
            let allowed = format!("a list of at most {ASSIGNMENTS_MAX} assignments");
            document.fault(FaultKind::Invalid, ASSIGNMENTS, allowed);
            return None;
        };
        let mut assignments = Self::default();
        for (index, json) in list.iter().enumerate() {
            let at = format!("{ASSIGNMENTS}[{index}]");
            let Some((target, filtered)) = document.nested(&at, json, COMPUTED, read_assignment)
            else {
                continue;
            };
            let unevaluated = unevaluated(&target, filtered);
            if let Some(kind) = unevaluated.filter(|_| base.0.get(&target) != Some(&filtered)) {
                let instead = format!("an assignment without {kind}");
                document.not_evaluated(&format!("{at}.{TARGET}"), &instead);
            }
            let group = target.group();
            let is_taken =
                group.is_some() && assignments.groups().any(|other| Some(other) == group);
            if is_taken || assignments.0.insert(target, filtered).is_some() {
                document.fault(
                    FaultKind::Invalid,
                    &format!("{at}.{TARGET}"),
                    "each target once",
                );
            }
        }
        Some(assignments)
    }

    /// The JSON Schema of the list.
    pub(super) fn json_schema() -> Json {
        let target = |name: &str, own: Option<(&str, Json)>| {
            let mut properties = Properties::new();
            let full = full_type(name);
            properties.insert(TYPE.to_owned(), json!({ "enum": [full, &full[1..]] }));
            let filter = json!({ "anyOf": [ObjectId::json_schema(), { "enum": ["", null] }] });
            properties.insert(FILTER_ID.to_owned(), filter);
            let modes = FilterMode::ALL.iter().map(|mode| Json::from(mode.name()));
            let modes: Vec<_> = modes.chain([Json::Null]).collect();
            properties.insert(FILTER_TYPE.to_owned(), json!({ "enum": modes }));
            let mut required = vec![TYPE];
            if let Some((name, schema)) = own {
                properties.insert(name.to_owned(), schema);
                required.push(name);
            }
            document_schema(properties, &required)
        };
        let group = || Some((GROUP_ID, ObjectId::json_schema()));
        let targets = json!({ "oneOf": [
            target(ALL_DEVICES_TARGET, None),
            target(ALL_USERS_TARGET, None),
            target(GROUP_TARGET, group()),
            target(EXCLUSION_TARGET, group()),
            target(COLLECTION_TARGET, Some((COLLECTION_ID, CollectionId::json_schema()))),
        ] });
        let ignored = COMPUTED.iter().map(|name| ((*name).to_owned(), json!({})));
        let mut assignment: Properties = ignored.collect();
        assignment.insert(TARGET.to_owned(), targets);
        json!({ "type": "array", "items": document_schema(assignment, &[TARGET]), "maxItems": ASSIGNMENTS_MAX })
    }

    /// The assignments, as Graph shows them for an object with this id.
    pub(super) fn show(&self, of: impl fmt::Display) -> Json {
        let rows = self.list().map(|(target, filtered)| {
            let (name, id, member) = match target {
                Target::AllDevices => (ALL_DEVICES_TARGET, ALL_DEVICES.to_string(), None),
                Target::AllUsers => (ALL_USERS_TARGET, ALL_USERS.to_string(), None),
                Target::Included(group) => (GROUP_TARGET, group.to_string(), Some(GROUP_ID)),
                Target::Excluded(group) => (EXCLUSION_TARGET, group.to_string(), Some(GROUP_ID)),
                Target::Collection(id) => (
                    COLLECTION_TARGET,
                    id.as_str().to_owned(),
                    Some(COLLECTION_ID),
                ),
            };
            let mut shown = json!({
                TYPE: full_type(name),
                FILTER_ID: filtered.map(|filtered| filtered.filter.to_string()),
                FILTER_TYPE: filtered.map_or(FilterMode::None, |filtered| filtered.mode).name(),
            });
            if let Some(member) = member {
                shown[member] = id.as_str().into();
            }
            json!({ "id": format!("{of}_{id}"), TARGET: shown })
        });
        rows.collect()
    }
}

impl Target {
    /// The group that it is about.
    #[must_use]
    pub const fn group(&self) -> Option<ObjectId> {
        match self {
            Self::Included(group) | Self::Excluded(group) => Some(*group),
            _ => None,
        }
    }
}

/// What makes an assignment one that is not evaluated.
const fn unevaluated(target: &Target, filtered: Option<Filtered>) -> Option<&'static str> {
    match (target, filtered) {
        (Target::AllUsers, _) => Some(ALL_USERS_TARGET),
        (Target::Collection(_), _) => Some(COLLECTION_TARGET),
        (_, Some(_)) => Some(FILTER_ID),
        (_, None) => None,
    }
}

fn read_assignment(assignment: &mut Document<'_>) -> Option<(Target, Option<Filtered>)> {
    let json = assignment.raw(TARGET).unwrap_or(&Json::Null);
    assignment.nested(TARGET, json, &[], |target| {
        let found = read_target(target);
        let filtered = read_filter(target);
        let (found, filtered) = (found?, filtered?);
        if filtered.is_some() && matches!(found, Target::Excluded(_) | Target::Collection(_)) {
            target.fault(
                FaultKind::Invalid,
                FILTER_ID,
                "null for a group that is excluded, and for a collection",
            );
            return None;
        }
        Some((found, filtered))
    })
}

fn read_target(target: &mut Document<'_>) -> Option<Target> {
    let name = target.raw(TYPE).map(bare_type).unwrap_or_default();
    match name {
        ALL_DEVICES_TARGET => Some(Target::AllDevices),
        ALL_USERS_TARGET => Some(Target::AllUsers),
        GROUP_TARGET => required(target, GROUP_ID).map(Target::Included),
        EXCLUSION_TARGET => required(target, GROUP_ID).map(Target::Excluded),
        COLLECTION_TARGET => required(target, COLLECTION_ID).map(Target::Collection),
        _ => {
            let names: Vec<_> = TARGETS.iter().map(|name| full_type(name)).collect();
            target.fault(FaultKind::Invalid, TYPE, names.join(", "));
            None
        }
    }
}

fn required<V: Value>(target: &mut Document<'_>, name: &'static str) -> Option<V> {
    target.require::<V>(name);
    target.read(name)
}

/// The filter, or that there is none; `None` if it is not valid.
fn read_filter(target: &mut Document<'_>) -> Option<Option<Filtered>> {
    let id = match target
        .raw(FILTER_ID)
        .filter(|json| !json.is_null() && *json != "")
    {
        None => NO_OBJECT,
        Some(_) => target.read::<ObjectId>(FILTER_ID)?,
    };
    let mode = match target.raw(FILTER_TYPE).filter(|json| !json.is_null()) {
        None => FilterMode::None,
        Some(_) => target.read::<FilterMode>(FILTER_TYPE)?,
    };
    match (id, mode) {
        (NO_OBJECT, FilterMode::None) => Some(None),
        (filter, mode) if filter != NO_OBJECT && mode != FilterMode::None => {
            Some(Some(Filtered { filter, mode }))
        }
        _ => {
            target.fault(
                FaultKind::Invalid,
                FILTER_TYPE,
                "include or exclude with a filter, none without",
            );
            None
        }
    }
}

impl Target {
    const fn code(&self) -> u8 {
        match self {
            Self::AllDevices => 0,
            Self::AllUsers => 1,
            Self::Included(_) => 2,
            Self::Excluded(_) => 3,
            Self::Collection(_) => 4,
        }
    }
}

impl Stored for Target {
    fn put(&self, into: &mut Vec<u8>) {
        self.code().put(into);
        match self {
            Self::AllDevices | Self::AllUsers => (),
            Self::Included(group) | Self::Excluded(group) => group.put(into),
            Self::Collection(id) => id.put(into),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(match u8::take(from)? {
            0 => Self::AllDevices,
            1 => Self::AllUsers,
            2 => Self::Included(Stored::take(from)?),
            3 => Self::Excluded(Stored::take(from)?),
            4 => Self::Collection(Stored::take(from)?),
            _ => return Err(EntryError::Invalid("target")),
        })
    }
}

/// In ascending order of the targets, the only one in which they are stored.
impl Stored for Assignments {
    fn put(&self, into: &mut Vec<u8>) {
        let count = u8::try_from(self.0.len()).expect("at most ASSIGNMENTS_MAX");
        count.put(into);
        for (target, filtered) in &self.0 {
            target.put(into);
            filtered
                .map_or(FilterMode::None, |filtered| filtered.mode)
                .put(into);
            if let Some(filtered) = filtered {
                filtered.filter.put(into);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let mut assignments = BTreeMap::new();
        for _ in 0..u8::take(from)? {
            let target = Target::take(from)?;
            let filtered = match FilterMode::take(from)? {
                FilterMode::None => None,
                mode => Some(Filtered {
                    filter: Stored::take(from)?,
                    mode,
                }),
            };
            if assignments
                .last_key_value()
                .is_some_and(|(last, _)| *last >= target)
            {
                return Err(EntryError::Invalid("order of assignments"));
            }
            assignments.insert(target, filtered);
        }
        match assignments.len() {
            ..=ASSIGNMENTS_MAX => Ok(Self(assignments)),
            _ => Err(EntryError::Invalid("number of assignments")),
        }
    }
}

#[cfg(test)]
mod tests;
