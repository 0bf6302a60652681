//! The objects of a tenant, and how a document makes or changes one.
//!
//! An object is what operators have set, with what follows from its history (its version and times). Its id is in its
//! key. Names of properties are those of Graph; properties that only Muster has are marked \[OWN\].

mod actions;
mod assignments;
mod connector;
mod device;
mod document_type;
mod filter;
mod group;
mod key;
mod policy;
mod requirements;
mod role_assignment;
mod role_definition;
mod scope_tag;
mod settings;
mod subclass;
mod tenant;
mod token;
mod user;
mod writing;

pub use self::actions::{ActionType, Copies, ScheduledAction, ScheduledActions, Template};
pub(crate) use self::assignments::ASSIGNMENTS;
pub use self::assignments::{Assignments, CollectionId, FilterMode, Filtered, Target};
pub use self::connector::Connector;
pub(crate) use self::device::COMPUTED_OF_DEVICE;
pub use self::device::{DeviceProperties, OwnerType};
pub use self::document_type::DocumentType;
pub use self::filter::{
    AssignmentFilter, FilterManagementType, FilterOperator, FilterPlatform, FilterProperties,
    FilterProperty, FilterRule, FilterText, RuleError, RuleProblem,
};
pub use self::group::{
    Group, GroupProperties, GroupTypes, MailEnabled, MailNickname, MembershipRule, ProcessingState,
    SecurityEnabled,
};
pub use self::key::Key;
pub use self::policy::{CompliancePolicy, PolicyProperties};
pub use self::requirements::Requirements;
pub use self::role_assignment::{GroupIds, RoleAssignment, RoleAssignmentProperties, ScopeType};
pub use self::role_definition::{ActionName, RoleDefinition, RolePermissions};
pub use self::scope_tag::{ScopeTag, ScopeTagId, ScopeTagIdError, ScopeTagProperties, ScopeTags};
pub use self::settings::TenantSettings;
pub use self::subclass::Subclass;
pub use self::tenant::TenantObject;
pub use self::token::{SecretHash, Token};
pub use self::user::{PrincipalName, User};
pub(crate) use self::writing::{COMPUTED, Part};
use crate::bytes::Stored;
use crate::document::{Properties, TYPE, full_type};
use crate::id::ALL_DEVICES;
use crate::role::BuiltInRole;

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The settings of the tenant.
    Settings(TenantSettings),
    /// A connector to a partner.
    Connector(Connector),
    /// A compliance policy.
    Policy(CompliancePolicy),
    /// A group, without its members.
    Group(Group),
    /// What operators set on a device.
    Device(DeviceProperties),
    /// The tenant itself.
    Tenant(TenantObject),
    /// An API token.
    Token(Token),
    /// An assignment filter.
    Filter(AssignmentFilter),
    /// A scope tag.
    ScopeTag(ScopeTag),
    /// A role definition.
    RoleDefinition(RoleDefinition),
    /// A role assignment.
    RoleAssignment(RoleAssignment),
    /// A user.
    User(User),
}

impl Object {
    /// Whether the object is of the type of this key.
    #[must_use]
    pub const fn is_of(&self, key: Key) -> bool {
        matches!(
            (self, key),
            (Self::Settings(_), Key::Settings)
                | (Self::Connector(_), Key::Connector(_))
                | (Self::Policy(_), Key::Policy(_))
                | (Self::Group(_), Key::Group(_))
                | (Self::Device(_), Key::Device(_))
                | (Self::Tenant(_), Key::Tenant)
                | (Self::Token(_), Key::Token(_))
                | (Self::Filter(_), Key::Filter(_))
                | (Self::ScopeTag(_), Key::ScopeTag(_))
                | (Self::RoleDefinition(_), Key::RoleDefinition(_))
                | (Self::RoleAssignment(_), Key::RoleAssignment(_))
                | (Self::User(_), Key::User(_))
        )
    }

