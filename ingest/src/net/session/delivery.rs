//! A part of a frame that waits for room in the inbox of its shard. At most one for each session.

use muster_engine::TenantIndex;

use crate::route::Part;

/// A part that found its inbox full.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) part: Part,
    pub(super) shard: usize,
    /// The next shard to look for a part for.
    pub(super) next: usize,
}

impl Delivery {
    pub(super) fn shard(&self) -> usize {
        self.shard
    }

    pub(super) fn tenant(&self) -> TenantIndex {
        self.part.tenant
    }
}
