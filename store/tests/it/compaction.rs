//! Compaction of pages: disabled until recovery has read them, and no more than a checkpoint replaces.

use std::path::Path;

use muster_engine::ShardId;
use muster_store::{CommitPart, Store, StoreConfig};
use tempfile::tempdir;

use crate::support::*;

/// Files on level 0 at which compaction is triggered. The runs that create them start with fewer.
const FILES: usize = 4;

/// Pages written by a run: less than a memtable, so that the run leaves one file.
const PAGES: u32 = 150;

/// Number of times all pages are read before recovery. Compacting them takes about as long as reading them once.
const READS: usize = 300;

/// Writes within which a pending compaction must run: every two hundredth fills a memtable.
const WRITES_MAX: u32 = 5_000;

/// A commit of one page only, so that no other column family has files to compact.
fn page_commit(number: u32, byte: u8) -> CommitPart {
    // Bytes that LZ4 hardly compresses.
    let noise = |at: u32| (at.wrapping_mul(at).wrapping_mul(2_654_435_761) >> 13) as u8 ^ byte;
    let bytes: Vec<u8> = (0..4_096).map(|at| noise(at + number * 4_096)).collect();
    CommitPart {
        pages: vec![page(number, &bytes)],
        ..CommitPart::default()
    }
}

/// Runs that end without a flush: the next opening writes the log of each to a file on level 0.
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
fn pages_are_compacted_after_recovery_and_not_before() {
    let directory = tempdir().unwrap();
    leave_files(directory.path());

    let store = Store::open(&config(directory.path())).unwrap();
    let files = with_extension(directory.path(), "sst");
    assert!(files.len() >= FILES, "{files:?}");
    // RocksDB also counts the files that it writes from the log.
    let opened = store.metrics().compaction_bytes;
    for _ in 0..READS {
        assert_eq!(pages(&store.snapshot(), 0).unwrap().len(), PAGES as usize);
    }
    assert_eq!(with_extension(directory.path(), "sst"), files);
    assert_eq!(store.metrics().compaction_bytes, opened);

    let (mut writer, _) = recover(&store);
    let mut writes = 0;
    while store.metrics().compaction_bytes == opened {
        assert!(writes < WRITES_MAX, "no compaction after recovery");
        write(&mut writer, vec![page_commit(writes % PAGES, 9)]);
        writes += 1;
    }
    assert_eq!(pages(&store.snapshot(), 0).unwrap().len(), PAGES as usize);
}

/// Checkpoints of 24 MiB, one shard after the other, in page order.
#[test]
fn the_pages_of_a_checkpoint_are_compacted_with_those_they_replace_and_no_others() {
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
                let commit = CommitPart {
                    shard: ShardId(shard),
                    pages,
                    ..CommitPart::default()
                };
                write(&mut writer, vec![commit]);
            }
            checkpoint(&mut writer, shard, Vec::new());
        }
    }
    let metrics = store.metrics();
    let written = ROUNDS * u64::from(SHARDS) * u64::from(PAGES) * 8_192;
    let compacted = metrics.compaction_bytes as f64 / written as f64;
    println!("{compacted:.2} bytes compacted per byte of a page, {metrics:?}");
    assert!(compacted < 1.5, "{compacted:.2} bytes per byte of a page");
    assert_eq!(pages(&store.snapshot(), 1).unwrap().len(), PAGES as usize);
}
