//! The recount of a data directory: its devices, compared with the counters that a server would start with.
//!
//! Memory: all of its shards, and about 300 bytes per device of some shards more. The directory is only read.

use std::path::Path;

use muster_api::Recount;
use muster_engine::ShardLimits;
use muster_ingest::recount::{Cells, Comparison, count_shards, counters};
use muster_ingest::recovery::{RecoverOptions, recover_view};

use super::{OfflineError, name_of, open_read_only, tenant_names};

/// A recount has no limits: every accepted device is counted.
const UNLIMITED: RecoverOptions = RecoverOptions {
    limits: ShardLimits {
        devices_max: u32::MAX,
    },
    hash_seed: 0,
};

/// Recounts a directory that no server uses.
///
/// # Errors
/// The directory is in use, or damaged.
pub fn recount(directory: &Path) -> Result<Recount, OfflineError> {
    let store = open_read_only(directory)?;
    let view = store.view();
    let names = tenant_names(&view)?;
    let shards = recover_view(&view, UNLIMITED)?;
    let mut comparison = Comparison::default();
    comparison.add(count_shards(&view, 0..view.shards())?, Cells::new());
    for shard in &shards {
        comparison.add(Cells::new(), counters(shard));
    }
    Ok(comparison.report(|index| name_of(&names, index)))
}
