//! A read-only open includes the tail of the log and changes no file.

use muster_engine::{Revision, Sequence, ShardId};
use muster_store::{CommitPart, Store};
use tempfile::tempdir;

use crate::support::*;

#[test]
fn a_reader_of_a_killed_server_reads_the_log_and_changes_nothing() {
    let (directory, crashed) = (tempdir().unwrap(), tempdir().unwrap());
    let store = Store::open(&config(directory.path())).unwrap();
    store.append_control(Revision(1), b"entry", None).unwrap();
    let (mut writer, _) = recover(&store);
    for sequence in 1..=100 {
        let pages = vec![page(sequence as u32, &[sequence as u8; 1_000])];
        write(
            &mut writer,
            vec![CommitPart {
                pages,
                ..journal(1, sequence, vec![1; 30_000])
            }],
        );
    }
    checkpoint(&mut writer, 1, Vec::new());
    write(&mut writer, vec![journal(1, 101, "only in the log")]);
    copy(directory.path(), crashed.path());

    let before = files(crashed.path());
    let reader = Store::open_read_only(&config(crashed.path())).unwrap();
    let view = reader.view();
    assert_eq!(view.shards(), 4);
    assert_eq!(
        entries(&view).unwrap(),
        [(101, 1, 101, b"only in the log".to_vec())]
    );
    assert_eq!(pages(&view, 1).unwrap().len(), 100);
    assert_eq!(
        view.checkpoint(ShardId(1))
            .unwrap()
            .unwrap()
            .cursor_sequence,
        Sequence(100)
    );
    let mut log = Vec::new();
    view.control_log(|revision, bytes| {
        log.push((revision, bytes.to_vec()));
        Ok::<(), muster_store::ReadError>(())
    })
    .unwrap();
    assert_eq!(log, [(Revision(1), b"entry".to_vec())]);
    drop(view);
    drop(reader);
    assert_eq!(files(crashed.path()), before);

    // The server starts from the same bytes.
    let (_, entries) = recover(&Store::open(&config(crashed.path())).unwrap());
    assert_eq!(entries, [(101, 1, 101, b"only in the log".to_vec())]);
}

#[test]
fn a_reader_of_a_closed_store_changes_nothing() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    write(&mut writer, vec![journal(0, 1, "a")]);
    drop(writer);
    store.close().unwrap();
    let before = files(directory.path());
    let reader = Store::open_read_only(&config(directory.path())).unwrap();
    assert_eq!(entries(&reader.view()).unwrap(), [(1, 0, 1, b"a".to_vec())]);
    drop(reader);
    assert_eq!(files(directory.path()), before);
}
