//! A shard batch of a frame that waits for room in the inbox of its shard. At most one for each session.

use muster_engine::TenantIndex;

use crate::route::ShardBatch;

/// A shard batch that found its inbox full.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) batch: ShardBatch,
    pub(super) shard: usize,
    /// The next shard to look for a shard batch for.
    pub(super) next: usize,
}

impl Delivery {
    pub(super) fn shard(&self) -> usize {
        self.shard
    }

    pub(super) fn tenant(&self) -> TenantIndex {
        self.batch.tenant
    }
}
