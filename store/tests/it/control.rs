//! Tenants and policy sets: durable before use, immutable afterwards.

use muster_engine::{Revision, TenantIndex};
use muster_store::{Store, WriteError};
use tempfile::tempdir;

use crate::support::*;

#[test]
fn a_tenant_keeps_its_index() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    assert_eq!(store.tenant_index("fabrikam"), Ok(TenantIndex(0)));
    assert_eq!(store.tenant_index("contoso"), Ok(TenantIndex(1)));
    assert_eq!(store.tenant_index("fabrikam"), Ok(TenantIndex(0)));
    drop(store);
    let store = Store::open(&config).unwrap();
    assert_eq!(store.tenant_index("adatum"), Ok(TenantIndex(2)));
    let expected = [("adatum", 2), ("contoso", 1), ("fabrikam", 0)];
    assert_eq!(
        store.tenants(),
        expected.map(|(name, index)| (name.to_owned(), TenantIndex(index)))
    );
}

#[test]
fn tenants_added_concurrently_get_different_indexes() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let names: Vec<_> = (0..8).map(|n| format!("tenant-{n}")).collect();
    let add = |store: &Store| {
        names
            .iter()
            .map(|name| store.tenant_index(name).unwrap())
            .collect()
    };
    let (first, second): (Vec<TenantIndex>, Vec<TenantIndex>) = std::thread::scope(|scope| {
        let other = scope.spawn(|| add(&store));
        (add(&store), other.join().unwrap())
    });
    assert_eq!(first, second);
    let mut indexes = first;
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5, 6, 7].map(TenantIndex));
}

#[test]
fn a_policy_revision_never_changes() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    assert_eq!(store.policy_set_latest(), Ok(None));
    store.put_policy_set(Revision(1), b"one").unwrap();
    store
        .put_policy_set(Revision(300), b"three hundred")
        .unwrap();
    store.put_policy_set(Revision(2), b"two").unwrap();
    store.put_policy_set(Revision(2), b"two").unwrap();
    let taken = WriteError::PolicyRevisionTaken {
        revision: Revision(2),
    };
    assert_eq!(store.put_policy_set(Revision(2), b"other"), Err(taken));
    drop(store);
    let store = Store::open(&config).unwrap();
    assert_eq!(store.policy_set(Revision(2)), Ok(Some(b"two".to_vec())));
    assert_eq!(store.policy_set(Revision(3)), Ok(None));
    assert_eq!(
        store.policy_set_latest(),
        Ok(Some((Revision(300), b"three hundred".to_vec())))
    );
}
