//! Damaged bytes are detected, reported and never served; acknowledged data is never dropped silently.

use std::fs;
use std::path::Path;

use muster_store::{CommitPart, OpenError, ReadError, Store};
use rocksdb::{Cache, DB, Env, Options};
use tempfile::{TempDir, tempdir};

use crate::support::*;

const JOURNAL: &[u8] = b"the journal value to be damaged";
const PAGE: &[u8] = b"the page to be damaged";

/// A stopped store: its values are in table files after `close`, otherwise in the log.
fn stored(close: bool) -> TempDir {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    let first = CommitPart {
        pages: vec![page(0, PAGE)],
        ..journal(0, 1, JOURNAL)
    };
    write(&mut writer, vec![first]);
    write(&mut writer, vec![journal(0, 2, "after the damage")]);
    drop(writer);
    if close {
        store.close().unwrap();
    }
    directory
}

fn open(directory: &Path) -> Result<Store, OpenError> {
    Store::open(&config(directory))
}

#[test]
fn a_flipped_journal_byte_in_a_table_file_is_corrupt() {
    let directory = stored(true);
    let file = flip(directory.path(), "sst", JOURNAL);
    let error = try_recover(&open(directory.path()).unwrap()).unwrap_err();
    let ReadError::Corrupt { keyspace, what } = &error else {
        panic!("{error}")
    };
    assert_eq!(*keyspace, "journal");
    assert!(
        what.contains(file.file_name().unwrap().to_str().unwrap()),
        "{what}"
    );
}

#[test]
fn a_flipped_page_byte_in_a_table_file_is_corrupt() {
    let directory = stored(true);
    flip(directory.path(), "sst", PAGE);
    let store = open(directory.path()).unwrap();
    let error = pages(&store.snapshot(), 0).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Corrupt {
                keyspace: "pages",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(recover(&store).1.len(), 2, "the journal is intact");
}

#[test]
fn a_flipped_byte_in_the_log_refuses_the_directory_and_changes_no_data() {
    let directory = stored(false);
    flip(directory.path(), "log", JOURNAL);
    let data = |path: &Path| {
        let mut files = files(path);
        // RocksDB's info log and lock file.
        files.retain(|name, _| !name.starts_with("LOG") && name != "LOCK");
        files
    };
    let before = data(directory.path());
    for error in [
        open(directory.path()).unwrap_err(),
        Store::open_read_only(&config(directory.path())).unwrap_err(),
    ] {
        assert!(
            matches!(error, OpenError::AcknowledgedMissing { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("checksum"), "{error}");
    }
    assert_eq!(data(directory.path()), before);
    // Without the mark, damage is not taken for the end of the log.
    fs::remove_file(directory.path().join("ACKNOWLEDGED")).unwrap();
    for error in [
        open(directory.path()).unwrap_err(),
        Store::open_read_only(&config(directory.path())).unwrap_err(),
    ] {
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("checksum"), "{error}");
    }
}

#[test]
fn a_missing_table_file_manifest_or_database_is_corrupt() {
    let remove = |pick: fn(&str) -> bool| {
        let directory = stored(true);
        for name in files(directory.path())
            .into_keys()
            .filter(|name| pick(name))
        {
            fs::remove_file(directory.path().join(name)).unwrap();
        }
        let opened = open(directory.path()).and_then(|store| {
            // A missing file may be detected only when it is read.
            let read = try_recover(&store)
                .map(drop)
                .and(pages(&store.snapshot(), 0).map(drop));
            read.map_err(|error| OpenError::Corrupt {
                directory: directory.path().to_path_buf(),
                what: error.to_string(),
            })
        });
        let error = opened.unwrap_err();
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    };
    remove(|name| name.ends_with(".sst"));
    remove(|name| name.starts_with("MANIFEST"));
    remove(|name| name == "CURRENT");
    remove(|name| name != "FORMAT");
}

#[test]
fn a_missing_log_is_detected() {
    let directory = tempdir().unwrap();
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    // Pages fill their memtable and start new logs; the journal values stay in the older ones.
    for sequence in 1..=6 {
        let pages = (0..60)
            .map(|n| page(n, &[sequence as u8; 10_000]))
            .collect();
        write(
            &mut writer,
            vec![CommitPart {
                pages,
                ..journal(0, sequence, "small")
            }],
        );
    }
    drop((writer, store));
    let logs = with_extension(directory.path(), "log");
    assert!(logs.len() > 1, "the test requires an older log");
    fs::remove_file(&logs[0]).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

#[test]
fn a_journal_that_lost_its_tail_is_detected_by_the_checkpoint() {
    let (directory, copied) = (tempdir().unwrap(), tempdir().unwrap());
    let store = Store::open(&config(directory.path())).unwrap();
    let (mut writer, _) = recover(&store);
    write(
        &mut writer,
        vec![journal(0, 1, "a"), journal(1, 1, "b"), journal(1, 2, "c")],
    );
    checkpoint(&mut writer, 0, Vec::new());
    copy(directory.path(), copied.path());
    drop((writer, store));
    let intact = Store::open(&config(copied.path())).unwrap();
    assert_eq!(
        recover(&intact).1,
        [(2, 1, 1, b"b".to_vec()), (3, 1, 2, b"c".to_vec())]
    );
}

#[test]
fn a_file_format_that_disagrees_with_the_database_is_corrupt() {
    let directory = stored(true);
    fs::write(
        directory.path().join("FORMAT"),
        "muster-store 1\nshards 5\n",
    )
    .unwrap();
    let error = Store::open(&config(directory.path()).with_shards(5)).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    fs::write(directory.path().join("FORMAT"), "muster-store 1\n").unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(OpenError::Corrupt { .. })
    ));
}

#[test]
fn a_database_without_its_format_is_corrupt() {
    let directory = stored(true);
    let (environment, cache) = (Env::new().unwrap(), Cache::new_lru_cache(1 << 20));
    let (options, families) =
        Options::load_latest(directory.path(), environment, false, cache).unwrap();
    let database = DB::open_cf_descriptors(&options, directory.path(), families).unwrap();
    let meta = database.cf_handle("meta").unwrap();
    database.delete_cf(meta, "format").unwrap();
    drop(database);
    let error = open(directory.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("its format differs from that in file FORMAT"),
        "{error}"
    );
}
