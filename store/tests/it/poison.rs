//! After a failed write nothing more is written or acknowledged, and reads still work.

use std::fs;

use muster_engine::{Revision, ShardId};
use muster_store::{CheckpointMark, CommitPart, Store, WriteError};
use tempfile::tempdir;

use crate::support::*;

/// A real failure: the directory is renamed, so that RocksDB cannot create its next log.
#[test]
fn a_failed_write_poisons_and_acknowledged_writes_are_recovered() {
    let parent = tempdir().unwrap();
    let (data, moved) = (parent.path().join("data"), parent.path().join("moved"));
    let store = Store::open(&config(&data)).unwrap();
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(0, 1, "first")]);
    fs::rename(&data, &moved).unwrap();

    let mut outcomes = Outcomes::default();
    for sequence in 2..100 {
        let mut group = commits([
            journal(0, sequence, vec![3; 100_000]),
            journal(1, sequence - 1, "b"),
        ]);
        writer.write(&mut group, &mut outcomes);
        assert!(group.is_empty());
        if !outcomes.failed.is_empty() {
            break;
        }
    }
    assert_eq!(
        outcomes.failed.len(),
        2,
        "exactly the group of the failed write"
    );
    let reason = store.health().poisoned().unwrap().clone();
    assert!(
        reason
            .as_str()
            .starts_with("write or sync of the journal failed"),
        "{reason}"
    );

    // Refused with the first reason, although the directory is back.
    fs::rename(&moved, &data).unwrap();
    let acknowledged = outcomes.committed.len();
    let sequence = writer.sequence(ShardId(0)).next().0;
    writer.write(&mut commits([journal(0, sequence, "late")]), &mut outcomes);
    assert_eq!(outcomes.failed.last().unwrap().2, reason.as_str());
    assert_eq!(outcomes.committed.len(), acknowledged);
    assert_eq!(
        store.put_policy_set(Revision(1), b"x"),
        Err(WriteError::Poisoned(reason.clone()))
    );
    assert_eq!(
        store.append_control(Revision(1), b"x", None),
        Err(WriteError::Poisoned(reason.clone()))
    );

    // Reads still work.
    let entries = entries(&store.snapshot()).unwrap();
    assert_eq!(entries[0], (1, 0, 1, b"first".to_vec()));
    drop(writer);
    assert_eq!(store.close(), Err(WriteError::Poisoned(reason)));

    let (_, entries) = recover(&Store::open(&config(&data)).unwrap());
    let recovered: Vec<_> = entries.iter().map(|entry| (entry.1, entry.2)).collect();
    assert_eq!(recovered[0], (0, 1));
    assert_eq!(
        recovered[1..],
        outcomes.committed,
        "acknowledged commits are recovered, the failed group is not"
    );
}

#[test]
fn an_invalid_commit_poisons_before_anything_is_written() {
    let cases: [(CommitPart, &str); 3] = [
        (journal(0, 3, "x"), "shard 0 sent sequence 3 after 1"),
        (
            journal(9, 1, "x"),
            "shard 9 does not exist; there are 4 shards",
        ),
        (
            CommitPart {
                checkpoint: Some(CheckpointMark::Complete),
                ..CommitPart::default()
            },
            "completed a checkpoint that it did not begin",
        ),
    ];
    for (commit, reason) in cases {
        let directory = tempdir().unwrap();
        let store = Store::open(&config(directory.path())).unwrap();
        let (mut writer, _) = recover(&store);
        write(&mut writer, vec![journal(0, 1, "a")]);
        let mut outcomes = Outcomes::default();
        writer.write(&mut commits([journal(1, 1, "b"), commit]), &mut outcomes);
        assert_eq!((outcomes.committed.len(), outcomes.failed.len()), (0, 2));
        assert!(
            outcomes.failed[0].2.contains(reason),
            "{}",
            outcomes.failed[0].2
        );
        assert_eq!(
            entries(&store.snapshot()).unwrap(),
            [(1, 0, 1, b"a".to_vec())]
        );
    }
}
