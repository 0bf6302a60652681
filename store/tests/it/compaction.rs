//! When RocksDB merges the files of pages: not while a recovery reads them, and again afterwards.

use std::path::Path;

use muster_store::{Commit, Store};
use tempfile::tempdir;

use crate::support::*;

/// So many files on level 0 are due to be merged. The runs that leave them find one less at most.
const FILES: usize = 4;

/// Pages of a run: less than a memtable, so that the run leaves one file.
const PAGES: u32 = 150;

/// How often all pages are read before the recovery. Merging them costs about as much as reading them once.
const READS: usize = 300;

/// Writes within which a merge that is due has come about: every two hundredth fills a memtable.
const WRITES_MAX: u32 = 5_000;

/// A page and nothing else, so that no other column family has anything to merge.
fn page_commit(number: u32, byte: u8) -> Commit<()> {
    // Bytes that LZ4 makes little of.
    let noise = |at: u32| (at.wrapping_mul(at).wrapping_mul(2_654_435_761) >> 13) as u8 ^ byte;
    let bytes: Vec<u8> = (0..4_096).map(|at| noise(at + number * 4_096)).collect();
    Commit {
        pages: vec![page(number, &bytes)],
        ..Commit::default()
    }
}

/// Runs that end without a flush: what each has written becomes a file on level 0 when the next one opens.
fn leave_files(directory: &Path) {
    for run in 0..FILES {
        let store = Store::open(&config(directory)).unwrap();
        let (mut writer, _) = recover(&store);
        for number in 0..PAGES {
            write(&mut writer, vec![page_commit(number, run as u8)]);
        }
    }
}

#[test]
fn files_of_pages_are_merged_after_a_recovery_and_not_before() {
    let directory = tempdir().unwrap();
    leave_files(directory.path());

    let store = Store::open(&config(directory.path())).unwrap();
    let files = with_extension(directory.path(), "sst");
    assert!(files.len() >= FILES, "{files:?}");
    // RocksDB counts the files that it makes of the log here, too.
    let opened = store.metrics().compaction_bytes;
    for _ in 0..READS {
        assert_eq!(pages(&store.snapshot(), 0).unwrap().len(), PAGES as usize);
    }
    assert_eq!(with_extension(directory.path(), "sst"), files);
    assert_eq!(store.metrics().compaction_bytes, opened);

    let (mut writer, _) = recover(&store);
    let mut writes = 0;
    while store.metrics().compaction_bytes == opened {
        assert!(writes < WRITES_MAX, "nothing is merged after the recovery");
        write(&mut writer, vec![page_commit(writes % PAGES, 9)]);
        writes += 1;
    }
    assert_eq!(pages(&store.snapshot(), 0).unwrap().len(), PAGES as usize);
}
