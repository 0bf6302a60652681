//! The types of documents, as JSON Schemas: what operators send, and what the API shows.
//!
//! A schema has what can be decided by looking at one document. Whether what it refers to exists, and what of an existing
//! object it may change, is decided with the state. Pure.

use serde_json::{Value as Json, json};

use super::actions::{FOR_RULE, FOR_RULES, ScheduledActions};
use super::assignments::{ASSIGNMENTS, Assignments};
use super::requirements::Requirements;
use super::user::COMPUTED_OF_USER;
use super::writing::{COMPUTED, COMPUTED_OF_FILTER};
use super::{
    COMPUTED_OF_DEVICE, Connector, DeviceProperties, FilterProperties, GroupIds, GroupProperties,
    PolicyProperties, RoleAssignmentProperties, RoleDefinition, ScopeTagProperties, Subclass,
    TenantSettings, User,
};
use crate::document::{
    ID_PATTERN, Properties, REFERENCE, TYPE, document_schema, full_type, url_schema,
};
use crate::limits::{MEMBERS_PER_COMMAND_MAX, TAGS_OF_OBJECT_MAX};
use crate::value::Value;

/// The form of the ids of devices, none of which is zero.
const DEVICE_PATTERN: &str = "(?!0{8}-0{4}-0{4}-0{4}-0{12})\
     [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";

/// The type of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentType {
    /// The settings of the tenant.
    Settings,
    /// A connector to a partner.
    Connector,
    /// A compliance policy for a platform.
    Policy(Subclass),
    /// A group.
    Group,
    /// What operators set on a device.
    Device,
    /// A user.
    User,
    /// An assignment filter.
    Filter,
    /// A scope tag.
    ScopeTag,
    /// A role definition.
    RoleDefinition,
    /// A role assignment.
    RoleAssignment,
}

