//! Recounts every device from disk while the server runs, shard by shard.
//!
//! A shard is paused only while the snapshot is created. Counting rebuilds the shard on a blocking thread, so a recount
//! takes the memory of one more shard; one runs at a time.

use std::sync::Arc;

use muster_api::{ApiError, Recount};
use muster_engine::ShardId;
use muster_store::Store;
use tokio::task::spawn_blocking;

use super::ServerBackend;
use crate::recount::{Cells, Comparison, count_shard, counters_of};
use crate::shard::{Control, RecountPoint};

impl ServerBackend {
    pub(super) async fn recount_shards(&self) -> Result<Recount, ApiError> {
        self.refuse_while_draining()?;
        let running = Arc::clone(&self.recounting).try_lock_owned();
        let mut turn = running.map_err(|_| ApiError::RecountRunning)?;
        let mut comparison = Comparison::default();
        for shard in (0..self.context.store.shards()).map(ShardId) {
            let point = self.query(usize::from(shard), Control::Recount).await?;
            let store = Arc::clone(&self.context.store);
            // The thread owns the lock: if the request is cancelled, its count still ends before the next recount
            // begins.
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
        tracing::info!(verified = recount.verified, "recount completed");
        Ok(recount)
    }
}

/// Counts the devices on disk at the point where the shard is paused; returns them with the counters of that point.
fn count(store: &Store, shard: ShardId, point: RecountPoint) -> Result<(Cells, Cells), ApiError> {
    let snapshot = store.snapshot();
    // Fails if the pause has timed out: the shard has resumed, and the snapshot does not match the counters.
    if point.release.try_send(()).is_err() {
        return Err(ApiError::Timeout {
            what: format!("the snapshot of shard {shard}"),
        });
    }
    drop(point.release);
    let counted = count_shard(&snapshot, shard);
    let counted = counted.map_err(|error| ApiError::StoreUnreadable(error.to_string()))?;
    Ok((counted, counters_of(point.cells)))
}
