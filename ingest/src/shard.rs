//! The shard threads: each owns one [`muster_engine::Shard`] and is the only one to touch it.
//!
//! [`Worker`] drains the inbox in batches, hands commits to the writer and answers the control
//! channel; [`writer::run`] is the one writer thread behind them.

mod commit_payload;
mod control;
mod worker;
pub mod writer;

pub use commit_payload::{CommitPayload, Reply};
pub use control::{CellCount, Control, DeviceView, RecountPoint, ShardReport};
pub use worker::{CheckpointTurn, Input, Stepped, Worker, WorkerChannels, WorkerConfig};
pub use worker::{PAGES_DRAINING, pages_beside};

/// Aborts the process if the thread that holds it panics: a shard or writer that is gone would leave
/// a server that looks alive and is not. Recovery is the answer.
#[derive(Debug)]
pub struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
