//! A shard batch that waits for capacity in the inbox of its shard. At most one per session, which owns it.

use muster_engine::TenantIndex;

use crate::route::ShardBatch;

/// A blocked shard batch.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) batch: ShardBatch,
    pub(super) thread: usize,
    /// The next thread of the frame to deliver to.
    pub(super) next: usize,
}

impl Delivery {
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    pub(super) fn tenant(&self) -> TenantIndex {
        self.batch.tenant
    }
}
