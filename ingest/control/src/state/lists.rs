//! The objects of a tenant by type, with those that are built in.
//!
//! Derived from the objects when asked; it changes nothing.

use muster_engine::TenantIndex;

use super::ControlPlane;
use crate::id::{ETag, ObjectId};
use crate::object::{
    AssignmentFilter, CompliancePolicy, Connector, Group, Key, Object, RoleAssignment,
    RoleDefinition, ScopeTag, ScopeTagId, SecretHash, Token, User,
};
use crate::role::BuiltInRole;

/// Lists objects of one type that operators have created, by id.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $kind:ident, $id:ty => $object:ty;)+) => {
        impl ControlPlane {
            $($(#[$doc])*
            pub fn $name(&self, tenant: TenantIndex) -> impl Iterator<Item = ($id, &$object, ETag)> {
                self.of(tenant).filter_map(|(key, found)| match (key, &found.object) {
                    (Key::$kind(id), Object::$kind(object)) => Some((*id, object, found.etag())),
                    _ => None,
                })
            })+
        }
    };
}

lists! {
    /// The connectors of a tenant, by id.
    connectors: Connector, ObjectId => Connector;
    /// The compliance policies of a tenant, by id.
    policies: Policy, ObjectId => CompliancePolicy;
    /// The groups of a tenant, by id, without the built-in ones.
    groups: Group, ObjectId => Group;
    /// The tokens of a tenant, by id.
    tokens: Token, ObjectId => Token;
    /// The users of a tenant whom operators have made, by id.
    users: User, ObjectId => User;
    /// The assignment filters of a tenant, by id.
    filters: Filter, ObjectId => AssignmentFilter;
    /// The scope tags of a tenant, by id, without the built-in one.
    scope_tags: ScopeTag, ScopeTagId => ScopeTag;
    /// The role definitions of a tenant, by id, without the built-in ones.
    role_definitions: RoleDefinition, ObjectId => RoleDefinition;
    /// The role assignments of a tenant, by id.
    role_assignments: RoleAssignment, ObjectId => RoleAssignment;
}

impl ControlPlane {
    /// The keys of all scope tags of a tenant, the built-in one first.
    pub fn scope_tag_keys(&self, tenant: TenantIndex) -> impl Iterator<Item = Key> {
        let made = self.scope_tags(tenant).map(|(id, ..)| id);
        std::iter::once(ScopeTagId::DEFAULT)
            .chain(made)
            .map(Key::ScopeTag)
    }

    /// The keys of all role definitions of a tenant, the built-in ones first.
    pub fn role_definition_keys(&self, tenant: TenantIndex) -> impl Iterator<Item = Key> {
        let built_in = BuiltInRole::ALL.iter().map(|role| role.id());
        let made = self.role_definitions(tenant).map(|(id, ..)| id);
        built_in.chain(made).map(Key::RoleDefinition)
    }

    /// The role definition with this id or name. A name of several is that of the built-in one, or else of the one with
    /// the lowest id: no one can take the name of a built-in role.
    #[must_use]
    pub fn role_named(&self, tenant: TenantIndex, text: &str) -> Option<ObjectId> {
        let of = |key| self.object(tenant, key);
        let id = text.parse().ok().map(Key::RoleDefinition);
        let with_id = id.filter(|key| of(*key).is_some());
        let has_name = |key: &Key| {
            matches!(of(*key), Some((Object::RoleDefinition(role), _))
                if role.display_name.as_str().eq_ignore_ascii_case(text))
        };
        let found = with_id.or_else(|| self.role_definition_keys(tenant).find(has_name));
        found.and_then(Key::id)
    }

    /// The token with this secret, of any tenant, whether it is still valid or not.
    #[must_use]
    pub fn token_with(&self, hash: &SecretHash) -> Option<(TenantIndex, ObjectId, &Token)> {
        let (tenant, id) = self.secrets.find(hash)?;
        match &self.tenants.get(&tenant)?.get(Key::Token(id))?.object {
            Object::Token(token) => Some((tenant, id, token)),
            _ => None,
        }
    }

    /// Whatever refers to an object that cannot be deleted while something does; `None` for other objects.
    #[must_use]
    pub fn user_of(&self, tenant: TenantIndex, key: Key) -> Option<Key> {
        match key {
            Key::Filter(filter) => {
                let mut policies = self.policies(tenant);
                let user = policies
                    .find(|(_, policy, _)| policy.assignments.filters().any(|used| used == filter));
                user.map(|(id, ..)| Key::Policy(id))
            }
            Key::RoleDefinition(definition) => {
                let mut assignments = self.role_assignments(tenant);
                let assignment =
                    assignments.find(|(_, assignment, _)| assignment.definition == definition);
                let assignment = assignment.map(|(id, ..)| Key::RoleAssignment(id));
                let mut tokens = self.tokens(tenant);
                let token = tokens.find(|(_, token, _)| token.role == Some(definition));
                assignment.or(token.map(|(id, ..)| Key::Token(id)))
            }
            Key::ScopeTag(tag) => {
                let mut objects = self.of(tenant);
                let user =
                    objects.find(|(_, found)| found.object.scope_tags().any(|used| used == tag));
                user.map(|(key, _)| *key)
            }
            _ => None,
        }
    }
}
