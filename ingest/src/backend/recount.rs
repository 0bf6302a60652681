//! Recounts every device from disk while the server runs, shard thread by shard thread.
//!
//! A thread is paused only while the snapshot is created and its columns in the view are counted. Counting rebuilds its shards on a blocking thread, some at a
//! time, so a recount takes memory for them; one runs at a time.

use std::ops::Range;
use std::sync::Arc;

use muster_api::{ApiError, Recount};
use muster_store::Store;
use tokio::task::spawn_blocking;

use super::ServerBackend;
use crate::recount::{Cells, Comparison, count_shards, counters_of, view_drift};
use crate::shard::{Control, RecountPoint};
use crate::view::View;

impl ServerBackend {
    pub(super) async fn recount_shards(&self) -> Result<Recount, ApiError> {
        self.refuse_while_draining()?;
        let running = Arc::clone(&self.recounting).try_lock_owned();
        let mut turn = running.map_err(|_| ApiError::RecountRunning)?;
        let mut comparison = Comparison::default();
        let map = &self.context.routes.map;
        for thread in 0..map.threads() {
            let point = self.query(usize::from(thread), Control::Recount).await?;
            let shards = map.shards_of(thread);
            let store = Arc::clone(&self.context.store);
            // The thread owns the lock: if the request is cancelled, its count still ends before the next recount
            // begins.
            let view = Arc::clone(&self.context.view);
            let counting = spawn_blocking(move || (count(&store, &view, shards, point), turn));
            let (counted, back) = counting
                .await
                .map_err(|error| ApiError::Internal(error.to_string()))?;
            turn = back;
            let (counted, counters, view_drift) = counted?;
            comparison.add(counted, counters);
            comparison.add_view_drift(view_drift);
        }
        let view = Arc::clone(&self.context.view);
        let drift = spawn_blocking(move || (view.drift(), turn)).await;
        let (drift, turn) = drift.map_err(|error| ApiError::Internal(error.to_string()))?;
        comparison.add_view_drift(drift);
        drop(turn);
        let control = self.context.control.plane();
        let recount = comparison.report(|index| control.tenant_name(index));
        tracing::info!(verified = recount.verified, "recount completed");
        Ok(recount)
    }
}

/// Counts the devices of these shards on disk at the point where their thread is paused; returns them with the counters
/// of that point, and the number of devices by which the view differs from these.
fn count(
    store: &Store,
    view: &View,
    shards: Range<u16>,
    point: RecountPoint,
) -> Result<(Cells, Cells, u64), ApiError> {
    let snapshot = store.snapshot();
    let view_drift = view_drift(view, shards.clone(), &point.cells);
    // Fails if the pause has timed out: the thread has resumed, and snapshot and view do not match the counters.
    if point.release.try_send(()).is_err() {
        return Err(ApiError::Timeout {
            what: format!(
                "the snapshot of shards {} to {}",
                shards.start,
                shards.end - 1
            ),
        });
    }
    drop(point.release);
    let counted = count_shards(&snapshot, shards);
    let counted = counted.map_err(|error| ApiError::StoreUnreadable(error.to_string()))?;
    Ok((counted, counters_of(point.cells), view_drift))
}
