//! The shard threads: each owns some shards ([`muster_engine::ShardSet`]) and is their only user.
//!
//! [`Worker`] drains the inbox in batches, sends commits to the writer and serves the control channel;
//! [`writer::run`] is the writer thread that all of them share.

mod commit_payload;
mod control;
mod worker;
pub mod writer;

pub use commit_payload::{
    CommitPayload, JOURNAL_BATCHES_KEPT, Reply, empty_commit, journal_bytes_kept,
};
pub use control::{
    CellCount, Control, DatedSlice, DeviceKey, DeviceTargets, DeviceView, RecountPoint,
    ShardReport, ThreadReport,
};
pub use worker::{CheckpointTurn, Input, Stepped, Worker, WorkerChannels, WorkerConfig};
pub use worker::{DUE_MAX, PAGES_DRAINING, POLICY_SLOTS, pages_beside};

/// Aborts the process if the thread that holds it panics: without a shard thread or the writer the server would look alive
/// and acknowledge nothing. The next start recovers.
#[derive(Debug)]
pub struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::telemetry::flush(); // writes the line of the panic
            std::process::abort();
        }
    }
}
