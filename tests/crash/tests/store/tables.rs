//! Tables cannot be created, written or synced in flushes and compactions of a store under load. `muster-crash
//! bad-disk` tests a failing flush with servers.

use std::fs;
use std::path::Path;

use muster_crash::disk::{Action, DiskSettings, FaultDisk, FileKind, Operation, Rule};
use muster_engine::{PageNumber, Sequence, ShardId};
use muster_store::{CheckpointMark, Commit, CommitPart, PageWrite, ReadError, Store, Writer};
use muster_testkit::random::Random;

use super::{RecordingSink, config, disk};

const MEMTABLE_BYTES: usize = 64 << 10;
/// Maximum number of commits; RocksDB stalls writes for a compaction much earlier.
const COMMITS_MAX: u64 = 20_000;
const PAGES: u32 = 40;
/// Commits per checkpoint.
const CHECKPOINT: u64 = 10;

/// Incompressible bytes, determined by the sequence that they begin with.
fn bytes(sequence: u64) -> Vec<u8> {
    let mut random = Random::new(sequence, 6);
    let rest = (0..250).flat_map(|_| random.bits().to_le_bytes());
    sequence.to_le_bytes().into_iter().chain(rest).collect()
}

/// Every commit writes some pages; every tenth completes a checkpoint, and the next one begins another.
fn commit(sequence: u64) -> Commit<()> {
    let pages = (0..PAGES)
        .filter(|page| u64::from(*page) % CHECKPOINT == sequence % CHECKPOINT)
        .map(|page| PageWrite {
            page: PageNumber(page),
            bytes: bytes(sequence),
        });
    let part = CommitPart {
        sequence: Sequence(sequence),
        journal: bytes(sequence),
        pages: pages.collect(),
        checkpoint: match sequence % CHECKPOINT {
            0 if sequence > CHECKPOINT => Some(CheckpointMark::Complete),
            1 => Some(CheckpointMark::Begin),
            _ => None,
        },
        ..CommitPart::default()
    };
    part.into()
}

/// Opens the store and checks that the journal has no gap and ends at `durable` or later, and that each page is
/// that of the last commit that wrote it.
fn recover(directory: &Path, durable: u64, context: &str) -> (Store, Writer) {
    let store = Store::open(&config(directory, MEMTABLE_BYTES))
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut last = None;
    let writer = store.recover(|entry| {
        let sequence = entry.sequence.0;
        let follows = last.is_none_or(|last| sequence == last + 1);
        assert!(follows, "{context}: {sequence} after {last:?}");
        assert!(entry.bytes == bytes(sequence), "{context}: {last:?}");
        last = Some(sequence);
        Ok::<(), ReadError>(())
    });
    let writer = writer.unwrap_or_else(|error| panic!("{context}: {error}"));
    let reached = writer.sequence(ShardId(0)).0;
    assert!(reached >= durable, "{context}: {reached} of {durable}");
    let mut found = 0;
    let pages = store.snapshot().pages(ShardId(0), |page, image| {
        found += 1;
        let expected = (1..=reached)
            .rev()
            .find(|sequence| sequence % CHECKPOINT == u64::from(page.0) % CHECKPOINT);
        assert!(
            Some(image.to_vec()) == expected.map(bytes),
            "{context}: {page}"
        );
        Ok::<(), ReadError>(())
    });
    pages.unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(
        reached < CHECKPOINT || found == PAGES,
        "{context}: {found} pages"
    );
    (store, writer)
}

/// Writes until the failure has poisoned the store. Returns the last sequence that the store has reported as durable.
fn write(directory: &Path, disk: &FaultDisk, rule: Rule, context: &str) -> u64 {
    let (store, mut writer) = recover(directory, 0, context);
    disk.arm(rule);
    let mut sink = RecordingSink::default();
    let failed = (1..=COMMITS_MAX).find(|sequence| {
        writer.write(&mut vec![commit(*sequence)], &mut sink);
        sink.failed
    });
    let failed = failed.unwrap_or_else(|| panic!("{context}: {COMMITS_MAX} commits succeeded"));
    // Later commits fail, and reads succeed.
    writer.write(&mut vec![commit(failed + 1)], &mut sink);
    assert_eq!(sink.committed, failed - 1, "{context}");
    assert!(store.health().poisoned().is_some(), "{context}");
    assert!(store.snapshot().checkpoint(ShardId(0)).is_ok(), "{context}");
    sink.committed
}

/// Lets table operations fail in the threads of this name, which run either flushes or compactions.
fn fails_in(thread: &'static str, log_text: &str) {
    for operation in [Operation::Create, Operation::Write, Operation::Sync] {
        for skip in 0..4 {
            let Some((disk, _below)) = disk(DiskSettings::default()) else {
                return;
            };
            let rule = Rule {
                operation,
                file: Some(FileKind::Table),
                thread: Some(thread),
                skip,
                persistent: skip % 2 == 0,
                action: Action::Fail,
            };
            let context = format!("{rule:?}");
            let data = disk.path().join("data");
            let durable = write(&data, &disk, rule, &context);
            let log = fs::read_to_string(data.join("LOG")).expect("RocksDB writes an info log");
            assert!(log.contains(log_text), "{context}: no {log_text}");
            disk.disarm();
            disk.lose_power(skip);
            disk.power_on();
            drop(recover(&data, durable, &context));
        }
    }
}

#[test]
fn a_table_that_cannot_be_written_in_a_flush_loses_nothing_durable() {
    fails_in("rocksdb:high", "background flush error");
}

#[test]
fn a_table_that_cannot_be_written_in_a_compaction_loses_nothing_durable() {
    fails_in("rocksdb:low", "background compaction error");
}
