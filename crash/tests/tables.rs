//! Tables that cannot be written or synced while a store is written: in flushes and in compactions.
//!
//! In one process with small memtables, so that both happen all the time and the failure can fall on any of
//! them; whole servers meet a failing flush in `muster-crash bad-disk`.

use std::fs;
use std::path::Path;

use muster_crash::disk::{Action, DiskSettings, FileKind, ForgetfulDisk, Operation, Rule};
use muster_loadgen::random::Random;
use muster_store::{CheckpointMark, Commit, PageWrite, PoisonReason, ReadError, Sink, Store};
use muster_store::{StoreConfig, Writer};

const COMMITS: u64 = 300;
const PAGES: u32 = 40;
/// Commits between the beginnings of two checkpoints.
const CHECKPOINT: u64 = 10;

fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        journal_memtable_bytes: 64 << 10,
        pages_memtable_bytes: 64 << 10,
        wal_bytes_max: 256 << 10,
        ..StoreConfig::new(directory).with_shards(1)
    }
}

#[derive(Default)]
struct Told {
    committed: u64,
    failed: bool,
}

impl Sink<()> for Told {
    fn committed(&mut self, commit: Commit<()>, _: std::time::Instant) {
        self.committed = commit.sequence;
    }

    fn failed(&mut self, _: Commit<()>, _: &PoisonReason) {
        self.failed = true;
    }
}

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
            page,
            bytes: bytes(sequence),
        });
    Commit {
        sequence,
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
    let store = Store::open(&config(directory)).unwrap_or_else(|error| panic!("{told}: {error}"));
    let mut last = None;
    let writer = store.recover(|entry| {
        let follows = last.is_none_or(|last| entry.sequence == last + 1);
        assert!(follows, "{told}: {} after {last:?}", entry.sequence);
        assert!(entry.bytes == bytes(entry.sequence), "{told}: {last:?}");
        last = Some(entry.sequence);
        Ok::<(), ReadError>(())
    });
    let writer = writer.unwrap_or_else(|error| panic!("{told}: {error}"));
    let reached = writer.sequence(0);
    assert!(reached >= promised, "{told}: {reached} of {promised}");
    let mut found = 0;
    let pages = store.snapshot().pages(0, |page, image| {
        found += 1;
        let expected = (1..=reached)
            .rev()
            .find(|sequence| sequence % CHECKPOINT == u64::from(page) % CHECKPOINT);
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

/// What became of the writing, and in which work of RocksDB's the disk failed, as its diary says.
struct Met {
    promised: u64,
    poisoned: bool,
    diary: String,
}

fn write(directory: &Path, disk: &ForgetfulDisk, rule: Rule, told: &str) -> Met {
    let (store, mut writer) = recover(directory, 0, told);
    disk.arm(rule);
    let mut sink = Told::default();
    for sequence in 1..=COMMITS {
        writer.write(&mut vec![commit(sequence)], &mut sink);
        if sink.failed {
            // Nothing is acknowledged any more, and reads go on.
            writer.write(&mut vec![commit(sequence + 1)], &mut sink);
            assert_eq!(sink.committed, sequence - 1, "{told}");
            assert!(store.snapshot().checkpoint(0).is_ok(), "{told}");
            break;
        }
    }
    let poisoned = store.health().poisoned().is_some();
    assert_eq!(poisoned, sink.failed, "{told}");
    let diary = fs::read_to_string(directory.join("LOG")).expect("RocksDB keeps a diary");
    Met {
        promised: sink.committed,
        poisoned,
        diary,
    }
}

#[test]
fn a_table_that_cannot_be_written_in_flush_or_compaction_costs_nothing_acknowledged() {
    let (mut poisoned, mut in_flush, mut in_compaction) = (0, 0, 0);
    // Which work the failure falls on is up to RocksDB's threads: on until it was each of them.
    for passing in (0..50).step_by(5) {
        if passing >= 15 && in_flush > 0 && in_compaction > 0 {
            break;
        }
        for operation in [Operation::Create, Operation::Write, Operation::Sync] {
            let below = tempfile::tempdir().expect("a temporary directory");
            let disk = match ForgetfulDisk::mount(below.path(), DiskSettings::default()) {
                Ok(disk) => disk,
                Err(error) => {
                    eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
                    return;
                }
            };
            let rule = Rule {
                operation,
                file: Some(FileKind::Table),
                passing,
                lasting: passing % 2 == 0,
                action: Action::Fail,
            };
            let told = format!("{rule:?}");
            let data = disk.path().join("data");
            let met = write(&data, &disk, rule, &told);
            poisoned += u64::from(met.poisoned);
            in_flush += u64::from(met.diary.contains("background flush error"));
            in_compaction += u64::from(met.diary.contains("background compaction error"));
            assert!(met.poisoned || met.promised == COMMITS, "{told}");
            disk.disarm();
            disk.lose_power(passing);
            disk.power_on();
            drop(recover(&data, met.promised, &told));
        }
    }
    eprintln!("{poisoned} poisoned, {in_flush} failed in a flush, {in_compaction} in a compaction");
    assert!(in_flush > 0, "no flush has met the failure");
    assert!(in_compaction > 0, "no compaction has met the failure");
}
