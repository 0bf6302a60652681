//! A role assignment (`deviceAndAppManagementRoleAssignment`): the members of groups have a role, for the devices of
//! other groups, and see the objects with its scope tags.
//!
//! That what it refers to exists is checked when a command is decided. Who may do what is not decided here.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::scope_tag::{ScopeTagId, ScopeTags};
use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Properties, properties, url_tail};
use crate::fault::FaultKind;
use crate::id::ObjectId;
use crate::limits::{ROLE_GROUPS_MAX, TAGS_OF_OBJECT_MAX};
use crate::value::{Description, DisplayName, Value, choice_values, choices};

const DISPLAY_NAME: &str = "displayName";
const MEMBERS: &str = "members";
const RESOURCE_SCOPES: &str = "resourceScopes";

/// The older name of the same property.
const SCOPE_MEMBERS: &str = "scopeMembers";

const DEFINITION: &str = "roleDefinition@odata.bind";
const TAGS: &str = "roleScopeTags@odata.bind";

/// Groups, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupIds(BTreeSet<ObjectId>);

impl GroupIds {
    /// The groups.
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.0.iter().copied()
    }
}

impl Value for GroupIds {
    fn allowed() -> String {
        format!("a list of at most {ROLE_GROUPS_MAX} ids of groups")
    }

    fn read(json: &Json) -> Option<Self> {
        let ids = json.as_array()?.iter().map(|id| id.as_str()?.parse().ok());
        let ids: BTreeSet<_> = ids.collect::<Option<_>>()?;
        (ids.len() <= ROLE_GROUPS_MAX).then_some(Self(ids))
    }

    fn show(&self) -> Json {
        self.iter().map(|id| id.to_string()).collect()
    }

    fn json_schema() -> Json {
        json!({ "type": "array", "items": ObjectId::json_schema(), "maxItems": ROLE_GROUPS_MAX })
    }
}

impl Stored for GroupIds {
    fn put(&self, into: &mut Vec<u8>) {
        let count = u8::try_from(self.0.len()).expect("at most ROLE_GROUPS_MAX");
        count.put(into);
        self.0.iter().for_each(|id| id.put(into));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let mut ids = BTreeSet::new();
        let count = usize::from(u8::take(from)?);
        for _ in 0..count {
            let id = ObjectId::take(from)?;
            if ids.last().is_some_and(|last| *last >= id) {
                return Err(EntryError::Invalid("order of groups"));
            }
            ids.insert(id);
        }
        match count {
            ..=ROLE_GROUPS_MAX => Ok(Self(ids)),
            _ => Err(EntryError::Invalid("number of groups")),
        }
    }
}

choices! {
    /// `roleAssignmentScopeType`.
    ScopeType {
        /// The groups that the assignment names.
        ResourceScope = 0 "resourceScope",
        /// All devices.
        AllDevices = 1 "allDevices",
        /// All users.
        AllLicensedUsers = 2 "allLicensedUsers",
        /// Both.
        AllDevicesAndLicensedUsers = 3 "allDevicesAndLicensedUsers",
    }
}

choice_values!(ScopeType);

properties! {
    /// What operators set on a role assignment.
    RoleAssignmentProperties {
        /// Its name.
        display_name: DisplayName = "displayName", DisplayName::new("unnamed").expect("its length is allowed");
        /// Its description.
        description: Description = "description", Description::default();
        /// The groups whose members have the role.
        members: GroupIds = "members", GroupIds::default();
        /// What limits the devices and users that they act on.
        scope_type: ScopeType = "scopeType", ScopeType::ResourceScope;
        /// The groups of these devices and users.
        resource_scopes: GroupIds = "resourceScopes", GroupIds::default();
    }
}

/// A role assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleAssignment {
    /// What operators set on it.
    pub properties: RoleAssignmentProperties,
    /// The role definition.
    pub definition: ObjectId,
    /// The scope tags of the objects that the members see. Graph shows them only if a request expands them.
    pub scope_tags: ScopeTags,
}

impl RoleAssignment {
    /// The assignment with the properties of a document, or a new one; `None` without its definition, which is noted.
    pub(super) fn written(
        base: Option<&Self>,
        keeps: bool,
        document: &mut Document<'_>,
    ) -> Option<Self> {
        let kept = base.filter(|_| keeps);
        let mut properties = match kept {
            Some(base) => RoleAssignmentProperties::read(&base.properties, document),
            None => {
                document.require::<DisplayName>(DISPLAY_NAME);
                document.require::<GroupIds>(MEMBERS);
                RoleAssignmentProperties::read(&RoleAssignmentProperties::default(), document)
            }
        };
        // Exported assignments have both.
        if let Some(older) = document.read::<GroupIds>(SCOPE_MEMBERS)
            && document.value(RESOURCE_SCOPES).is_none()
        {
            properties.resource_scopes = older;
        }
        let definition = match document.raw(DEFINITION) {
            None if kept.is_none() => {
                document.fault(
                    FaultKind::Missing,
                    DEFINITION,
                    "a URL that ends in the id of a role definition",
                );
                None
            }
            None => None,
            Some(json) => {
                let id = url_tail(json).and_then(|tail| tail.parse().ok());
                if id.is_none() {
                    document.fault(
                        FaultKind::Invalid,
                        DEFINITION,
                        "a URL that ends in the id of a role definition",
                    );
                }
                id
            }
        };
        let scope_tags = document.raw(TAGS).map(|json| {
            let tags = read_tags(json);
            if tags.is_none() {
                let allowed = format!(
                    "a list of at most {TAGS_OF_OBJECT_MAX} URLs that end in the id of a scope tag"
                );
                document.fault(FaultKind::Invalid, TAGS, allowed);
            }
            tags.unwrap_or_default()
        });
        Some(Self {
            properties,
            definition: definition.or_else(|| Some(kept?.definition))?,
            scope_tags: scope_tags
                .unwrap_or_else(|| kept.map(|base| base.scope_tags.clone()).unwrap_or_default()),
        })
    }

    pub(super) fn show(&self, into: &mut Properties) {
        self.properties.show(into);
    }

    /// Adds what [`RoleAssignment::show`] does not.
    pub(super) fn show_separate(&self, into: &mut Properties) {
        into.insert("roleDefinition".to_owned(), self.definition.show());
        into.insert("roleScopeTags".to_owned(), self.scope_tags.show());
    }
}

fn read_tags(json: &Json) -> Option<ScopeTags> {
    let tags = json
        .as_array()?
        .iter()
        .map(|url| url_tail(url)?.parse().ok());
    let tags: BTreeSet<ScopeTagId> = tags.collect::<Option<_>>()?;
    if tags.is_empty() {
        Some(ScopeTags::default())
    } else {
        ScopeTags::new(tags)
    }
}

impl Stored for RoleAssignment {
    fn put(&self, into: &mut Vec<u8>) {
        self.properties.put(into);
        self.definition.put(into);
        self.scope_tags.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            properties: Stored::take(from)?,
            definition: Stored::take(from)?,
            scope_tags: Stored::take(from)?,
        })
    }
}
