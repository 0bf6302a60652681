//! Writes data with valid checksums that no server would write into a data directory.
//!
//! No server may use the directory. One commit at a time, durable when the call returns.

use std::path::Path;
use std::time::Instant;

use muster_engine::{Shard, ShardLimits};
use muster_ingest::recovery::{RecoverOptions, recover};
use muster_store::{Commit, CommitPart, PoisonReason, Sink, Store, StoreConfig};

/// Counts the commits written.
#[derive(Default)]
struct Written(usize);

impl Sink<()> for Written {
    fn committed(&mut self, _commit: Commit<()>, _durable_at: Instant) {
        self.0 += 1;
    }

    fn failed(&mut self, _commit: Commit<()>, reason: &PoisonReason) {
        panic!("{reason}");
    }
}

/// Writes a commit with the part that `make` creates from the recovered shards.
#[track_caller]
pub(crate) fn write_behind(directory: &Path, make: impl FnOnce(&mut [Shard]) -> CommitPart) {
    let store = Store::open(&StoreConfig::new(directory)).expect("no server uses the directory");
    let options = RecoverOptions {
        limits: ShardLimits { devices_max: 1000 },
        hash_seed: 1,
    };
    let (mut shards, mut writer) = recover(&store, options).expect("the directory is intact");

    let mut written = Written::default();
    writer.write(&mut vec![make(&mut shards).into()], &mut written);
    assert_eq!(written.0, 1);
}
