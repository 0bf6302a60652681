//! A role definition (`deviceAndAppManagementRoleDefinition`): the actions that operators with the role may do.
//!
//! The built-in ones follow from [`BuiltInRole`]. Those of operators may name every action that Intune publishes; that an
//! action exists in Muster is not required, so that exported roles can be imported. None can make tokens.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::scope_tag::ScopeTags;
use crate::bytes::{EntryError, Reader, Stored, put_text};
use crate::document::{Document, Properties, properties};
use crate::fault::FaultKind;
use crate::limits::{ACTION_NAME_MAX, ROLE_ACTIONS_MAX};
use crate::role::{Action, BuiltInRole};
use crate::value::{Description, DisplayName, Value};

/// What the names of the actions of Intune begin with.
const PREFIXES: [&str; 3] = [
    "Microsoft.Intune_",
    "Microsoft.Intune/",
    "Microsoft.CloudAttach_",
];

const DISPLAY_NAME: &str = "displayName";
const ROLE_PERMISSIONS: &str = "rolePermissions";

/// The older name of the same property.
const PERMISSIONS: &str = "permissions";

const RESOURCE_ACTIONS: &str = "resourceActions";
const ALLOWED: &str = "allowedResourceActions";
const NOT_ALLOWED: &str = "notAllowedResourceActions";

/// The older name of the allowed actions, beside which they are repeated.
const ACTIONS: &str = "actions";

/// The name of an action, as Intune publishes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActionName(Box<str>);

impl ActionName {
    /// The name; `None` if it is not that of an action of Intune, or if no role can have it.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let rest = PREFIXES
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_/.-".contains(&byte);
        let is_name =
            !rest.is_empty() && name.len() <= ACTION_NAME_MAX && rest.bytes().all(is_allowed);
        let name = Self(name.into());
        (is_name && !name.is(Action::ManageTokens)).then_some(name)
    }

    /// Whether it is that of an action of Muster.
    fn is(&self, action: Action) -> bool {
        let rest = self.0.strip_prefix(PREFIXES[0]);
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(action.name()))
    }
}

/// The actions of a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RolePermissions {
    /// Those that it allows.
    allowed: BTreeSet<ActionName>,
    /// Those that it does not allow, although it names them.
    denied: BTreeSet<ActionName>,
}

impl RolePermissions {
    /// Whether the role allows an action.
    #[must_use]
    pub fn allows(&self, action: Action) -> bool {
        let names = |names: &BTreeSet<ActionName>| names.iter().any(|name| name.is(action));
        names(&self.allowed) && !names(&self.denied)
    }

    /// Reads one of the permissions in Graph, whose actions are those of the role together.
    fn add(&mut self, json: &Json) -> Result<(), String> {
        let list = |json: Option<&Json>| match json {
            None | Some(Json::Null) => Ok(Vec::new()),
            Some(json) => json.as_array().cloned().ok_or_else(Self::allowed),
        };
        let permission = json.as_object().ok_or_else(Self::allowed)?;
        let mut allowed = list(permission.get(ACTIONS))?;
        for actions in list(permission.get(RESOURCE_ACTIONS))? {
            let actions = actions.as_object().ok_or_else(Self::allowed)?;
            allowed.extend(list(actions.get(ALLOWED))?);
            read_names(&list(actions.get(NOT_ALLOWED))?, &mut self.denied)?;
        }
        read_names(&allowed, &mut self.allowed)
    }

    fn parse(json: &Json) -> Result<Self, String> {
        let mut permissions = Self::default();
        for permission in json.as_array().ok_or_else(Self::allowed)? {
            permissions.add(permission)?;
        }
        match permissions.len() {
            ..=ROLE_ACTIONS_MAX => Ok(permissions),
            _ => Err(format!("at most {ROLE_ACTIONS_MAX} actions")),
        }
    }

    fn len(&self) -> usize {
        self.allowed.len() + self.denied.len()
    }
}

