//! The kill points between durability and ack, and around start and stop.
//!
//! The crash test lists them with `muster-failpoints` and arms some through the environment. The binary `muster` has
//! none; see the feature `failpoints`.

/// Every kill point of this crate, with a description.
pub const KILL_POINTS: &[(&str, &str)] = &[
    (
        "ingest.start.before_store",
        "start: the addresses are bound, the data directory is not open",
    ),
    (
        "ingest.start.before_serving",
        "start: everything is recovered, no connection is accepted",
    ),
    (
        "ingest.batch.before_complete",
        "a batch is durable, none of its shard batches is completed",
    ),
    (
        "ingest.batch.between_completions",
        "a batch is durable, some of its shard batches are completed",
    ),
    (
        "ingest.batch.after_complete",
        "a batch is durable, all of its shard batches are completed",
    ),
    ("ingest.ack.before_write", "an ack is encoded, not written"),
    ("ingest.ack.after_write", "an ack is written to QUIC"),
    (
        "ingest.stop.before_shards",
        "stop: the sessions are closed, the shards have not begun to drain",
    ),
    (
        "ingest.stop.before_close",
        "stop: shards and writer have ended, the store is still open",
    ),
    (
        "ingest.stop.after_close",
        "stop: everything is closed, the process has not exited",
    ),
];