impl DocumentType {
    /// The name of the type in Graph.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "deviceManagementSettings",
            Self::Connector => "mobileThreatDefenseConnector",
            Self::Policy(subclass) => subclass.name(),
            Self::Group => "group",
            Self::Device => "managedDevice",
            Self::User => "user",
            Self::Filter => "deviceAndAppManagementAssignmentFilter",
            Self::ScopeTag => "roleScopeTag",
            Self::RoleDefinition => "deviceAndAppManagementRoleDefinition",
            Self::RoleAssignment => "deviceAndAppManagementRoleAssignment",
        }
    }

    /// The JSON Schema of each property that operators set and the API shows, by its name.
    #[must_use]
    pub fn properties(self) -> Properties {
        match self {
            Self::Settings => TenantSettings::json_schemas(),
            Self::Connector => Connector::json_schemas(),
            Self::Policy(subclass) => {
                let mut properties = PolicyProperties::json_schemas();
                properties.extend(Requirements::json_schemas(subclass));
                properties
            }
            Self::Group => GroupProperties::json_schemas(),
            Self::Device => DeviceProperties::json_schemas(),
            Self::User => User::json_schemas(),
            Self::Filter => FilterProperties::json_schemas(),
            Self::ScopeTag => ScopeTagProperties::json_schemas(),
            Self::RoleDefinition => RoleDefinition::json_schemas(),
            Self::RoleAssignment => RoleAssignmentProperties::json_schemas(),
        }
    }

    /// What a document must have that creates an object.
    #[must_use]
    pub const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Settings | Self::Connector | Self::Device => &[],
            Self::Policy(_) => &[TYPE, "displayName", FOR_RULE],
            Self::Group => &[
                "displayName",
                "mailEnabled",
                "mailNickname",
                "securityEnabled",
            ],
            Self::User => &["displayName", "userPrincipalName"],
            Self::Filter => &["displayName", "platform", "rule"],
            Self::ScopeTag | Self::RoleDefinition => &["displayName"],
            Self::RoleAssignment => &["displayName", "members", "roleDefinition@odata.bind"],
        }
    }

    /// The JSON Schema of a document that creates an object.
    #[must_use]
    pub fn created(self) -> Json {
        let mut properties = self.accepted();
        if let Self::Policy(_) = self {
            properties.insert(FOR_RULE.to_owned(), ScheduledActions::json_schema());
            properties.insert(ASSIGNMENTS.to_owned(), Assignments::json_schema());
        }
        let mut schema = document_schema(properties, self.required());
        if self == Self::Group {
            schema["anyOf"] = rule_or_none();
        }
        schema
    }

    /// The JSON Schema of a document that changes some properties of an object.
    #[must_use]
    pub fn changed(self) -> Json {
        let mut properties = self.accepted();
        if let Self::Policy(_) = self {
            // As they were read: they have actions of their own.
            for name in [FOR_RULE, ASSIGNMENTS] {
                properties.insert(name.to_owned(), json!({}));
            }
        }
        let schema = document_schema(properties, &[]);
        if self != Self::Group {
            return schema;
        }
        let reference = url_schema(DEVICE_PATTERN, "device");
        let mut members = Properties::new();
        members.extend(COMPUTED.iter().map(|name| ((*name).to_owned(), json!({}))));
        members.insert(
            "members@odata.bind".to_owned(),
            json!({ "type": "array", "items": reference, "minItems": 1, "maxItems": MEMBERS_PER_COMMAND_MAX }),
        );
        let members = document_schema(members, &["members@odata.bind"]);
        json!({ "anyOf": [schema, members] })
    }

    /// What a document may have: properties, what is ignored, and further names of the same.
    fn accepted(self) -> Properties {
        let mut accepted = Properties::new();
        let full = full_type(self.name());
        let mut names = vec![full.clone()];
        match self {
            Self::RoleDefinition => names.push(full_type("roleDefinition")),
            Self::RoleAssignment => names.push(full_type("roleAssignment")),
            _ => (),
        }
        let bare: Vec<_> = names.iter().map(|name| name[1..].to_owned()).collect();
        names.extend(bare);
        accepted.insert(TYPE.to_owned(), json!({ "type": "string", "enum": names }));
        let computed = match self {
            Self::Filter => COMPUTED_OF_FILTER,
            Self::Device => COMPUTED_OF_DEVICE,
            Self::User => COMPUTED_OF_USER,
            _ => COMPUTED,
        };
        // Ignored, so anything.
        accepted.extend(computed.iter().map(|name| ((*name).to_owned(), json!({}))));
        let properties = self.properties();
        match self {
            Self::RoleDefinition => {
                accepted.insert(
                    "permissions".to_owned(),
                    properties["rolePermissions"].clone(),
                );
            }
            Self::RoleAssignment => {
                accepted.insert("scopeMembers".to_owned(), GroupIds::json_schema());
                let url = url_schema(ID_PATTERN, "role definition");
                accepted.insert("roleDefinition@odata.bind".to_owned(), url);
                let url = url_schema("(0|[1-9][0-9]{0,9})", "scope tag");
                let urls = json!({ "type": "array", "items": url, "maxItems": TAGS_OF_OBJECT_MAX });
                accepted.insert("roleScopeTags@odata.bind".to_owned(), urls);
            }
            _ => (),
        }
        accepted.extend(properties);
        accepted
    }

    /// The JSON Schema of a document that refers to a device.
    #[must_use]
    pub fn reference() -> Json {
        let properties = [(REFERENCE.to_owned(), url_schema(DEVICE_PATTERN, "device"))];
        document_schema(properties.into_iter().collect(), &[REFERENCE])
    }

    /// The JSON Schema of a document that replaces the assignments of a policy.
    #[must_use]
    pub fn assignments() -> Json {
        let properties = [(ASSIGNMENTS.to_owned(), Assignments::json_schema())];
        document_schema(properties.into_iter().collect(), &[ASSIGNMENTS])
    }

    /// The JSON Schema of a document that replaces the scheduled actions of a policy.
    #[must_use]
    pub fn scheduled_actions() -> Json {
        let properties = [(FOR_RULES.to_owned(), ScheduledActions::json_schema())];
        document_schema(properties.into_iter().collect(), &[FOR_RULES])
    }
}

/// A group that is dynamic has a rule, any other has none.
fn rule_or_none() -> Json {
    let dynamic = json!({
        "properties": { "groupTypes": { "minItems": 1 }, "membershipRule": { "type": "string", "minLength": 1 } },
        "required": ["groupTypes", "membershipRule"],
    });
    let assigned = json!({ "properties": {
        "groupTypes": { "maxItems": 0 },
        "membershipRule": { "enum": [null, ""] },
        "membershipRuleProcessingState": { "enum": [null, ""] },
    } });
    json!([assigned, dynamic])
}
