//! Checkpoint and trim: which values recovery replays, and that trimmed files are deleted.

use muster_engine::{Sequence, ShardId};
use muster_store::{CheckpointMark, CheckpointRecord, CommitPart, Lsn, Store, StoreConfig};
use tempfile::tempdir;

use crate::support::*;

#[test]
fn recovery_replays_only_the_journal_after_the_checkpoint() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    let begin = |commit| CommitPart {
        checkpoint: Some(CheckpointMark::Begin),
        context: b"context".to_vec(),
        ..commit
    };
    let complete = |commit| CommitPart {
        checkpoint: Some(CheckpointMark::Complete),
        ..commit
    };
    write(
        &mut writer,
        vec![journal(0, 1, "a"), begin(journal(0, 2, "b"))],
    );
    write(
        &mut writer,
        vec![CommitPart {
            pages: vec![page(0, b"p0")],
            ..journal(0, 3, "c")
        }],
    );
    assert_eq!(
        store.snapshot().checkpoint(ShardId(0)).unwrap(),
        None,
        "not complete"
    );
    write(
        &mut writer,
        vec![complete(CommitPart {
            pages: vec![page(1, b"p1")],
            ..journal(0, 4, "d")
        })],
    );
    assert_eq!(writer.journal_bytes_live(), 2);
    drop((writer, store));

    let store = Store::open(&config).unwrap();
    let record = CheckpointRecord {
        cursor_sequence: Sequence(2),
        next_lsn: Lsn(5),
        context: b"context".to_vec(),
    };
    let found = store.snapshot().checkpoint(ShardId(0)).unwrap();
    assert_eq!(found, Some(record));
    assert_eq!(pages(&store.snapshot(), 0).unwrap().len(), 2);
    let (mut writer, entries) = recover(&store);
    assert_eq!(
        entries,
        [(3, 0, 3, b"c".to_vec()), (4, 0, 4, b"d".to_vec())]
    );
    assert_eq!(
        (writer.sequence(ShardId(0)), writer.journal_bytes_live()),
        (Sequence(4), 2)
    );

    checkpoint(&mut writer, 0, Vec::new());
    assert_eq!(writer.journal_bytes_live(), 0);
    drop((writer, store));
    let store = Store::open(&config).unwrap();
    let (mut writer, entries) = recover(&store);
    assert_eq!(entries, []);
    let from_checkpoint = writer.sequence(ShardId(0));
    assert_eq!(from_checkpoint, Sequence(4));
    write(&mut writer, vec![journal(0, 5, "e")]);
    drop((writer, store));
    assert_eq!(
        recover(&Store::open(&config).unwrap()).1,
        [(5, 0, 5, b"e".to_vec())]
    );
}

#[test]
fn an_incomplete_checkpoint_leaves_the_old_cursor() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(0, 1, "a")]);
    let begin = CommitPart {
        checkpoint: Some(CheckpointMark::Begin),
        ..CommitPart::default()
    };
    let pages = CommitPart {
        pages: vec![page(0, b"newer")],
        ..CommitPart::default()
    };
    write(&mut writer, vec![begin, pages]);
    drop((writer, store));
    let (_, entries) = recover(&Store::open(&config).unwrap());
    assert_eq!(entries, [(1, 0, 1, b"a".to_vec())]);
}

#[test]
fn an_idle_shard_does_not_hold_back_the_trim() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(1, 1, "idle from here on")]);
    checkpoint(&mut writer, 1, Vec::new());
    for sequence in 1..=20 {
        write(&mut writer, vec![journal(0, sequence, vec![0; 200_000])]);
    }
    checkpoint(&mut writer, 0, Vec::new());
    assert_eq!(
        (writer.metrics().trims, writer.journal_bytes_live()),
        (2, 0)
    );
    assert_eq!(entries(&store.snapshot()).unwrap(), []);
}

#[test]
fn a_shard_that_never_checkpoints_keeps_its_values_and_only_those_are_replayed() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    write(
        &mut writer,
        vec![
            journal(0, 1, "a"),
            journal(3, 1, "kept"),
            journal(0, 2, "b"),
        ],
    );
    checkpoint(&mut writer, 0, Vec::new());
    drop((writer, store));
    assert_eq!(
        recover(&Store::open(&config).unwrap()).1,
        [(2, 3, 1, b"kept".to_vec())]
    );
}

/// Writes 200 MB with memtables of 1 MB: trimmed values must be deleted from disk.
#[test]
fn disk_use_stays_bounded_over_many_checkpoints() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    let (mut written, mut most, mut sequence) = (0, 0, 0);
    for round in 0..50_u8 {
        for _ in 0..20 {
            sequence += 1;
            let value = |shard| journal(shard, sequence, vec![round; 50_000]);
            write(&mut writer, (0..4).map(value).collect());
            written += 4 * 50_000;
        }
        for shard in 0..4 {
            // Small, because compaction merges pages, and this test bounds the compaction of the journal.
            let pages = (0..10).map(|n| page(n, &[round; 64])).collect();
            checkpoint(&mut writer, shard, pages);
        }
        most = most.max(store.metrics().directory_bytes);
    }
    let metrics = store.metrics();
    println!("written {written}, most on disk {most}, {metrics:?}");
    assert!(written >= 200_000_000);
    assert!(most < 40_000_000, "{most} bytes on disk");
    assert!(
        metrics.compaction_bytes < 5_000_000,
        "journal files are moved, not rewritten"
    );
    assert_eq!(writer.metrics().checkpoints, 200);
    drop((writer, store));
    let store = Store::open(&config).unwrap();
    let (writer, entries) = recover(&store);
    assert_eq!(
        (entries.len(), writer.sequence(ShardId(3))),
        (0, Sequence(sequence))
    );
}

/// With infrequent checkpoints, whole files are below the trim point and are dropped without being read.
#[test]
fn files_below_the_trim_point_are_dropped_whole() {
    let directory = tempdir().unwrap();
    let config = StoreConfig {
        wal_bytes_max: 2 * MIB as u64,
        ..config(directory.path())
    };
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    for sequence in 1..=400 {
        write(&mut writer, vec![journal(0, sequence, vec![1; 50_000])]);
    }
    let before = store.metrics().journal_file_bytes;
    assert!(before > 10_000_000, "{before} bytes in journal files");
    // RocksDB moves files to level 1 in the background, so it may take more than one trim.
    let mut after = before;
    for sequence in 401..600 {
        write(&mut writer, vec![journal(0, sequence, "x")]);
        checkpoint(&mut writer, 0, Vec::new());
        after = after.min(store.metrics().journal_file_bytes);
    }
    assert!(after < 3_000_000, "{after} bytes in journal files");
}

#[test]
fn a_view_blocks_the_trim_until_it_is_dropped() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    for sequence in 1..=100 {
        write(&mut writer, vec![journal(0, sequence, vec![1; 50_000])]);
    }
    let view = store.snapshot();
    checkpoint(&mut writer, 0, Vec::new());
    assert_eq!(writer.metrics().trims, 0);
    assert_eq!(
        entries(&view).unwrap().len(),
        100,
        "the snapshot of the view"
    );
    drop(view);
    assert_eq!(entries(&store.snapshot()).unwrap(), []);
    write(&mut writer, vec![journal(0, 101, "the next write trims")]);
    assert_eq!(writer.metrics().trims, 1);
}