fn read_names(list: &[Json], into: &mut BTreeSet<ActionName>) -> Result<(), String> {
    for name in list {
        let text = name.as_str().unwrap_or_default();
        let name = ActionName::new(text).ok_or_else(|| {
            let shown: String = text.chars().take(ACTION_NAME_MAX).collect();
            format!("names of actions of Intune that roles can have, without {shown:?}")
        })?;
        into.insert(name);
    }
    Ok(())
}

impl Value for RolePermissions {
    fn allowed() -> String {
        format!(
            "a list of {{\"{RESOURCE_ACTIONS}\": [{{\"{ALLOWED}\": [names], \"{NOT_ALLOWED}\": [names]}}]}}"
        )
    }

    fn read(json: &Json) -> Option<Self> {
        Self::parse(json).ok()
    }

    fn fault(json: &Json) -> String {
        Self::parse(json).err().unwrap_or_else(Self::allowed)
    }

    fn show(&self) -> Json {
        let names =
            |names: &BTreeSet<ActionName>| -> Json { names.iter().map(|name| &*name.0).collect() };
        json!([{ RESOURCE_ACTIONS: [{ ALLOWED: names(&self.allowed), NOT_ALLOWED: names(&self.denied) }] }])
    }

    fn json_schema() -> Json {
        let pattern = "^Microsoft\\.(Intune_|Intune/|CloudAttach_)[A-Za-z0-9_/.-]+$";
        let name = json!({ "type": "string", "pattern": pattern, "maxLength": ACTION_NAME_MAX });
        let names =
            json!({ "type": ["array", "null"], "items": name, "maxItems": ROLE_ACTIONS_MAX });
        let actions =
            json!({ "type": "object", "properties": { ALLOWED: names, NOT_ALLOWED: names } });
        let lists = json!({
            RESOURCE_ACTIONS: { "type": ["array", "null"], "items": actions },
            ACTIONS: names,
        });
        json!({ "type": "array", "items": { "type": "object", "properties": lists } })
    }
}

impl Stored for RolePermissions {
    fn put(&self, into: &mut Vec<u8>) {
        for names in [&self.allowed, &self.denied] {
            let count = u16::try_from(names.len()).expect("at most ROLE_ACTIONS_MAX");
            count.put(into);
            names.iter().for_each(|name| put_text(&name.0, into));
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let allowed = take_names(from)?;
        let denied = take_names(from)?;
        let permissions = Self { allowed, denied };
        match permissions.len() {
            ..=ROLE_ACTIONS_MAX => Ok(permissions),
            _ => Err(EntryError::Invalid("number of actions")),
        }
    }
}

/// Reads names in ascending order, the only one in which they are stored.
fn take_names(from: &mut Reader<'_>) -> Result<BTreeSet<ActionName>, EntryError> {
    let mut names = BTreeSet::new();
    for _ in 0..u16::take(from)? {
        let name = ActionName::new(from.text()?).ok_or(EntryError::Invalid("name of an action"))?;
        if names.last().is_some_and(|last| *last >= name) {
            return Err(EntryError::Invalid("order of actions"));
        }
        names.insert(name);
    }
    Ok(names)
}

properties! {
    /// A role definition.
    RoleDefinition {
        /// Its name.
        display_name: DisplayName = "displayName", DisplayName::new("unnamed").expect("its length is allowed");
        /// Its description.
        description: Description = "description", Description::default();
        /// What it allows.
        permissions: RolePermissions = "rolePermissions", RolePermissions::default();
        /// The scope tags.
        scope_tags: ScopeTags = "roleScopeTagIds", ScopeTags::default();
    }
}

impl RoleDefinition {
    /// The definition of a built-in role.
    pub(crate) fn built_in(role: BuiltInRole) -> Self {
        let actions = Action::ALL.iter().filter(|action| role.allows(**action));
        // The name of the one action that no other role can have is an exception here.
        let names =
            actions.map(|action| ActionName(format!("{}{}", PREFIXES[0], action.name()).into()));
        Self {
            display_name: DisplayName::new(role.name()).expect("its length is allowed"),
            permissions: RolePermissions {
                allowed: names.collect(),
                denied: BTreeSet::new(),
            },
            ..Self::default()
        }
    }

