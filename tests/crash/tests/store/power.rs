//! The disk loses power, at every kind of system call: what the store called durable is there again, cycle after
//! cycle. Whole servers go through the same in `muster-crash run --disk forgetful`.

use std::path::Path;

use muster_engine::{Sequence, ShardId};

use muster_crash::disk::{Action, DiskSettings, Entries, FileKind, Moment, Operation, Rule};
use muster_loadgen::random::Random;
use muster_store::{Commit, ReadError, Store};

use super::{Told, config, disk};

const MEMTABLE_BYTES: usize = 128 << 10;

/// The bytes of a journal value, told by its sequence: some are small, some are many sectors.
fn bytes(sequence: u64) -> Vec<u8> {
    let mut random = Random::new(sequence, 5);
    let words = [5, 90, 800, 4_000][random.below(4) as usize];
    let words = (0..words).map(|_| random.bits().to_le_bytes());
    words.flatten().collect()
}

/// Opens the store, checks that its journal is the first `promised` values at least and no other, and writes on
/// until something fails or `commits` are written. Returns the sequence that it vouches for.
fn work(directory: &Path, promised: u64, commits: u64, told: &str) -> Result<u64, String> {
    let store =
        Store::open(&config(directory, MEMTABLE_BYTES)).map_err(|error| error.to_string())?;
    let mut found = 0;
    let recovered = store.recover(|entry| {
        found += 1;
        assert_eq!(entry.sequence.0, found, "{told}");
        assert!(entry.bytes == bytes(found), "{told}: the value {found}");
        Ok::<(), ReadError>(())
    });
    let mut writer = recovered.map_err(|error| error.to_string())?;
    assert!(found >= promised, "{told}: {found} of {promised} are there");
    let mut sink = Told {
        committed: found,
        failed: false,
    };
    for sequence in found + 1..=found + commits {
        let commit = Commit {
            shard: ShardId(0),
            sequence: Sequence(sequence),
            journal: bytes(sequence),
            ..Commit::default()
        };
        writer.write(&mut vec![commit], &mut sink);
        if sink.failed {
            break;
        }
    }
    Ok(sink.committed)
}

#[test]
fn a_new_directory_keeps_its_name_through_a_loss_of_power() {
    for seed in 0..20 {
        let Some((disk, _below)) = disk(DiskSettings::default()) else {
            return;
        };
        // Two directories are missing, so two parents must be synced.
        let data = disk.path().join("var/data");
        let promised = work(&data, 0, 3, "new").unwrap();
        disk.lose_power(seed);
        disk.power_on();
        let told = format!("seed {seed}");
        assert_eq!(work(&data, promised, 0, &told), Ok(3), "{told}");
    }
}

fn rule(random: &mut Random) -> Rule {
    let moments = [Moment::Before, Moment::During, Moment::After];
    let (operation, file, passing_max) = random.pick(&[
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
        passing: random.below(passing_max),
        lasting: false,
        action: Action::LosePower {
            moment: moments[random.below(3) as usize],
            seed: random.bits(),
        },
    }
}

/// The journal is never trimmed here, so it grows with each.
const CYCLES_ON_A_DISK: u64 = 10;

/// Cycles on new disks: whatever was durable once stays, whichever system call the power went at.
fn survives(entries: Entries, first_seed: u64, cycles: u64) {
    let settings = DiskSettings {
        entries,
        ..DiskSettings::default()
    };
    let (mut struck, mut written) = (0, 0);
    let mut seed = first_seed;
    while seed < first_seed + cycles {
        let Some((disk, _below)) = disk(settings) else {
            return;
        };
        let data = disk.path().join("data");
        let mut promised = 0;
        for _ in 0..CYCLES_ON_A_DISK {
            let mut random = Random::new(seed, 1);
            let rule = rule(&mut random);
            let told = format!("seed {seed}, {entries:?}, {rule:?}");
            disk.arm(rule);
            let worked = work(&data, promised, random.below(80), &told);
            struck += u64::from(disk.loss().is_some());
            match worked {
                Ok(durable) => {
                    written += durable - promised;
                    promised = durable;
                }
                // Only the loss itself may keep it from opening.
                Err(error) => assert!(disk.loss().is_some(), "{told}: {error}"),
            }
            disk.lose_power(random.bits());
            disk.power_on();
            let opened = work(&data, promised, 0, &told);
            promised = opened
                .unwrap_or_else(|error| panic!("{told}: {promised} values were durable: {error}"));
            seed += 1;
        }
    }
    eprintln!("{cycles} losses of power, {struck} in a system call, {written} values written");
    assert!(struck > cycles / 3, "{struck} of {cycles}");
}

#[test]
fn nothing_durable_is_lost_where_names_need_a_sync_of_their_directory() {
    survives(Entries::Strict, 0, 60);
}

#[test]
fn nothing_durable_is_lost_where_names_are_kept_in_order() {
    survives(Entries::Ordered, 1_000_000, 60);
}
