//! When RocksDB merges the files of pages: not while a recovery reads them, and again afterwards. And how much: no
//! more than what a checkpoint replaces.

use std::path::Path;

use muster_engine::ShardId;
use muster_store::{Commit, Store, StoreConfig};
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

/// Checkpoints of 24 MiB, one shard after the other, in the order of their pages.
#[test]
fn a_checkpoint_is_merged_with_the_pages_it_replaces_and_no_others() {
    const SHARDS: u16 = 2;
    const PAGES: u32 = 1_500;
    const ROUNDS: u64 = 6;
    let directory = tempdir().unwrap();
    let config = StoreConfig {
        pages_memtable_bytes: 4 << 20,
        ..config(directory.path())
    };
    let store = Store::open(&config).unwrap();
    let (mut writer, _) = recover(&store);
    let numbers: Vec<u32> = (0..PAGES).collect();
    for round in 0..ROUNDS {
        for shard in 0..SHARDS {
            for some in numbers.chunks(100) {
                let page = |&number| page(number, &[round as u8; 8_192]);
                let pages = some.iter().map(page).collect();
                let commit = Commit {
                    shard: ShardId(shard),
                    pages,
                    ..Commit::default()
                };
                write(&mut writer, vec![commit]);
            }
            checkpoint(&mut writer, shard, Vec::new());
        }
    }
    let metrics = store.metrics();
    let written = ROUNDS * u64::from(SHARDS) * u64::from(PAGES) * 8_192;
    let merged = metrics.compaction_bytes as f64 / written as f64;
    println!("{merged:.2} bytes merged for each byte of a page, {metrics:?}");
    assert!(merged < 1.5, "{merged:.2} bytes for each byte of a page");
    assert_eq!(pages(&store.snapshot(), 1).unwrap().len(), PAGES as usize);
}
