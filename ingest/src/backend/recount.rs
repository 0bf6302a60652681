//! Every device counted again from disk while the server serves, shard by shard.
//!
//! A shard stands still only while the snapshot is taken. Counting rebuilds the shard beside itself on a
//! blocking thread, so a recount takes the memory of one shard; one runs at a time.

use std::sync::Arc;

use muster_api::{ApiError, Recount};
use muster_engine::ShardId;
use muster_store::Store;
use tokio::task::spawn_blocking;

use super::ServerBackend;
use crate::clock;
use crate::recount::{Cells, Comparison, count_shard, counters_of};
use crate::shard::{Control, RecountPoint};

impl ServerBackend {
    pub(super) async fn recount_shards(&self) -> Result<Recount, ApiError> {
        self.refuse_while_draining()?;
        let running = Arc::clone(&self.recounting).try_lock_owned();
        let mut turn = running.map_err(|_| ApiError::RecountRunning)?;
        let mut comparison = Comparison::default();
        for shard in (0..self.context.store.shards()).map(ShardId) {
            let point = self.ask(usize::from(shard), Control::Recount).await?;
            let store = Arc::clone(&self.context.store);
            // The turn goes along: if nobody waits any more, the count under way still ends before the
            // next recount begins.
            let counting = spawn_blocking(move || (count(&store, shard, point), turn));
            let (counted, back) = counting
                .await
                .map_err(|error| ApiError::Internal(error.to_string()))?;
            turn = back;
            let (counted, counters) = counted?;
            comparison.add(counted, counters);
        }
        drop(turn);
        let tenants = &self.context.tenants;
        let recount = comparison.report(|index| {
            let name = tenants.get(usize::from(index)).cloned();
            name.unwrap_or_else(|| format!("tenant-{index}"))
        });
        tracing::info!(verified = recount.verified, "recounted");
        Ok(recount)
    }
}

/// What is on disk at the point where the shard stands still, and what its counters say there.
fn count(store: &Store, shard: ShardId, point: RecountPoint) -> Result<(Cells, Cells), ApiError> {
    let snapshot = store.snapshot();
    // A shard that has waited too long has gone on, and the snapshot is of another state than the cells.
    if point.release.try_send(()).is_err() {
        return Err(ApiError::Timeout {
            what: format!("the snapshot of shard {shard}"),
        });
    }
    drop(point.release);
    let counted = count_shard(&snapshot, shard, clock::wall());
    let counted = counted.map_err(|error| ApiError::StoreUnreadable(error.to_string()))?;
    Ok((counted, counters_of(point.cells)))
}