    /// The definition with the properties of a document, or a new one.
    pub(super) fn written(base: Option<&Self>, keeps: bool, document: &mut Document<'_>) -> Self {
        let mut written = match base {
            Some(base) if keeps => Self::read(base, document),
            _ => {
                document.require::<DisplayName>(DISPLAY_NAME);
                Self::read(&Self::default(), document)
            }
        };
        // Exported roles have both.
        if let Some(json) = document
            .raw(PERMISSIONS)
            .filter(|_| document.value(ROLE_PERMISSIONS).is_none())
        {
            match RolePermissions::parse(json) {
                Ok(permissions) => written.permissions = permissions,
                Err(allowed) => document.fault(FaultKind::Invalid, PERMISSIONS, allowed),
            }
        }
        written
    }

    pub(super) fn show_with(&self, is_built_in: bool, into: &mut Properties) {
        self.show(into);
        into.insert("isBuiltIn".to_owned(), is_built_in.into());
        into.insert("isBuiltInRoleDefinition".to_owned(), is_built_in.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_those_that_intune_publishes() {
        for name in [
            "Microsoft.Intune_MobileThreatDefense_Read",
            "Microsoft.CloudAttach_Collections",
            "Microsoft.Intune/MobileApps/Read",
            "Microsoft.Intune_NotInMuster_Yet",
        ] {
            assert!(ActionName::new(name).is_some(), "{name}");
        }
        let long = format!("Microsoft.Intune_{}", "x".repeat(ACTION_NAME_MAX));
        for name in [
            "",
            "Microsoft.Intune_",
            "Microsoft.Azure_Read",
            "Microsoft.Intune_a b",
            &long,
            "microsoft.intune_tokens_manage",
            "Microsoft.Intune_tokens_MANAGE",
        ] {
            assert_eq!(ActionName::new(name), None, "{name}");
        }
    }

    #[test]
    fn a_role_allows_what_it_names_unless_it_denies_it() {
        let read = "Microsoft.Intune_MobileThreatDefense_Read";
        let modify = "Microsoft.Intune_MobileThreatDefense_Modify";
        let json = json!([
            { "resourceActions": [{ "allowedResourceActions": [read], "notAllowedResourceActions": [] }] },
            { "actions": [modify], "resourceActions": [{ "notAllowedResourceActions": [modify] }] },
        ]);
        let permissions = RolePermissions::read(&json).unwrap();
        assert!(permissions.allows(Action::ReadConnectors));
        assert!(!permissions.allows(Action::ModifyConnectors));
        assert!(!permissions.allows(Action::ReadDevices));
        assert_eq!(
            RolePermissions::read(&permissions.show()),
            Some(permissions.clone())
        );
        let mut bytes = Vec::new();
        permissions.put(&mut bytes);
        assert_eq!(
            RolePermissions::take(&mut Reader::new(&bytes)),
            Ok(permissions)
        );
        for json in [
            json!(null),
            json!([1]),
            json!([{ "actions": 1 }]),
            json!([{ "actions": ["x"] }]),
            json!([{ "resourceActions": [null] }]),
        ] {
            assert_eq!(RolePermissions::read(&json), None, "{json}");
        }
        assert!(RolePermissions::fault(&json!([{ "actions": ["x"] }])).ends_with("without \"x\""));
        let many: Vec<_> = (0..=ROLE_ACTIONS_MAX)
            .map(|number| format!("Microsoft.Intune_{number}"))
            .collect();
        assert_eq!(
            RolePermissions::read(&json!([{ "actions": many }])),
            None,
            "too many"
        );
    }

    #[test]
    fn the_definition_of_a_built_in_role_allows_what_the_role_allows() {
        for role in BuiltInRole::ALL.iter().copied() {
            let definition = RoleDefinition::built_in(role);
            for action in Action::ALL.iter().copied() {
                assert_eq!(
                    definition.permissions.allows(action),
                    role.allows(action),
                    "{role:?} {action:?}"
                );
            }
        }
    }
}
