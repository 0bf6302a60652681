//! `POST /recount`: every device counted again from disk while the server serves, shard by shard.
//!
//! A shard stands still only while the snapshot is taken. Counting rebuilds the shard beside itself on a
//! blocking thread, so a recount takes the memory of one shard; one runs at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use muster_engine::ShardId;
use muster_store::Store;
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;

use super::Ops;
use super::error::ApiError;
use crate::clock;
use crate::recount::{Cells, RecountReport, count_shard, counters_of};
use crate::shard::{Control, RecountPoint};

pub(super) async fn recount(
    State(ops): State<Arc<Ops>>,
) -> Result<Json<Map<String, Value>>, ApiError> {
    ops.refuse_while_draining()?;
    let running = Arc::clone(&ops.recounting).try_lock_owned();
    let mut turn = running.map_err(|_| ApiError::RecountRunning)?;
    let mut report = RecountReport::default();
    for shard in (0..ops.context.store.shards()).map(ShardId) {
        let point = ops.ask(usize::from(shard), Control::Recount).await?;
        let store = Arc::clone(&ops.context.store);
        // The turn goes along: if whoever asked goes away, the count under way still ends before the
        // next recount begins.
        let counting = spawn_blocking(move || (count(&store, shard, point), turn));
        let (counted, back) = counting
            .await
            .map_err(|error| ApiError::Internal(error.to_string()))?;
        turn = back;
        let (counted, counters) = counted?;
        report.add(counted, counters);
    }
    drop(turn);
    let mut answer = report.to_json(|index| ops.context.tenant_name(index));
    answer.insert("online".into(), true.into());
    tracing::info!(verified = report.is_verified(), "recounted");
    Ok(Json(answer))
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
