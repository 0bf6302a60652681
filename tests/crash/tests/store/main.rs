//! The store in one process, on a disk that loses power or fails: a cycle takes milliseconds, so that many kinds of
//! failure get their turn. Whole servers go through the same in `muster-crash`.

use std::path::Path;

use muster_crash::disk::{DiskSettings, ForgetfulDisk};
use muster_store::{Commit, PoisonReason, Sink, StoreConfig};

mod power;
mod tables;

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

/// One shard with memtables so small that there are flushes and new logs all the time.
fn config(directory: &Path, memtable_bytes: usize) -> StoreConfig {
    StoreConfig {
        journal_memtable_bytes: memtable_bytes,
        pages_memtable_bytes: memtable_bytes,
        wal_bytes_max: 4 * memtable_bytes as u64,
        ..StoreConfig::new(directory).with_shards(1)
    }
}

/// What is durable, as the store says.
#[derive(Default)]
struct Told {
    committed: u64,
    failed: bool,
}

impl Sink<()> for Told {
    fn committed(&mut self, commit: Commit<()>, _: std::time::Instant) {
        self.committed = commit.sequence.0;
    }

    fn failed(&mut self, _: Commit<()>, _: &PoisonReason) {
        self.failed = true;
    }
}
