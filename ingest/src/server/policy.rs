//! Stores the configured tenants and their policy set before any shard uses them.
//!
//! Owner: the main thread, once at start. Bounded by the configured tenants.

use std::sync::Arc;

use muster_engine::{PolicySet, Revision, TenantIndex, TenantPolicy, Threshold};
use muster_store::Store;
use muster_wire::Platform;

use super::ServerError;
use crate::config::{ByPlatform, Config, TenantConfig, ThreatThreshold};

/// Assigns every configured tenant its index, and the policy set its revision: the latest one if no rule changed,
/// otherwise the next. Returns the names of all stored tenants by index, and the set.
pub(super) fn put_in_store(
    config: &Config,
    store: &Store,
) -> Result<(Vec<String>, Arc<PolicySet>), ServerError> {
    for tenant in &config.tenants {
        store.tenant_index(tenant.name.as_str())?;
    }
    let mut names = store.tenants();
    names.sort_unstable_by_key(|(_, index)| *index);
    let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();

    let latest = match store.policy_set_latest()? {
        None => PolicySet::default(),
        Some((_, bytes)) => PolicySet::decode(&bytes)
            .ok_or_else(|| ServerError::Policy(config.store.directory.display().to_string()))?,
    };
    let rules: Vec<TenantPolicy> = (0..)
        .map(TenantIndex)
        .zip(&names)
        .map(|(index, name)| {
            let configured = config
                .tenants
                .iter()
                .find(|tenant| tenant.name.as_str() == name);
            match configured {
                Some(tenant) => tenant_policy(tenant),
                // No longer configured: its devices keep their last rules.
                None => latest.tenant(index).cloned().unwrap_or_default(),
            }
        })
        .collect();
    if latest.tenants() == rules && latest.revision() != Revision::default() {
        return Ok((names, Arc::new(latest)));
    }
    let set = PolicySet::new(Revision(latest.revision().0 + 1), rules);
    store.put_policy_set(set.revision(), &set.encode())?;
    tracing::info!(
        revision = set.revision().0,
        tenants = names.len(),
        "stored a new policy set"
    );
    Ok((names, Arc::new(set)))
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
