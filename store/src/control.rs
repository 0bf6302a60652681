//! Control objects: tenants and policy sets. Written rarely, each with its own sync, from any thread.
//!
//! A call returns once its object is durable, hence before a journal value can refer to it. At most 65,536 tenants;
//! policy sets are not deleted. Their bytes belong to the engine.

use std::sync::PoisonError;

use muster_engine::{Revision, TenantIndex};

use crate::error::{ReadError, WriteError};
use crate::keys;
use crate::keyspace::Keyspace;
use crate::kill_point::kill_point;
use crate::store::Store;
use crate::value;

impl Store {
    /// The index of a tenant, assigned on first use: 0, 1, 2 and so on. It never changes.
    ///
    /// The first call for a name waits for a sync: call it at start and when a tenant first connects, not per check-in.
    pub fn tenant_index(&self, name: &str) -> Result<TenantIndex, WriteError> {
        let mut tenants = self
            .inner
            .tenants
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(&index) = tenants.get(name) {
            return Ok(index);
        }
        let index = u16::try_from(tenants.len()).map_err(|_| WriteError::TenantLimit)?;
        let index = TenantIndex(index);
        kill_point("store.tenant.before_put");
        self.put_control(&keys::tenant(name), index.0.to_le_bytes().to_vec())?;
        kill_point("store.tenant.after_put");
        tenants.insert(name.to_owned(), index);
        Ok(index)
    }

    /// Every tenant with its index, ordered by name.
    #[must_use]
    pub fn tenants(&self) -> Vec<(String, TenantIndex)> {
        let tenants = self
            .inner
            .tenants
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        tenants
            .iter()
            .map(|(name, &index)| (name.clone(), index))
            .collect()
    }

    /// Writes a policy set. Idempotent for equal bytes; other bytes under the same revision are an error, because the
    /// journal refers to the revision and a replay must find the policy set that was in force.
    pub fn put_policy_set(&self, revision: Revision, bytes: &[u8]) -> Result<(), WriteError> {
        match self.policy_set(revision)? {
            Some(present) if present == bytes => Ok(()),
            Some(_) => Err(WriteError::PolicyRevisionTaken { revision }),
            None => {
                kill_point("store.policy_set.before_put");
                self.put_control(&keys::policy_set(revision), bytes.to_vec())?;
                kill_point("store.policy_set.after_put");
                Ok(())
            }
        }
    }

    /// A policy set by revision.
    pub fn policy_set(&self, revision: Revision) -> Result<Option<Vec<u8>>, ReadError> {
        self.latest().policy_set(revision)
    }

    /// The policy set with the highest revision.
    pub fn policy_set_latest(&self) -> Result<Option<(Revision, Vec<u8>)>, ReadError> {
        self.latest().policy_set_latest()
    }

    fn put_control(&self, key: &[u8], mut payload: Vec<u8>) -> Result<(), WriteError> {
        if let Some(reason) = self.inner.health.poisoned() {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        value::seal(Keyspace::Control, key, &mut payload);
        let mut writes = self.inner.db.writes(key.len() + payload.len());
        writes.put(Keyspace::Control, key, &payload);
        writes.commit().map_err(|error| {
            let reason = format!("write of a control object failed: {error}");
            WriteError::Poisoned(self.inner.health.poison(reason).clone())
        })
    }
}
