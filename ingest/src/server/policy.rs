//! Stores the tenants and the policy set in force before any shard uses them.
//!
//! The rules of a tenant follow from its objects, also those of a tenant that is no longer configured. Owner: the main
//! thread, once at start. Bounded by the stored tenants and the control log.

use std::sync::Arc;

use muster_control::compile;
use muster_engine::{PolicySet, Revision, TenantIndex};
use muster_store::Store;

use super::ServerError;
use crate::config::Config;
use crate::control_plane::ControlLog;

/// What every tenant demands.
#[derive(Debug)]
pub(super) struct Rules {
    /// The names of all stored tenants by index.
    pub(super) tenants: Vec<String>,
    /// What operators have changed.
    pub(super) log: ControlLog,
    /// The policy set that follows.
    pub(super) policy: Arc<PolicySet>,
}

/// Assigns every configured tenant its index, reads the control log, and assigns the policy set its revision: the latest
/// one if no rule changed, otherwise the next.
pub(super) fn put_in_store(config: &Config, store: &Store) -> Result<Rules, ServerError> {
    for tenant in &config.tenants {
        store.tenant_index(tenant.name.as_str())?;
    }
    let mut names = store.tenants();
    names.sort_unstable_by_key(|(_, index)| *index);
    let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    let directory = || config.store.directory.display().to_string();
    let mut log = ControlLog::replay(store).map_err(|source| ServerError::Control {
        directory: directory(),
        source,
    })?;
    let latest = match store.policy_set_latest()? {
        None => PolicySet::default(),
        Some((_, bytes)) => {
            PolicySet::decode(&bytes).ok_or_else(|| ServerError::Policy(directory()))?
        }
    };
    let indexes = (0..names.len() as u16).map(TenantIndex);
    let rules: Vec<_> = indexes.map(|index| compile(&log.plane, index)).collect();
    if latest.tenants() == rules && latest.revision() != Revision::default() {
        log.skip_to(latest.revision());
        return Ok(Rules {
            tenants: names,
            log,
            policy: Arc::new(latest),
        });
    }
    let set = PolicySet::new(Revision(store.revision_latest()?.0 + 1), rules);
    store.put_policy_set(set.revision(), &set.encode())?;
    log.skip_to(set.revision());
    tracing::info!(
        revision = set.revision().0,
        tenants = names.len(),
        "stored a new policy set"
    );
    Ok(Rules {
        tenants: names,
        log,
        policy: Arc::new(set),
    })
}
