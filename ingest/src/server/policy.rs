//! Stores the policy set in force before any shard uses it.
//!
//! The rules of a tenant follow from its objects; one that was deleted has rules too, because its index is never reused.
//! Owner: the main thread, once at start. Bounded by the tenants ever created and the control log.

use std::sync::Arc;

use muster_control::compile;
use muster_engine::{PolicySet, Revision, TenantIndex};
use muster_store::Store;

use super::ServerError;
use crate::config::Config;
use crate::control_plane::ControlLog;

/// What every tenant requires.
#[derive(Debug)]
pub(super) struct Rules {
    /// What operators have changed.
    pub(super) log: ControlLog,
    /// The resulting policy set.
    pub(super) policy: Arc<PolicySet>,
}

/// Reads the control log and assigns the policy set its revision: the latest one if no rule changed, otherwise the next.
/// So a program with other rules evaluates every device at its first start.
pub(super) fn put_in_store(config: &Config, store: &Store) -> Result<Rules, ServerError> {
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
    let indexes = (0..log.plane.next_tenant().0).map(TenantIndex);
    let rules: Vec<_> = indexes.map(|index| compile(&log.plane, index)).collect();
    if latest.results_in(&rules) && latest.revision() != Revision::default() {
        log.skip_to(latest.revision());
        return Ok(Rules {
            log,
            policy: Arc::new(latest),
        });
    }
    let set = PolicySet::new(Revision(store.revision_latest()?.0 + 1), rules);
    store.put_policy_set(set.revision(), &set.encode())?;
    log.skip_to(set.revision());
    tracing::info!(
        revision = set.revision().0,
        tenants = log.plane.tenants().count(),
        "stored a new policy set"
    );
    Ok(Rules {
        log,
        policy: Arc::new(set),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use muster_control::{
        Actor, Change, Command, ControlPlane, Handling, Key, Precondition, Rights,
    };
    use muster_engine::Timestamp;
    use muster_store::StoreConfig;

    use super::*;

    const CONFIG: &str = r#"
        [listen]
        certificate = "server.pem"
        key = "server.key"
        client_ca = "ca.pem"
        [store]
        directory = "data"
    "#;

    #[test]
    fn a_program_with_other_rules_evaluates_every_device_at_its_first_start() {
        let scratch = tempfile::tempdir().unwrap();
        let config = Config::parse(CONFIG, Path::new("/")).unwrap();
        let store = StoreConfig::new(scratch.path().join("data")).with_shards(1);
        let store = Store::open(&store).unwrap();
        // The control log of a server on which a tenant was created.
        let command = Command {
            actor: Actor::Local,
            address: None,
            at: Timestamp::from_seconds(1),
            tenant: TenantIndex(0),
            expected: Precondition::Nothing,
            rights: Rights::local(),
            handling: Handling::Strict,
            change: Change::Create {
                key: Key::Tenant,
                properties: [("name".to_owned(), "contoso".into())]
                    .into_iter()
                    .collect(),
            },
        };
        let mut plane = ControlPlane::default();
        let entry = plane.decide(&command).unwrap();
        plane.apply(&entry).unwrap();
        store
            .append_control(Revision(1), &plane.stored(&entry), None)
            .unwrap();
        let start = || put_in_store(&config, &store).unwrap().policy;
        let first = start();
        assert_eq!(first.revision(), Revision(2));
        assert_eq!(first.tenants().len(), 1);
        assert_eq!(start(), first, "the same rules");
        // As another program has stored it: the version of the rules is behind the revision.
        let mut bytes = PolicySet::new(Revision(3), first.tenants().to_vec()).encode();
        bytes[8] ^= 1;
        store.put_policy_set(Revision(3), &bytes).unwrap();
        let evaluated = start();
        assert_eq!(evaluated.revision(), Revision(4));
        assert_eq!(evaluated.tenants(), first.tenants());
        assert_eq!(start(), evaluated);
    }
}
