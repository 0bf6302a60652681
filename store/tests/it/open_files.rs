//! Number of files that a store keeps open: limited, however many it has.

use std::fs;
use std::path::Path;

use muster_store::{CommitPart, Store, StoreConfig};
use tempfile::tempdir;

use crate::support::*;

/// Table files in the directory, several times the limit of open ones.
const TABLES_MIN: usize = 150;
const OPEN_TABLES_MAX: u16 = 24;

/// Number of open files of the directory with this suffix.
fn open_files(directory: &Path, end: &str) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|file| file.starts_with(directory) && file.to_string_lossy().ends_with(end))
        .count()
}

#[test]
fn open_files_stay_within_the_limit() {
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
    let mut sample = || {
        let (tables, all) = (open_files(at, ".sst"), open_files(at, ""));
        most = (most.0.max(tables), most.1.max(all));
    };
    let mut sequence = 0;
    while with_extension(at, "sst").len() < TABLES_MIN {
        sequence += 1;
        write(&mut writer, vec![journal(0, sequence, vec![7; 64 << 10])]);
        sample();
    }
    // Two concurrent full scans.
    let views = [store.snapshot(), store.snapshot()];
    views[0]
        .journal(|entry| {
            if entry.sequence.0 % 50 == 0 {
                views[1].journal(|_| Ok::<(), muster_store::ReadError>(()))?;
            }
            sample();
            Ok::<(), muster_store::ReadError>(())
        })
        .unwrap();
    let (tables, all) = most;
    assert!(tables > 0, "tables are kept open");
    // RocksDB divides the limit among 64 shards of its table cache, each of which keeps at least one.
    assert!(tables <= 64 + 8, "{tables} tables were open");
    let beside = StoreConfig::OPEN_FILES_MAX - 512;
    assert!(all - tables <= beside as usize / 4, "{all} files were open");
    drop(views);
    write(&mut writer, vec![CommitPart::default()]);
}
