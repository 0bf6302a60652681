//! How many files a store keeps open: its bound, however many it has.

use std::fs;
use std::path::Path;

use muster_store::{Commit, Store, StoreConfig};
use tempfile::tempdir;

use crate::support::*;

/// Tables in the directory, many times those that may be open.
const TABLES_MIN: usize = 150;
const OPEN_TABLES_MAX: u16 = 24;

/// Open files of the directory whose name ends so.
fn open(directory: &Path, end: &str) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|file| file.starts_with(directory) && file.to_string_lossy().ends_with(end))
        .count()
}

#[test]
fn as_many_files_are_open_as_the_bound_says_and_no_more() {
    let directory = tempdir().unwrap();
    let at = &directory.path().canonicalize().unwrap();
    let config = StoreConfig {
        open_tables_max: OPEN_TABLES_MAX,
        journal_memtable_bytes: 64 << 10,
        wal_bytes_max: 64 << 10,
        ..config(at)
    };
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    let mut most = (0, 0);
    let mut look = || {
        let (tables, all) = (open(at, ".sst"), open(at, ""));
        most = (most.0.max(tables), most.1.max(all));
    };
    let mut sequence = 0;
    while with_extension(at, "sst").len() < TABLES_MIN {
        sequence += 1;
        write(&mut writer, vec![journal(0, sequence, vec![7; 64 << 10])]);
        look();
    }
    // Two that read everything, side by side.
    let views = [store.snapshot(), store.snapshot()];
    views[0]
        .journal(|entry| {
            if entry.sequence.0 % 50 == 0 {
                views[1].journal(|_| Ok::<(), muster_store::ReadError>(()))?;
            }
            look();
            Ok::<(), muster_store::ReadError>(())
        })
        .unwrap();
    let (tables, all) = most;
    assert!(tables > 0, "tables are kept open");
    // RocksDB divides the bound among 64 parts of its cache, each of which keeps one at least.
    assert!(tables <= 64 + 8, "{tables} tables were open");
    let beside = StoreConfig::OPEN_FILES_MAX - 512;
    assert!(all - tables <= beside as usize / 4, "{all} files were open");
    drop(views);
    write(&mut writer, vec![Commit::default()]);
}
