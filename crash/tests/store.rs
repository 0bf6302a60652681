//! The store on a disk that loses power: what it called durable is there again.
//!
//! In one process, so that a cycle takes milliseconds.

use std::path::Path;

use muster_crash::disk::{DiskSettings, ForgetfulDisk};
use muster_loadgen::random::Random;
use muster_store::{Commit, PoisonReason, ReadError, Sink, Store, StoreConfig};

/// A mounted disk and the directory below it, or a loud word that there is none.
fn disk(settings: DiskSettings) -> Option<(ForgetfulDisk, tempfile::TempDir)> {
    let below = tempfile::tempdir().expect("a temporary directory");
    match ForgetfulDisk::mount(below.path(), settings) {
        Ok(disk) => Some((disk, below)),
        Err(error) => {
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
            None
        }
    }
}

/// Small, so that a cycle has flushes and new logs in it.
fn config(directory: &Path) -> StoreConfig {
    StoreConfig {
        journal_memtable_bytes: 128 << 10,
        pages_memtable_bytes: 128 << 10,
        wal_bytes_max: 512 << 10,
        ..StoreConfig::new(directory).with_shards(1)
    }
}

/// The sequences that are durable, as the store says.
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
    let store = Store::open(&config(directory)).map_err(|error| error.to_string())?;
    let mut found = 0;
    let recovered = store.recover(|entry| {
        found += 1;
        assert_eq!(entry.sequence, found, "{told}");
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
            shard: 0,
            sequence,
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
