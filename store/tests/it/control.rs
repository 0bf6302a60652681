//! Policy sets and the control log: durable before use, immutable afterwards.

use muster_engine::Revision;
use muster_store::{ReadError, Store, WriteError};
use tempfile::tempdir;

use crate::support::*;

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

/// Every entry with its revision.
fn log(store: &Store) -> Vec<(Revision, Vec<u8>)> {
    let mut log = Vec::new();
    let visit = |revision, bytes: &[u8]| {
        log.push((revision, bytes.to_vec()));
        Ok::<(), ReadError>(())
    };
    store.snapshot().control_log(visit).unwrap();
    log
}

#[test]
fn an_entry_is_appended_at_the_next_revision_with_its_policy_set() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    assert_eq!(store.revision_latest(), Ok(Revision(0)));
    store
        .put_policy_set(Revision(1), b"of the configuration")
        .unwrap();
    store
        .append_control(Revision(2), b"first", Some(b"strict"))
        .unwrap();
    store.append_control(Revision(3), b"second", None).unwrap();
    for taken_or_ahead in [0, 1, 2, 3, 5, u32::MAX].map(Revision) {
        assert_eq!(
            store.append_control(taken_or_ahead, b"x", Some(b"y")),
            Err(WriteError::NotTheNextRevision {
                revision: taken_or_ahead,
                latest: Revision(3)
            })
        );
    }
    store
        .append_control(Revision(4), b"third", Some(b"lenient"))
        .unwrap();
    drop(store);
    let store = Store::open(&config).unwrap();
    let entries = [(2, "first"), (3, "second"), (4, "third")];
    let entries = entries.map(|(revision, text)| (Revision(revision), text.as_bytes().to_vec()));
    assert_eq!(log(&store), entries);
    assert_eq!(
        store.control_entry(Revision(3)),
        Ok(Some(b"second".to_vec()))
    );
    assert_eq!(store.control_entry(Revision(1)), Ok(None));
    assert_eq!(store.policy_set(Revision(2)), Ok(Some(b"strict".to_vec())));
    assert_eq!(store.policy_set(Revision(3)), Ok(None));
    assert_eq!(
        store.policy_set_latest(),
        Ok(Some((Revision(4), b"lenient".to_vec())))
    );
    assert_eq!(store.revision_latest(), Ok(Revision(4)));
}

#[test]
fn of_two_entries_with_one_revision_one_is_refused() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let append = |text: &str| {
        store
            .append_control(Revision(1), text.as_bytes(), None)
            .is_ok()
    };
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| append("one"));
        (append("other"), other.join().unwrap())
    });
    assert!(first ^ second);
    assert_eq!(log(&store).len(), 1);
}
