//! The kill points between the store's durability and the ack, and around start and stop.
//!
//! A crash loop reads them from `muster-failpoints` and sets some of them by its environment. In `muster` itself they
//! do not exist; see the feature `failpoints`.

/// Every kill point of this crate and the moment it stands for.
pub const KILL_POINTS: &[(&str, &str)] = &[
    (
        "ingest.start.before_store",
        "start: addresses are bound, the data directory is not opened",
    ),
    (
        "ingest.start.before_serving",
        "start: everything is recovered, nobody is let in yet",
    ),
    (
        "ingest.batch.before_complete",
        "a batch is durable, none of its frames was told so",
    ),
    (
        "ingest.batch.between_completions",
        "a batch is durable, some of its frames were told so",
    ),
    (
        "ingest.batch.after_complete",
        "every frame of a batch was told that it is durable",
    ),
    (
        "ingest.ack.before_write",
        "an ack is put together and not written",
    ),
    ("ingest.ack.after_write", "an ack is handed to QUIC"),
    (
        "ingest.stop.before_shards",
        "stop: sessions are closed, shards have not been told to drain",
    ),
    (
        "ingest.stop.before_close",
        "stop: shards and writer have ended, the store is open",
    ),
    (
        "ingest.stop.after_close",
        "stop: everything is closed, the process is still there",
    ),
];
