//! Tables cannot be written or synced while the store is written: in flushes and in compactions. Whole servers meet
//! a failing flush in `muster-crash bad-disk`.

use std::fs;
use std::path::Path;

use muster_engine::{PageNumber, Sequence, ShardId};

use muster_crash::disk::{Action, DiskSettings, FileKind, ForgetfulDisk, Operation, Rule};
use muster_loadgen::random::Random;
use muster_store::{CheckpointMark, Commit, PageWrite, ReadError, Store, Writer};

use super::{Told, config, disk};

const MEMTABLE_BYTES: usize = 64 << 10;
/// RocksDB lets writes wait for a compaction long before.
const COMMITS_MAX: u64 = 20_000;
const PAGES: u32 = 40;
/// Commits between the beginnings of two checkpoints.
const CHECKPOINT: u64 = 10;

/// Bytes that no compression makes small, told by the sequence that they begin with.
fn bytes(sequence: u64) -> Vec<u8> {
    let mut random = Random::new(sequence, 6);
    let rest = (0..250).flat_map(|_| random.bits().to_le_bytes());
    sequence.to_le_bytes().into_iter().chain(rest).collect()
}

/// Every commit has some pages; every tenth ends a checkpoint of all of them and begins the next.
fn commit(sequence: u64) -> Commit<()> {
    let pages = (0..PAGES)
        .filter(|page| u64::from(*page) % CHECKPOINT == sequence % CHECKPOINT)
        .map(|page| PageWrite {
            page: PageNumber(page),
            bytes: bytes(sequence),
        });
    Commit {
        sequence: Sequence(sequence),
        journal: bytes(sequence),
        pages: pages.collect(),
        checkpoint: match sequence % CHECKPOINT {
            0 if sequence > CHECKPOINT => Some(CheckpointMark::Complete),
            1 => Some(CheckpointMark::Begin),
            _ => None,
        },
        ..Commit::default()
    }
}

/// Opens the store and checks what is in it: the journal without a gap up to `promised` or further, and each page
/// as the last commit that wrote it did.
fn recover(directory: &Path, promised: u64, told: &str) -> (Store, Writer) {
    let store = Store::open(&config(directory, MEMTABLE_BYTES))
        .unwrap_or_else(|error| panic!("{told}: {error}"));
    let mut last = None;
    let writer = store.recover(|entry| {
        let sequence = entry.sequence.0;
        let follows = last.is_none_or(|last| sequence == last + 1);
        assert!(follows, "{told}: {sequence} after {last:?}");
        assert!(entry.bytes == bytes(sequence), "{told}: {last:?}");
        last = Some(sequence);
        Ok::<(), ReadError>(())
    });
    let writer = writer.unwrap_or_else(|error| panic!("{told}: {error}"));
    let reached = writer.sequence(ShardId(0)).0;
    assert!(reached >= promised, "{told}: {reached} of {promised}");
    let mut found = 0;
    let pages = store.snapshot().pages(ShardId(0), |page, image| {
        found += 1;
        let expected = (1..=reached)
            .rev()
            .find(|sequence| sequence % CHECKPOINT == u64::from(page.0) % CHECKPOINT);
        assert!(
            Some(image.to_vec()) == expected.map(bytes),
            "{told}: {page}"
        );
        Ok::<(), ReadError>(())
    });
    pages.unwrap_or_else(|error| panic!("{told}: {error}"));
    assert!(
        reached < CHECKPOINT || found == PAGES,
        "{told}: {found} pages"
    );
    (store, writer)
}

/// Writes until the failure has poisoned the store. Returns the sequence that it vouches for.
fn write(directory: &Path, disk: &ForgetfulDisk, rule: Rule, told: &str) -> u64 {
    let (store, mut writer) = recover(directory, 0, told);
    disk.arm(rule);
    let mut sink = Told::default();
    let failed = (1..=COMMITS_MAX).find(|sequence| {
        writer.write(&mut vec![commit(*sequence)], &mut sink);
        sink.failed
    });
    let failed = failed.unwrap_or_else(|| panic!("{told}: {COMMITS_MAX} commits went well"));
    // Nothing is acknowledged any more, and reads go on.
    writer.write(&mut vec![commit(failed + 1)], &mut sink);
    assert_eq!(sink.committed, failed - 1, "{told}");
    assert!(store.health().poisoned().is_some(), "{told}");
    assert!(store.snapshot().checkpoint(ShardId(0)).is_ok(), "{told}");
    sink.committed
}

/// Tables fail in one work of RocksDB, which is told by the thread that does it: no chance decides which it is.
fn fails_in(thread: &'static str, words: &str) {
    for operation in [Operation::Create, Operation::Write, Operation::Sync] {
        for passing in 0..4 {
            let Some((disk, _below)) = disk(DiskSettings::default()) else {
                return;
            };
            let rule = Rule {
                operation,
                file: Some(FileKind::Table),
                thread: Some(thread),
                passing,
                lasting: passing % 2 == 0,
                action: Action::Fail,
            };
            let told = format!("{rule:?}");
            let data = disk.path().join("data");
            let promised = write(&data, &disk, rule, &told);
            let diary = fs::read_to_string(data.join("LOG")).expect("RocksDB keeps a diary");
            assert!(diary.contains(words), "{told}: not in {words}");
            disk.disarm();
            disk.lose_power(passing);
            disk.power_on();
            drop(recover(&data, promised, &told));
        }
    }
}

#[test]
fn a_table_that_cannot_be_written_in_a_flush_costs_nothing_acknowledged() {
    fails_in("rocksdb:high", "background flush error");
}

#[test]
fn a_table_that_cannot_be_written_in_a_compaction_costs_nothing_acknowledged() {
    fails_in("rocksdb:low", "background compaction error");
}
