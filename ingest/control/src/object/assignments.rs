//! The devices that a policy is assigned to (`deviceCompliancePolicyAssignment` in Graph).
//!
//! All devices, groups, and groups that are excluded; no filters. A group is named at most once. Whether the groups
//! exist is checked when a command is decided; one that is deleted later has no members.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{TYPE, full_type};
use crate::id::ObjectId;
use crate::limits::ASSIGNMENTS_MAX;
use crate::value::Value;

const ALL_DEVICES_TARGET: &str = "allDevicesAssignmentTarget";
const GROUP_TARGET: &str = "groupAssignmentTarget";
const EXCLUSION_TARGET: &str = "exclusionGroupAssignmentTarget";
const GROUP_ID: &str = "groupId";

/// The devices that a policy is assigned to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments {
    /// Every device of the tenant.
    pub all_devices: bool,
    /// The members of these groups.
    pub included: BTreeSet<ObjectId>,
    /// The members of these groups are excluded, which wins (R12).
    pub excluded: BTreeSet<ObjectId>,
}

/// One assignment.
enum Target {
    AllDevices,
    Included(ObjectId),
    Excluded(ObjectId),
}

impl Assignments {
    /// Every device of the tenant.
    #[must_use]
    pub fn all() -> Self {
        Self {
            all_devices: true,
            ..Self::default()
        }
    }

    /// Every group that is named.
    pub fn groups(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.included.union(&self.excluded).copied()
    }

    /// Adds an assignment; `false` if its target has one.
    fn add(&mut self, target: Target) -> bool {
        match target {
            Target::AllDevices => !std::mem::replace(&mut self.all_devices, true),
            Target::Included(group) => {
                !self.excluded.contains(&group) && self.included.insert(group)
            }
            Target::Excluded(group) => {
                !self.included.contains(&group) && self.excluded.insert(group)
            }
        }
    }
}

impl Value for Assignments {
    fn allowed() -> String {
        format!(
            "at most {ASSIGNMENTS_MAX} assignments without a filter, each to another target: \
             {{\"target\": {{\"@odata.type\": \"{}\"}}}}, or \"{}\" or \"{}\" with a groupId",
            full_type(ALL_DEVICES_TARGET),
            full_type(GROUP_TARGET),
            full_type(EXCLUSION_TARGET),
        )
    }

    fn read(json: &Json) -> Option<Self> {
        let list = json.as_array()?;
        let mut assignments = Self::default();
        let mut all_differ = list.len() <= ASSIGNMENTS_MAX;
        for assignment in list {
            all_differ &= assignments.add(read_assignment(assignment)?);
        }
        all_differ.then_some(assignments)
    }

    fn show(&self) -> Json {
        let all = self
            .all_devices
            .then(|| json!({ TYPE: full_type(ALL_DEVICES_TARGET) }));
        let group =
            |name: &str, id: &ObjectId| json!({ TYPE: full_type(name), GROUP_ID: id.to_string() });
        let included = self.included.iter().map(|id| group(GROUP_TARGET, id));
        let excluded = self.excluded.iter().map(|id| group(EXCLUSION_TARGET, id));
        let targets = all.into_iter().chain(included).chain(excluded);
        targets.map(|target| json!({ "target": target })).collect()
    }
}

/// Reads one assignment. The server computes its id, and Graph adds annotations.
fn read_assignment(json: &Json) -> Option<Target> {
    let object = json.as_object()?;
    let known = |name: &String| name == "target" || name == "id" || name.contains('@');
    object.keys().all(known).then_some(())?;
    let target = object.get("target")?.as_object()?;
    let has_no_filter = |name: &str, value: &Json| match name {
        TYPE | GROUP_ID => true,
        "deviceAndAppManagementAssignmentFilterId" => value.is_null(),
        "deviceAndAppManagementAssignmentFilterType" => value.as_str() == Some("none"),
        _ => false,
    };
    let is_known = target
        .iter()
        .all(|(name, value)| has_no_filter(name, value));
    is_known.then_some(())?;
    let name = target.get(TYPE)?.as_str()?;
    let is = |expected: &str| {
        let full = full_type(expected);
        name == full || name == &full[1..]
    };
    match target.get(GROUP_ID) {
        None if is(ALL_DEVICES_TARGET) => Some(Target::AllDevices),
        Some(group) if is(GROUP_TARGET) => Some(Target::Included(group.as_str()?.parse().ok()?)),
        Some(group) if is(EXCLUSION_TARGET) => {
            Some(Target::Excluded(group.as_str()?.parse().ok()?))
        }
        _ => None,
    }
}

