//! Synced writes are recovered, however the process ends.

use muster_engine::{Sequence, ShardId, TenantIndex};
use muster_store::{CommitPart, InventoryWrite, Store};
use muster_wire::DeviceId;
use tempfile::tempdir;

use crate::support::*;

const DEVICE: DeviceId = DeviceId::from_bytes([9; 16]);

#[test]
fn reopening_without_close_recovers_everything() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    {
        let store = Store::open(&config).unwrap();
        let (mut writer, entries) = recover(&store);
        assert_eq!(entries, []);
        let everything = CommitPart {
            pages: vec![page(0, b"page 0"), page(3, b"page 3")],
            inventories: vec![InventoryWrite {
                tenant: TenantIndex(1),
                device_id: DEVICE,
                bytes: b"laptop".to_vec(),
            }],
            ..journal(2, 1, "two")
        };
        write(
            &mut writer,
            vec![journal(0, 1, "zero"), everything, journal(0, 2, "more")],
        );
    }
    let store = Store::open(&config).unwrap();
    let (writer, entries) = recover(&store);
    let expected: [Entry; 3] = [
        (1, 0, 1, b"zero".to_vec()),
        (2, 2, 1, b"two".to_vec()),
        (3, 0, 2, b"more".to_vec()),
    ];
    assert_eq!(entries, expected);
    let sequences = [0, 1, 2].map(|shard| writer.sequence(ShardId(shard)).0);
    assert_eq!(sequences, [2, 0, 1]);
    assert_eq!(writer.journal_bytes_live(), 11);
    assert_eq!(writer.journal_bytes_live_of(ShardId(2)), 3);

    let view = store.snapshot();
    assert_eq!(
        pages(&view, 2).unwrap(),
        [(0, b"page 0".to_vec()), (3, b"page 3".to_vec())]
    );
    assert_eq!(pages(&view, 1).unwrap(), []);
    assert_eq!(
        store.inventory(TenantIndex(1), &DEVICE).unwrap().as_deref(),
        Some(&b"laptop"[..])
    );
    assert_eq!(view.inventory(TenantIndex(0), &DEVICE).unwrap(), None);
}

#[test]
fn a_copy_taken_while_running_recovers_what_was_acknowledged() {
    let (directory, crashed) = (tempdir().unwrap(), tempdir().unwrap());
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    // Enough to flush memtables several times, so that files and logs both contain some of it.
    for sequence in 1..=300 {
        write(
            &mut writer,
            vec![journal(1, sequence, vec![sequence as u8; 10_000])],
        );
    }
    copy(directory.path(), crashed.path());
    let (writer, entries) = recover(&Store::open(&config(crashed.path())).unwrap());
    assert_eq!(entries.len(), 300);
    assert!(entries.iter().all(|(lsn, shard, sequence, bytes)| {
        lsn == sequence && *shard == 1 && *bytes == vec![*sequence as u8; 10_000]
    }));
    assert_eq!(writer.sequence(ShardId(1)), Sequence(300));
}

#[test]
fn close_leaves_an_empty_log() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(0, 1, vec![7; 100_000])]);
    drop(writer);
    store.close().unwrap();
    let logs = with_extension(directory.path(), "log");
    assert!(
        logs.iter()
            .all(|path| std::fs::metadata(path).unwrap().len() < 1_000)
    );
    let (_, entries) = recover(&Store::open(&config(directory.path())).unwrap());
    assert_eq!(entries, [(1, 0, 1, vec![7; 100_000])]);
}

#[test]
fn a_new_writer_continues_where_the_last_one_ended() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(0, 1, "a")]);
    drop(writer);
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(0, 2, "b")]);
    let entries = entries(&store.snapshot()).unwrap();
    assert_eq!(
        entries,
        [(1, 0, 1, b"a".to_vec()), (2, 0, 2, b"b".to_vec())]
    );
    assert_eq!(
        (writer.sequence(ShardId(0)), writer.journal_bytes_live()),
        (Sequence(2), 2)
    );
}

#[test]
#[should_panic(expected = "a store has one writer")]
fn a_second_writer_panics() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (_writer, _) = recover(&store);
    let _ = try_recover(&store);
}

#[test]
fn a_snapshot_is_not_changed_by_later_writes() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    write(
        &mut writer,
        vec![CommitPart {
            pages: vec![page(0, b"old")],
            ..journal(0, 1, "a")
        }],
    );
    let view = store.snapshot();
    write(
        &mut writer,
        vec![CommitPart {
            pages: vec![page(0, b"new")],
            ..journal(0, 2, "b")
        }],
    );
    assert_eq!(pages(&view, 0).unwrap(), [(0, b"old".to_vec())]);
    assert_eq!(entries(&view).unwrap(), [(1, 0, 1, b"a".to_vec())]);
    assert_eq!(pages(&store.snapshot(), 0).unwrap(), [(0, b"new".to_vec())]);
}

#[test]
fn shards_are_read_in_parallel_from_one_view() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    let pages_of = |shard: u16| (0..50).map(|n| page(n, &[shard as u8; 500])).collect();
    let commit = |shard| CommitPart {
        shard: ShardId(shard),
        pages: pages_of(shard),
        ..CommitPart::default()
    };
    write(&mut writer, (0..4).map(commit).collect());
    let view = store.snapshot();
    std::thread::scope(|scope| {
        for shard in 0..4_u16 {
            let view = &view;
            scope.spawn(move || {
                let pages = pages(view, shard).unwrap();
                assert_eq!(pages.len(), 50);
                assert!(pages.iter().all(|(_, bytes)| *bytes == [shard as u8; 500]));
            });
        }
    });
}
