//! Group commit: number of syncs, order of completions, size of groups.

use muster_engine::ShardId;
use muster_store::{CheckpointMark, Commit, CommitPart, Store, StoreConfig};
use tempfile::tempdir;

use crate::support::*;

#[test]
fn many_commits_share_one_sync() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    let syncs_before = store.metrics().wal_syncs;
    let group: Vec<_> = (0..100_u64)
        .map(|n| journal((n % 4) as u16, n / 4 + 1, "x"))
        .collect();
    let submitted: Vec<_> = group
        .iter()
        .map(|commit| (commit.shard.0, commit.sequence.0))
        .collect();
    let outcomes = write(&mut writer, group);
    assert_eq!(outcomes.committed, submitted, "order of arrival");
    assert!(
        outcomes
            .durable_at
            .windows(2)
            .all(|pair| pair[0] == pair[1])
    );
    let metrics = writer.metrics();
    assert_eq!(
        (metrics.groups, metrics.commits, metrics.syncs),
        (1, 100, 1)
    );
    assert_eq!(metrics.sync_nanoseconds.len(), 1);
    assert_eq!(
        store.metrics().wal_syncs - syncs_before,
        1,
        "RocksDB counts the same"
    );
}

#[test]
fn a_group_with_nothing_to_write_is_not_synced() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    let begin = CommitPart {
        checkpoint: Some(CheckpointMark::Begin),
        ..CommitPart::default()
    };
    let outcomes = write(
        &mut writer,
        vec![journal(0, 0, ""), begin, journal(3, 0, "")],
    );
    assert_eq!(outcomes.committed.len(), 3);
    assert_eq!((writer.metrics().commits, writer.metrics().syncs), (3, 0));
}

#[test]
fn a_group_above_the_limit_is_split_and_a_large_commit_is_written_alone() {
    let directory = tempdir().unwrap();
    let config = StoreConfig {
        group_bytes_max: 1_000,
        ..config(directory.path())
    };
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    let sizes = [400, 400, 400, 5_000, 10, 10];
    let commit = |(n, size): (usize, &usize)| journal(0, n as u64 + 1, vec![0; *size]);
    let outcomes = write(&mut writer, sizes.iter().enumerate().map(commit).collect());
    assert_eq!(outcomes.committed.len(), 6);
    assert_eq!(writer.metrics().groups, 4, "400 + 400, 400, 5000, 10 + 10");
    drop((writer, store));
    assert_eq!(recover(&Store::open(&config).unwrap()).1.len(), 6);
}

#[test]
fn buffers_are_returned_unchanged() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    let mut commit = CommitPart {
        pages: vec![page(1, b"page")],
        ..journal(0, 1, "value")
    };
    commit.journal.reserve(10_000);
    let (address, capacity) = (commit.journal.as_ptr(), commit.journal.capacity());
    let mut commit = write(&mut writer, vec![commit]).returned.pop().unwrap();
    assert_eq!(commit.parts[0].journal, b"value");
    assert_eq!(commit.parts[0].pages, [page(1, b"page")]);
    commit.clear(capacity);
    assert_eq!(commit.bytes(), 0);
    let journal = &commit.parts[0].journal;
    assert_eq!((journal.as_ptr(), journal.capacity()), (address, capacity));
    commit.clear(capacity - 1);
    assert_eq!(commit.parts[0].journal.capacity(), 0);
}

#[test]
fn the_journal_of_every_part_of_a_commit_is_recovered() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    let mark = |checkpoint, parts: [CommitPart; 4]| {
        let with_mark = |part| CommitPart { checkpoint, ..part };
        let parts = parts.into_iter().map(with_mark).collect();
        vec![Commit { parts, payload: () }]
    };
    let begin = mark(
        Some(CheckpointMark::Begin),
        [
            journal(2, 1, "a"),
            journal(0, 0, ""),
            journal(3, 1, "b"),
            journal(1, 0, ""),
        ],
    );
    let complete = mark(
        Some(CheckpointMark::Complete),
        [
            journal(2, 2, "c"),
            journal(0, 1, "d"),
            journal(3, 1, ""),
            journal(1, 0, ""),
        ],
    );
    let mut outcomes = Outcomes::default();
    for mut group in [begin, complete] {
        writer.write(&mut group, &mut outcomes);
    }
    assert_eq!((outcomes.returned.len(), outcomes.failed.len()), (2, 0));
    let metrics = writer.metrics();
    assert_eq!((metrics.commits, metrics.journal_values), (2, 2));
    assert_eq!((metrics.syncs, metrics.checkpoints), (2, 4));
    drop((writer, store));
    let (writer, entries) = recover(&Store::open(&config).unwrap());
    let after = [(2, 0, 1, b"d".to_vec()), (2, 2, 2, b"c".to_vec())];
    assert_eq!(entries, after, "the rest is checkpointed");
    let sequences = [0, 1, 2, 3].map(|shard| writer.sequence(ShardId(shard)).0);
    assert_eq!(sequences, [1, 0, 2, 1]);
}

#[test]
fn the_values_of_a_commit_are_atomic_with_its_journal() {
    // The log is truncated at many lengths: page and journal value are recovered together or not at all.
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    let log_end = |directory| {
        let log = with_extension(directory, "log").pop().unwrap();
        std::fs::read(log)
            .unwrap()
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |at| at + 1)
    };
    let created = log_end(directory.path());
    let mark = std::fs::read(directory.path().join("ACKNOWLEDGED")).unwrap();
    let commit = CommitPart {
        pages: vec![page(0, &[5; 40])],
        ..journal(0, 1, [6; 40])
    };
    write(&mut writer, vec![commit]);
    let crashed = tempdir().unwrap();
    copy(directory.path(), crashed.path());
    let log = with_extension(crashed.path(), "log").pop().unwrap();
    let bytes = std::fs::read(&log).unwrap();
    let written = log_end(crashed.path());
    assert!(written > created + 80);
    for length in (created..=written).rev().step_by(23) {
        let cut = tempdir().unwrap();
        copy(crashed.path(), cut.path());
        let log = cut.path().join(log.file_name().unwrap());
        std::fs::write(&log, &bytes[..length]).unwrap();
        // The write was not acknowledged, so the mark is the one before it.
        std::fs::write(cut.path().join("ACKNOWLEDGED"), &mark).unwrap();
        let store = Store::open(&config(cut.path())).unwrap();
        let (_, journal) = recover(&store);
        let pages = pages(&store.snapshot(), 0).unwrap();
        assert_eq!(journal.len(), pages.len());
        assert_eq!(journal.len(), usize::from(length == written));
    }
}
