//! The store in one process, on a disk that loses power or fails: a cycle takes milliseconds, so that many failures
//! can be tested. `muster-crash` tests the same with servers.

use std::path::Path;

use muster_crash::disk::{DiskSettings, FaultDisk};
use muster_store::{Commit, PoisonReason, Sink, StoreConfig};

mod power;
mod tables;

/// A mounted disk and its mount point; none if no disk can be mounted.
fn disk(settings: DiskSettings) -> Option<(FaultDisk, tempfile::TempDir)> {
    let below = tempfile::tempdir().expect("a temporary directory");
    match FaultDisk::mount(below.path(), settings) {
        Ok(disk) => Some((disk, below)),
        Err(error) => {
            eprintln!("SKIPPED, NOTHING WAS CHECKED: {error}");
            None
        }
    }
}

/// One shard with small memtables, so that the store flushes and begins new logs all the time.
fn config(directory: &Path, memtable_bytes: usize) -> StoreConfig {
    StoreConfig {
        journal_memtable_bytes: memtable_bytes,
        pages_memtable_bytes: memtable_bytes,
        wal_bytes_max: 4 * memtable_bytes as u64,
        ..StoreConfig::new(directory).with_shards(1)
    }
}

/// Records what the store reports.
#[derive(Default)]
struct RecordingSink {
    committed: u64,
    failed: bool,
}

impl Sink<()> for RecordingSink {
    fn committed(&mut self, commit: Commit<()>, _: std::time::Instant) {
        self.committed = commit.parts[0].sequence.0;
    }

    fn failed(&mut self, _: Commit<()>, _: &PoisonReason) {
        self.failed = true;
    }
}
