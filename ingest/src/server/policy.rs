//! Stores the tenants and the policy set in force before any shard uses them.
//!
//! The rules of a tenant follow from its objects, once it has had any change; before, they are those of the
//! configuration. Owner: the main thread, once at start. Bounded by the stored tenants and the control log.

use std::sync::Arc;

use muster_control::compile;
use muster_engine::{PolicySet, Revision, TenantIndex, TenantPolicy, Threshold};
use muster_store::Store;
use muster_wire::Platform;

use super::ServerError;
use crate::config::{ByPlatform, Config, TenantConfig, ThreatThreshold};
use crate::control_plane::ControlLog;

/// Names that a line of the log lists at most.
const NAMES_LOGGED_MAX: usize = 10;

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
    let rules = rules(config, &names, &log, &latest);
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

/// The rules by tenant index.
fn rules(
    config: &Config,
    names: &[String],
    log: &ControlLog,
    latest: &PolicySet,
) -> Vec<TenantPolicy> {
    let mut ignored = Vec::new();
    let rules = (0..).map(TenantIndex).zip(names).map(|(index, name)| {
        let mut configured = config.tenants.iter();
        let configured = configured.find(|tenant| tenant.name.as_str() == name);
        let has_objects = log.plane.entries(index) > 0;
        if has_objects && configured.is_some() {
            ignored.push(name.as_str());
        }
        match configured {
            _ if has_objects => compile(&log.plane, index),
            Some(tenant) => tenant_policy(tenant),
            // No longer configured: its devices keep their last rules.
            None => latest.tenant(index).cloned().unwrap_or_default(),
        }
    });
    let rules = rules.collect();
    if !ignored.is_empty() {
        let names = ignored[..ignored.len().min(NAMES_LOGGED_MAX)].join(", ");
        tracing::info!(
            tenants = ignored.len(),
            names,
            "the configuration's rules of these tenants are not used: their rules follow from their objects"
        );
    }
    rules
}

fn tenant_policy(tenant: &TenantConfig) -> TenantPolicy {
    let mut policy = TenantPolicy::default();
    policy.secure_by_default = tenant.secure_by_default;
    policy.auto_create_devices = tenant.auto_create_devices;
    for (platform, threshold) in by_platform(&tenant.threat_threshold) {
        policy.set_threshold(platform, to_engine(*threshold));
    }
    for (platform, blocked) in by_platform(&tenant.blocked_on_missing_partner_data) {
        policy.set_blocked_on_missing(platform, *blocked);
    }
    policy
}

fn by_platform<T>(values: &ByPlatform<T>) -> [(Platform, &T); 4] {
    [
        (Platform::Windows, &values.windows),
        (Platform::Ios, &values.ios),
        (Platform::Android, &values.android),
        (Platform::AndroidEnterprise, &values.android_enterprise),
    ]
}

fn to_engine(threshold: ThreatThreshold) -> Threshold {
    match threshold {
        ThreatThreshold::NotSet => Threshold::NotSet,
        ThreatThreshold::Clear => Threshold::Clear,
        ThreatThreshold::Low => Threshold::Low,
        ThreatThreshold::Medium => Threshold::Medium,
        ThreatThreshold::High => Threshold::High,
    }
}
