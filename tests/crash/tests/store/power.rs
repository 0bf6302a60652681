//! The disk loses power at every kind of system call: after each cycle, everything that the store reported as
//! durable is recovered. `muster-crash run --disk power-loss` tests the same with servers.

use std::path::Path;

use muster_crash::disk::{
    Action, DiskSettings, EntryDurability, FileKind, Operation, Rule, Timing,
};
use muster_engine::{Sequence, ShardId};
use muster_store::{CommitPart, ReadError, Store};
use muster_testkit::random::Random;

use super::{RecordingSink, config, disk};

const MEMTABLE_BYTES: usize = 128 << 10;

/// The bytes of a journal value, determined by its sequence: some are small, some cover many sectors.
fn bytes(sequence: u64) -> Vec<u8> {
    let mut random = Random::new(sequence, 5);
    let words = [5, 90, 800, 4_000][random.below(4) as usize];
    let words = (0..words).map(|_| random.bits().to_le_bytes());
    words.flatten().collect()
}

/// Opens the store, checks that its journal has at least the first `durable` values and no wrong one, and writes
/// until a commit fails or `commits` are written. Returns the last sequence that the store has reported as durable.
fn run(directory: &Path, durable: u64, commits: u64, context: &str) -> Result<u64, String> {
    let store =
        Store::open(&config(directory, MEMTABLE_BYTES)).map_err(|error| error.to_string())?;
    let mut found = 0;
    let recovered = store.recover(|entry| {
        found += 1;
        assert_eq!(entry.sequence.0, found, "{context}");
        assert!(entry.bytes == bytes(found), "{context}: the value {found}");
        Ok::<(), ReadError>(())
    });
    let mut writer = recovered.map_err(|error| error.to_string())?;
    assert!(
        found >= durable,
        "{context}: {found} of {durable} values are recovered"
    );
    let mut sink = RecordingSink {
        committed: found,
        failed: false,
    };
    for sequence in found + 1..=found + commits {
        let part = CommitPart {
            shard: ShardId(0),
            sequence: Sequence(sequence),
            journal: bytes(sequence),
            ..CommitPart::default()
        };
        writer.write(&mut vec![part.into()], &mut sink);
        if sink.failed {
            break;
        }
    }
    Ok(sink.committed)
}

#[test]
fn the_name_of_a_new_directory_survives_a_power_loss() {
    for seed in 0..20 {
        let Some((disk, _below)) = disk(DiskSettings::default()) else {
            return;
        };
        // Two directories are created, so two parents must be synced.
        let data = disk.path().join("var/data");
        let durable = run(&data, 0, 3, "new").unwrap();
        disk.lose_power(seed);
        disk.power_on();
        let context = format!("seed {seed}");
        assert_eq!(run(&data, durable, 0, &context), Ok(3), "{context}");
    }
}

fn rule(random: &mut Random) -> Rule {
    let timings = [Timing::Before, Timing::During, Timing::After];
    let (operation, file, skip_max) = random.choose_weighted(&[
        ((Operation::Write, Some(FileKind::Log), 60), 30),
        ((Operation::Sync, Some(FileKind::Log), 60), 30),
        ((Operation::Write, None, 80), 5),
        ((Operation::Sync, None, 80), 5),
        ((Operation::SyncDirectory, None, 8), 10),
        ((Operation::Create, None, 10), 10),
        ((Operation::Rename, None, 4), 5),
        ((Operation::Unlink, None, 8), 5),
    ]);
    Rule {
        operation,
        file,
        thread: None,
        skip: random.below(skip_max),
        persistent: false,
        action: Action::LosePower {
            timing: timings[random.below(3) as usize],
            seed: random.bits(),
        },
    }
}

/// Cycles per disk. The journal is not trimmed here, so it grows with each.
const CYCLES_ON_A_DISK: u64 = 10;

/// Runs cycles on new disks: everything durable survives, at whichever system call the power is lost.
fn run_cycles(entries: EntryDurability, first_seed: u64, cycles: u64) {
    let settings = DiskSettings {
        entries,
        ..DiskSettings::default()
    };
    let (mut cut, mut written) = (0, 0);
    let mut seed = first_seed;
    while seed < first_seed + cycles {
        let Some((disk, _below)) = disk(settings) else {
            return;
        };
        let data = disk.path().join("data");
        let mut durable = 0;
        for _ in 0..CYCLES_ON_A_DISK {
            let mut random = Random::new(seed, 1);
            let rule = rule(&mut random);
            let context = format!("seed {seed}, {entries:?}, {rule:?}");
            disk.arm(rule);
            let result = run(&data, durable, random.below(80), &context);
            cut += u64::from(disk.loss().is_some());
            match result {
                Ok(now_durable) => {
                    written += now_durable - durable;
                    durable = now_durable;
                }
                // Only a power loss may prevent the store from opening.
                Err(error) => assert!(disk.loss().is_some(), "{context}: {error}"),
            }
            disk.lose_power(random.bits());
            disk.power_on();
            let opened = run(&data, durable, 0, &context);
            durable = opened.unwrap_or_else(|error| {
                panic!("{context}: {durable} values were durable: {error}")
            });
            seed += 1;
        }
    }
    eprintln!("{cycles} power losses, {cut} in a system call, {written} values written");
    assert!(cut > cycles / 3, "{cut} of {cycles}");
}

#[test]
fn nothing_durable_is_lost_with_strict_entries() {
    run_cycles(EntryDurability::Strict, 0, 60);
}

#[test]
fn nothing_durable_is_lost_with_ordered_entries() {
    run_cycles(EntryDurability::Ordered, 1_000_000, 60);
}
