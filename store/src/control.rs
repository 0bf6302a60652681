//! Control objects: policy sets and the control log. Written rarely, each with its own sync, from any thread.
//!
//! A call returns once its object is durable, so before a journal value can refer to it. Entries are never deleted, and
//! the caller bounds their number. It deletes policy sets to which nothing on disk refers any more. The bytes of both
//! belong to the engine and the control plane.

use std::sync::PoisonError;

use muster_engine::Revision;

use crate::database::{Stored, WriteSet};
use crate::error::{ReadError, WriteError};
use crate::keys;
use crate::keyspace::Keyspace;
use crate::kill_point::kill_point;
use crate::store::Store;
use crate::value;

impl Store {
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

    /// The highest revision of any control entry or policy set; 0 if there is none.
    pub fn revision_latest(&self) -> Result<Revision, ReadError> {
        self.latest().revision_latest()
    }

    /// An entry of the control log.
    pub fn control_entry(&self, revision: Revision) -> Result<Option<Vec<u8>>, ReadError> {
        self.latest().control_entry(revision)
    }

    /// Appends an entry to the control log, together with the policy set that it makes, if it makes one: both or none
    /// survive a crash. `revision` must be the one after [`Store::revision_latest`].
    pub fn append_control(
        &self,
        revision: Revision,
        entry: &[u8],
        policy_set: Option<&[u8]>,
    ) -> Result<(), WriteError> {
        // Two calls with one revision must not both find it free.
        let appending = self.inner.appending.lock();
        let _appending = appending.unwrap_or_else(PoisonError::into_inner);
        let latest = self.revision_latest()?;
        if latest.0.checked_add(1) != Some(revision.0) {
            return Err(WriteError::NotTheNextRevision { revision, latest });
        }
        let entry = (keys::control_entry(revision), entry);
        let policy_set = policy_set.map(|bytes| (keys::policy_set(revision), bytes));
        let values = std::iter::once(entry).chain(policy_set);
        let values = values.map(|(key, bytes)| (key.to_vec(), bytes.to_vec()));
        kill_point("store.control.before_append");
        self.put_controls(values.collect())?;
        kill_point("store.control.after_append");
        Ok(())
    }

    /// Deletes the policy sets before a revision, to which no checkpoint and no later journal value may refer. Returns
    /// their number.
    pub fn delete_policy_sets(&self, before: Revision) -> Result<u32, WriteError> {
        let mut found = Vec::new();
        self.latest()
            .policy_sets(before, |revision| found.push(revision))?;
        if found.is_empty() {
            return Ok(0);
        }
        if let Some(reason) = self.inner.health.poisoned() {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        let mut writes = self.inner.db.writes(0);
        for revision in &found {
            writes.delete(Keyspace::Control, &keys::policy_set(*revision));
        }
        kill_point("store.policy_set.before_delete");
        self.commit(writes)?;
        kill_point("store.policy_set.after_delete");
        Ok(found.len() as u32)
    }

    fn put_control(&self, key: &[u8], payload: Vec<u8>) -> Result<(), WriteError> {
        self.put_controls(vec![(key.to_vec(), payload)])
    }

    /// Writes all values or none.
    fn put_controls(&self, values: Vec<Stored>) -> Result<(), WriteError> {
        if let Some(reason) = self.inner.health.poisoned() {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        let mut writes = self.inner.db.writes(0);
        for (key, mut payload) in values {
            value::seal(Keyspace::Control, &key, &mut payload);
            writes.put(Keyspace::Control, &key, &payload);
        }
        self.commit(writes)
    }

    fn commit(&self, writes: Box<dyn WriteSet + '_>) -> Result<(), WriteError> {
        writes.commit().map_err(|error| {
            let reason = format!("write of a control object failed: {error}");
            WriteError::Poisoned(self.inner.health.poison(reason).clone())
        })
    }
}