impl Stored for Assignments {
    fn put(&self, into: &mut Vec<u8>) {
        self.all_devices.put(into);
        for groups in [&self.included, &self.excluded] {
            (groups.len() as u32).put(into);
            groups.iter().for_each(|group| group.put(into));
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            all_devices: Stored::take(from)?,
            included: take_groups(from)?,
            excluded: take_groups(from)?,
        })
    }
}

/// Reads groups in ascending order, the only one in which they are stored.
fn take_groups(from: &mut Reader<'_>) -> Result<BTreeSet<ObjectId>, EntryError> {
    let mut groups = BTreeSet::new();
    for _ in 0..u32::take(from)? {
        let group = ObjectId::take(from)?;
        if groups.last().is_some_and(|last| *last >= group) {
            return Err(EntryError::Invalid("order of groups"));
        }
        groups.insert(group);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "0f2c0000-0000-4000-8000-000000000001";

    #[test]
    fn each_target_is_assigned_once_and_without_a_filter() {
        let all = || json!({ TYPE: "#microsoft.graph.allDevicesAssignmentTarget" });
        let group = |name: &str| json!({ TYPE: full_type(name), GROUP_ID: GROUP });
        let list = |targets: &[Json]| -> Json {
            let targets = targets.iter();
            targets.map(|target| json!({ "target": target })).collect()
        };
        let included = Assignments {
            included: BTreeSet::from([GROUP.parse().unwrap()]),
            ..Assignments::default()
        };
        let all_but = Assignments {
            all_devices: true,
            excluded: BTreeSet::from([GROUP.parse().unwrap()]),
            ..Assignments::default()
        };
        let mut filtered = all();
        filtered["deviceAndAppManagementAssignmentFilterId"] = json!("x");
        for (json, expected) in [
            (json!([]), Some(Assignments::default())),
            (list(&[all()]), Some(Assignments::all())),
            (
                list(&[json!({ TYPE: "microsoft.graph.allDevicesAssignmentTarget" })]),
                Some(Assignments::all()),
            ),
            (list(&[group(GROUP_TARGET)]), Some(included)),
            (list(&[group(EXCLUSION_TARGET), all()]), Some(all_but)),
            (
                json!([{ "id": "x", "target@odata.context": 1, "target": {
                    TYPE: full_type(ALL_DEVICES_TARGET),
                    "deviceAndAppManagementAssignmentFilterId": null,
                    "deviceAndAppManagementAssignmentFilterType": "none",
                }}]),
                Some(Assignments::all()),
            ),
            (list(&[all(), all()]), None),
            (list(&[group(GROUP_TARGET), group(GROUP_TARGET)]), None),
            (list(&[group(GROUP_TARGET), group(EXCLUSION_TARGET)]), None),
            (list(&[filtered]), None),
            (list(&[group(ALL_DEVICES_TARGET)]), None),
            (list(&[json!({ TYPE: full_type(GROUP_TARGET) })]), None),
            (
                list(&[json!({ TYPE: full_type(GROUP_TARGET), GROUP_ID: "x" })]),
                None,
            ),
            (Json::Null, None),
            (json!({}), None),
            (json!([{}]), None),
            (json!([{ "target": {} }]), None),
            (json!([{ "target": all(), "intent": 1 }]), None),
        ] {
            assert_eq!(Assignments::read(&json), expected, "{json}");
            if let Some(assignments) = expected {
                assert_eq!(
                    Assignments::read(&assignments.show()),
                    Some(assignments.clone())
                );
                let mut bytes = Vec::new();
                assignments.put(&mut bytes);
                assert_eq!(Assignments::take(&mut Reader::new(&bytes)), Ok(assignments));
            }
        }
        let many = (0..=ASSIGNMENTS_MAX as u128).map(|n| ObjectId::from_bytes(n.to_be_bytes()));
        let many = Assignments {
            included: many.collect(),
            ..Assignments::default()
        };
        assert_eq!(Assignments::read(&many.show()), None, "too many");
    }
}
