//! Directories that are refused, with a typed error, and stay unchanged.

use std::fs;

use muster_store::{OpenError, Store};
use tempfile::tempdir;

use crate::support::*;

#[test]
fn an_open_directory_is_in_use_until_it_is_closed() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    let error = Store::open(&config).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(
        error
            .to_string()
            .contains(&directory.path().display().to_string())
    );
    assert!(matches!(
        Store::open_read_only(&config),
        Err(OpenError::InUse { .. })
    ));
    let (writer, _) = recover(&store);
    drop(store);
    assert!(
        matches!(Store::open(&config), Err(OpenError::InUse { .. })),
        "the writer is not dropped"
    );
    drop(writer);
    Store::open(&config).unwrap();
}

#[test]
fn readers_share_a_directory_and_exclude_a_server() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    drop(Store::open(&config).unwrap());
    let first = Store::open_read_only(&config).unwrap();
    let second = Store::open_read_only(&config).unwrap();
    assert!(matches!(Store::open(&config), Err(OpenError::InUse { .. })));
    drop((first, second));
    Store::open(&config).unwrap();
}

#[test]
fn another_format_is_refused_and_no_file_changes() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    let store = Store::open(&config).unwrap();
    write(&mut recover(&store).0, vec![journal(0, 1, "kept")]);
    drop(store);
    // Another format may have any text after its version.
    for rest in ["something = new\n", "shards 4\n"] {
        fs::write(
            directory.path().join("FORMAT"),
            format!("muster-store 2\n{rest}"),
        )
        .unwrap();
        let before = files(directory.path());
        for error in [
            Store::open(&config).unwrap_err(),
            Store::open_read_only(&config).unwrap_err(),
        ] {
            assert!(matches!(
                error,
                OpenError::OtherFormat {
                    found: 2,
                    supported: 1,
                    ..
                }
            ));
            let advice = "has format 2, but this program reads format 1: run the version of Muster that wrote it";
            assert!(error.to_string().ends_with(advice), "{error}");
        }
        assert_eq!(files(directory.path()), before);
    }
}

#[test]
fn a_directory_with_other_files_is_refused_and_no_file_changes() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    let before = files(directory.path());
    let config = config(directory.path());
    assert!(matches!(
        Store::open(&config),
        Err(OpenError::NotADataDirectory { .. })
    ));
    assert!(matches!(
        Store::open_read_only(&config),
        Err(OpenError::NotADataDirectory { .. })
    ));
    fs::write(directory.path().join("FORMAT"), "something else 1\n").unwrap();
    assert!(matches!(
        Store::open(&config),
        Err(OpenError::NotADataDirectory { .. })
    ));
    fs::remove_file(directory.path().join("FORMAT")).unwrap();
    assert_eq!(files(directory.path()), before);
}

#[test]
fn another_number_of_shards_is_refused_and_no_file_changes() {
    let directory = tempdir().unwrap();
    let config = config(directory.path());
    drop(Store::open(&config).unwrap());
    let before = files(directory.path());
    let error = Store::open(&config.clone().with_shards(8)).unwrap_err();
    let refused = OpenError::ShardCountDiffers {
        directory: directory.path().canonicalize().unwrap(),
        found: 4,
        expected: 8,
    };
    assert_eq!(error.to_string(), refused.to_string());
    let error = Store::open_read_only(&config.with_shards(8)).unwrap_err();
    assert_eq!(error.to_string(), refused.to_string());
    assert_eq!(files(directory.path()), before);
}

#[test]
fn a_missing_directory_is_created_but_not_by_a_reader() {
    let directory = tempdir().unwrap();
    let config = config(&directory.path().join("deep/data"));
    assert!(matches!(
        Store::open_read_only(&config),
        Err(OpenError::Missing { .. })
    ));
    assert!(!config.directory.exists());
    drop(Store::open(&config).unwrap());
    assert_eq!(
        fs::read_to_string(config.directory.join("FORMAT")).unwrap(),
        "muster-store 1\nshards 4\n"
    );
    assert!(!config.directory.join("FORMAT.creating").exists());
}

#[test]
fn an_interrupted_creation_is_completed_by_the_next_start() {
    // Every state that a crash can leave: the file empty, torn or complete, with and without a database.
    let whole = tempdir().unwrap();
    drop(Store::open(&config(whole.path())).unwrap());
    for text in ["", "muster-st", "muster-store 1\nshards 4\n"] {
        for keep_database in [false, true] {
            let directory = tempdir().unwrap();
            if keep_database {
                copy(whole.path(), directory.path());
                fs::remove_file(directory.path().join("FORMAT")).unwrap();
            }
            fs::write(directory.path().join("FORMAT.creating"), text).unwrap();
            let config = config(directory.path());
            assert!(matches!(
                Store::open_read_only(&config),
                Err(OpenError::NotADataDirectory { .. })
            ));
            let store = Store::open(&config).unwrap();
            write(&mut recover(&store).0, vec![journal(0, 1, "works")]);
            drop(store);
            assert_eq!(recover(&Store::open(&config).unwrap()).1.len(), 1);
        }
    }
}

#[test]
fn a_partly_created_database_is_completed_by_the_next_start() {
    // RocksDB writes a manifest, CURRENT, a log, then one column family after the other; the store writes meta last.
    let families: [&[&str]; 3] = [
        &[],
        &["journal", "pages"],
        &["journal", "pages", "inventory", "control", "meta"],
    ];
    for (made, manifest_only) in [(0, true), (0, false), (1, false), (2, false)] {
        let directory = tempdir().unwrap();
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        drop(rocksdb::DB::open_cf(&options, directory.path(), families[made]).unwrap());
        if manifest_only {
            for name in files(directory.path()).into_keys() {
                if name == "CURRENT" || name.ends_with(".log") {
                    fs::remove_file(directory.path().join(name)).unwrap();
                }
            }
        }
        fs::write(directory.path().join("FORMAT.creating"), "").unwrap();
        let store = Store::open(&config(directory.path())).unwrap();
        write(&mut recover(&store).0, vec![journal(0, 1, "works")]);
        drop(store);
        assert_eq!(
            recover(&Store::open(&config(directory.path())).unwrap())
                .1
                .len(),
            1
        );
    }
}
