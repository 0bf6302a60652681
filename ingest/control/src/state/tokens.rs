//! The tokens of all tenants by their secrets, so that a request finds its principal at once.
//!
//! Derived from the objects; changed by entries only. Bounded by `TOKENS_MAX` for each tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::TenantIndex;

use crate::entry::Entry;
use crate::id::ObjectId;
use crate::object::{Key, Object, SecretHash};

/// The tokens by their secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets(Arc<BTreeMap<SecretHash, (TenantIndex, ObjectId)>>);

impl Secrets {
    /// Refuses a token whose secret another one has.
    pub(super) fn check(&self, entry: &Entry) -> Result<(), &'static str> {
        match entry.after() {
            Some(Object::Token(token)) if self.0.contains_key(&token.hash) => {
                Err("another token has this secret")
            }
            _ => Ok(()),
        }
    }

    /// Notes the secret of a token that an entry makes, and forgets that of one that it deletes.
    pub(super) fn note(&mut self, entry: &Entry) {
        let Key::Token(id) = entry.key else {
            return;
        };
        let secrets = Arc::make_mut(&mut self.0);
        if let Some(Object::Token(token)) = entry.after() {
            secrets.insert(token.hash, (entry.tenant, id));
        } else if let Some(Object::Token(token)) = entry.before() {
            secrets.remove(&token.hash);
        }
    }

    /// The tenant and the id of the token with this secret.
    pub(super) fn find(&self, hash: &SecretHash) -> Option<(TenantIndex, ObjectId)> {
        self.0.get(hash).copied()
    }

    /// Forgets the tokens of a tenant that is deleted.
    pub(super) fn forget_tenant(&mut self, tenant: TenantIndex) {
        Arc::make_mut(&mut self.0).retain(|_, (of, _)| *of != tenant);
    }
}
