//! Tenants and policy sets: durable before they are used, never changed.

use muster_store::{Store, WriteError};
use tempfile::tempdir;

use crate::support::*;

#[test]
fn a_tenant_keeps_its_index() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    assert_eq!(store.tenant_index("fabrikam"), Ok(0));
    assert_eq!(store.tenant_index("contoso"), Ok(1));
    assert_eq!(store.tenant_index("fabrikam"), Ok(0));
    drop(store);
    let store = Store::open(&config).unwrap();
    assert_eq!(store.tenant_index("adatum"), Ok(2));
    let expected = [("adatum", 2), ("contoso", 1), ("fabrikam", 0)];
    assert_eq!(
        store.tenants(),
        expected.map(|(name, index)| (name.to_owned(), index))
    );
}

#[test]
fn tenants_added_at_once_get_different_indexes() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let names: Vec<_> = (0..8).map(|n| format!("tenant-{n}")).collect();
    let add = |store: &Store| {
        names
            .iter()
            .map(|name| store.tenant_index(name).unwrap())
            .collect()
    };
    let (first, second): (Vec<u16>, Vec<u16>) = std::thread::scope(|scope| {
        let other = scope.spawn(|| add(&store));
        (add(&store), other.join().unwrap())
    });
    assert_eq!(first, second);
    let mut indexes = first;
    indexes.sort_unstable();
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_policy_revision_never_changes() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    assert_eq!(store.policy_set_latest(), Ok(None));
    store.put_policy_set(1, b"one").unwrap();
    store.put_policy_set(300, b"three hundred").unwrap();
    store.put_policy_set(2, b"two").unwrap();
    store.put_policy_set(2, b"two").unwrap();
    let taken = WriteError::PolicyRevisionTaken { revision: 2 };
    assert_eq!(store.put_policy_set(2, b"other"), Err(taken));
    drop(store);
    let store = Store::open(&config).unwrap();
    assert_eq!(store.policy_set(2), Ok(Some(b"two".to_vec())));
    assert_eq!(store.policy_set(3), Ok(None));
    assert_eq!(
        store.policy_set_latest(),
        Ok(Some((300, b"three hundred".to_vec())))
    );
}