    /// Whether operators have set the same values in both.
    pub(crate) fn has_same_properties(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Policy(one), Self::Policy(other)) => one.is_set_as(other),
            (Self::Group(one), Self::Group(other)) => one.properties == other.properties,
            (Self::Filter(one), Self::Filter(other)) => one.properties == other.properties,
            (one, other) => one == other,
        }
    }

    /// The scope tags of the object, or those of the objects that a role assignment makes visible.
    pub fn scope_tags(&self) -> impl Iterator<Item = ScopeTagId> + '_ {
        let tags = match self {
            Self::Policy(policy) => Some(&policy.properties.scope_tags),
            Self::Filter(filter) => Some(&filter.properties.scope_tags),
            Self::RoleDefinition(role) => Some(&role.scope_tags),
            Self::RoleAssignment(assignment) => Some(&assignment.scope_tags),
            _ => None,
        };
        tags.into_iter().flat_map(ScopeTags::iter)
    }

    /// The name of the action that makes `after` of the object; `None` for a change by a document.
    pub(crate) fn action_to(&self, after: &Self) -> Option<&'static str> {
        match (self, after) {
            (Self::Policy(before), Self::Policy(after)) => before.action_to(after),
            (Self::ScopeTag(before), Self::ScopeTag(after)) => {
                (before.assignments != after.assignments).then_some("assign")
            }
            _ => None,
        }
    }

    /// The object as a Graph document, without its times, which the API formats.
    #[must_use]
    pub fn document(&self, key: Key) -> Properties {
        let type_name = match self {
            Self::Policy(policy) => policy.subclass.name(),
            _ => key.type_name(),
        };
        let mut document = Properties::new();
        document.insert(TYPE.to_owned(), full_type(type_name).into());
        if let Some(id) = key.id_text() {
            document.insert("id".to_owned(), id.into());
        }
        match self {
            Self::Settings(settings) => settings.show(&mut document),
            Self::Connector(connector) => connector.show(&mut document),
            Self::Policy(policy) => policy.show(&mut document),
            Self::Group(group) => group.show(&mut document),
            Self::Device(device) => device.show(&mut document),
            Self::Tenant(tenant) => tenant.show(&mut document),
            Self::Token(token) => token.show(&mut document),
            Self::Filter(filter) => filter.show(&mut document),
            Self::ScopeTag(tag) => tag.show_with(key.is_built_in(), &mut document),
            Self::RoleDefinition(role) => role.show_with(key.is_built_in(), &mut document),
            Self::RoleAssignment(assignment) => assignment.show(&mut document),
            Self::User(user) => user.show_whole(&mut document),
        }
        document
    }

    /// The document with what Graph shows only if a request expands it, for the audit.
    pub(crate) fn whole_document(&self, key: Key) -> Properties {
        let mut document = self.document(key);
        match (self, key.id()) {
            (Self::Policy(policy), Some(id)) => policy.show_separate(id, &mut document),
            (Self::RoleAssignment(assignment), _) => assignment.show_separate(&mut document),
            (Self::ScopeTag(tag), _) => {
                tag.show_separate(&key.id_text().unwrap_or_default(), &mut document)
            }
            _ => (),
        }
        document
    }

    /// Appends the bytes that [`Key::take_object`] reads.
    pub(crate) fn put(&self, into: &mut Vec<u8>) {
        match self {
            Self::Settings(settings) => settings.put(into),
            Self::Connector(connector) => connector.put(into),
            Self::Policy(policy) => policy.put(into),
            Self::Group(group) => group.put(into),
            Self::Device(device) => device.put(into),
            Self::Tenant(tenant) => tenant.put(into),
            Self::Token(token) => token.put(into),
            Self::Filter(filter) => filter.put(into),
            Self::ScopeTag(tag) => tag.put(into),
            Self::RoleDefinition(role) => role.put(into),
            Self::RoleAssignment(assignment) => assignment.put(into),
            Self::User(user) => user.put(into),
        }
    }
}

impl Key {
    /// Whether the object is built in: it always exists, and is not deleted. Only the settings can be changed.
    #[must_use]
    pub fn is_built_in(self) -> bool {
        built_in(self).is_some()
    }
}

/// The object with this key that every tenant has from the start.
pub(crate) fn built_in(key: Key) -> Option<Object> {
    match key {
        Key::Settings => Some(Object::Settings(TenantSettings::default())),
        Key::Device(_) => Some(Object::Device(DeviceProperties::default())),
        Key::Group(ALL_DEVICES) => Some(Object::Group(Group::all_devices())),
        Key::ScopeTag(ScopeTagId::DEFAULT) => Some(Object::ScopeTag(ScopeTag::built_in())),
        Key::RoleDefinition(id) => {
            let role = BuiltInRole::with_id(id)?;
            Some(Object::RoleDefinition(RoleDefinition::built_in(role)))
        }
        _ => None,
    }
}
