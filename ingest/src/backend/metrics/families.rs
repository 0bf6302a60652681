//! Every metric family, with its help text. docs/reference/METRICS.md adds the actions for operators.
//!
//! Names: `muster_<component>_<noun>_<unit>`. Label values are closed sets, the number of a shard or shard thread, or the name of a
//! tenant; no device or session, so the cardinality is known before the first client connects.

pub(super) mod clock;
pub(super) mod endpoint;
pub(super) mod front_door;
pub(super) mod issuers;

use prometheus_client::metrics::MetricType::{self, Counter, Gauge, Histogram, Info};

use super::page::Family;

const fn family(
    name: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    help: &'static str,
) -> Family {
    Family {
        name,
        kind,
        labels,
        help,
    }
}

pub(super) const BUILD: Family = family(
    "muster_build",
    Info,
    &["version"],
    "Version of the running server.",
);
pub(super) const START_TIME: Family = family(
    "muster_process_start_time_seconds",
    Gauge,
    &[],
    "Start time of the process, in seconds since the Unix epoch.",
);
pub(super) const RESIDENT: Family = family(
    "muster_process_resident_memory_bytes",
    Gauge,
    &[],
    "Resident memory of the process.",
);
pub(super) const OPEN_FILES: Family = family(
    "muster_process_open_files",
    Gauge,
    &[],
    "Files and sockets that the process has open.",
);
pub(super) const OPEN_FILES_MAX: Family = family(
    "muster_process_open_files_max",
    Gauge,
    &[],
    "Files and sockets that the system lets the process have open: its soft limit.",
);
pub(super) const PHASE: Family = family(
    "muster_server_phase",
    Gauge,
    &["phase"],
    "1 for the current phase of the server, 0 for the others.",
);
pub(super) const UNACKNOWLEDGED: Family = family(
    "muster_session_records_unacknowledged",
    Counter,
    &["code"],
    "Records read whose session ended before they were acknowledged, by close code.",
);
pub(super) const MEMORY_BOUND: Family = family(
    "muster_memory_bound_bytes",
    Gauge,
    &[],
    "Upper bound of the memory of the process, from the configuration.",
);
pub(super) const LOG_DROPPED: Family = family(
    "muster_log_lines_dropped",
    Counter,
    &[],
    "Lines of the log that could not be written to standard error, or not as fast as they came.",
);
pub(super) const FRAMES: Family = family(
    "muster_session_frames",
    Counter,
    &[],
    "Frames of check-ins and inventories read.",
);
pub(super) const RECEIVED: Family = family(
    "muster_session_records_received",
    Counter,
    &[],
    "Records read: check-ins and inventories.",
);
pub(super) const ACKNOWLEDGED: Family = family(
    "muster_session_records_acknowledged",
    Counter,
    &["outcome"],
    "Records acknowledged as durable, by outcome.",
);
pub(super) const REJECTED: Family = family(
    "muster_session_records_rejected",
    Counter,
    &["reason"],
    "Records rejected, by reason.",
);
pub(super) const ACKS: Family = family("muster_session_acks", Counter, &[], "Acks written.");
pub(super) const BUSY: Family = family("muster_session_busy", Counter, &[], "Busy frames written.");
pub(super) const STAGE_LATENCY: Family = family(
    "muster_stage_latency_seconds",
    Histogram,
    &["stage"],
    "Latency of each stage of a check-in, since the start.",
);
pub(super) const STAGE_QUANTILE: Family = family(
    "muster_stage_latency_quantile_seconds",
    Gauge,
    &["stage", "quantile"],
    "Quantiles of the same latencies to two digits, since the start; quantile 1 is the maximum.",
);
pub(super) const SHARD_DEVICES: Family = family(
    "muster_shard_devices",
    Gauge,
    &["shard"],
    "Devices of the shard.",
);
pub(super) const SHARD_DEVICES_REMOVED: Family = family(
    "muster_shard_devices_removed",
    Gauge,
    &["shard"],
    "Removed devices of the shard whose retention has not ended.",
);
pub(super) const SHARD_CELLS: Family = family(
    "muster_shard_cells",
    Gauge,
    &["shard"],
    "Cells of the shard: combinations of tenant and facets that some device has.",
);
pub(super) const TENANT_CELLS: Family = family(
    "muster_tenant_cells",
    Gauge,
    &["tenant"],
    "Cells of the tenant, summed over shards.",
);
pub(super) const SHARD_SEQUENCE: Family = family(
    "muster_shard_sequence",
    Gauge,
    &["shard"],
    "Sequence of the last journal value of the shard, continued over restarts.",
);
pub(super) const SHARD_REVISION: Family = family(
    "muster_shard_policy_revision",
    Gauge,
    &["shard"],
    "Revision of the latest policy set of the shard.",
);
pub(super) const SHARD_POLICY_SLOTS_LEFT: Family = family(
    "muster_shard_policy_slots_left",
    Gauge,
    &["shard"],
    "Slots of devices that the shard has not yet evaluated under its latest policy set.",
);
pub(super) const SHARD_TRANSITIONS: Family = family(
    "muster_shard_transitions",
    Counter,
    &["thread"],
    "Devices of the thread that changed cell since the start.",
);
pub(super) const SHARD_BATCHES: Family = family(
    "muster_shard_batches",
    Counter,
    &["thread"],
    "Batches of the thread since the start, including those for queries and timers.",
);
pub(super) const SHARD_CHECKPOINTS: Family = family(
    "muster_shard_checkpoints",
    Counter,
    &["thread"],
    "Checkpoints of all its shards that the thread has completed since the start.",
);
pub(super) const BATCH_CHECK_INS: Family = family(
    "muster_shard_batch_check_ins",
    Histogram,
    &[],
    "Check-ins per batch, over all threads.",
);
pub(super) const INBOX_BATCHES: Family = family(
    "muster_shard_inbox_batches",
    Gauge,
    &["thread"],
    "Shard batches queued in the inbox of the thread.",
);
pub(super) const SHARD_MISSING: Family = family(
    "muster_shard_report_missing",
    Gauge,
    &["thread"],
    "1 if the thread did not respond to this scrape in time; its other metrics and those of its shards are missing.",
);
pub(super) const VIEW_CHANGES: Family = family(
    "muster_view_changes",
    Gauge,
    &[],
    "Changes of devices in the change feeds of all tenants.",
);
pub(super) const VIEW_CHANGES_EVICTED: Family = family(
    "muster_view_changes_evicted",
    Counter,
    &[],
    "Changes that left their feed because it was full, before they were a day old.",
);
pub(super) const AUDIT_DRIFT: Family = family(
    "muster_audit_drift",
    Gauge,
    &[],
    "Maximum drift of a shard's counters that an audit round has found since the start, in devices; must be 0.",
);
pub(super) const AUDIT_ROUNDS: Family = family(
    "muster_audit_rounds",
    Counter,
    &["thread"],
    "Audit rounds: every device of the thread recounted and compared with the counters.",
);
pub(super) const AUDIT_DEVICES: Family = family(
    "muster_audit_devices",
    Counter,
    &["thread"],
    "Devices recounted by these rounds.",
);
pub(super) const AUDIT_SECONDS: Family = family(
    "muster_audit_seconds",
    Counter,
    &["thread"],
    "CPU time of the audit of the thread since the start.",
);
pub(super) const AUDIT_ROUND_AGE: Family = family(
    "muster_audit_round_age_seconds",
    Gauge,
    &["thread"],
    "Time since the end of the last audit round, or since the start before the first.",
);
pub(super) const GROUPS: Family = family(
    "muster_writer_groups",
    Counter,
    &[],
    "Groups of commits written, one sync each.",
);
pub(super) const COMMITS: Family = family(
    "muster_writer_commits",
    Counter,
    &[],
    "Commits made durable.",
);
pub(super) const SYNCS: Family = family("muster_writer_syncs", Counter, &[], "Syncs completed.");
pub(super) const WRITER_BYTES: Family = family(
    "muster_writer_bytes",
    Counter,
    &[],
    "Bytes written to RocksDB.",
);
pub(super) const JOURNAL_VALUES: Family = family(
    "muster_writer_journal_values",
    Counter,
    &[],
    "Journal values written.",
);
pub(super) const PAGES: Family = family("muster_writer_pages", Counter, &[], "Pages written.");
pub(super) const CHECKPOINTS: Family = family(
    "muster_writer_checkpoints",
    Counter,
    &[],
    "Checkpoints made durable, of all shards.",
);
pub(super) const TRIMS: Family =
    family("muster_writer_trims", Counter, &[], "Trims of the journal.");
pub(super) const JOURNAL_LIVE: Family = family(
    "muster_writer_journal_live_bytes",
    Gauge,
    &[],
    "Journal bytes that recovery would replay.",
);
pub(super) const SYNC_LATENCY: Family = family(
    "muster_writer_sync_latency_seconds",
    Histogram,
    &[],
    "Latency of the write and sync of a group, since the start.",
);
pub(super) const SYNC_QUANTILE: Family = family(
    "muster_writer_sync_latency_quantile_seconds",
    Gauge,
    &["quantile"],
    "Quantiles of the same latency to two digits, since the start; quantile 1 is the maximum.",
);
pub(super) const POISONED: Family = family(
    "muster_store_poisoned",
    Gauge,
    &[],
    "1 after a failed write or sync: nothing is acknowledged until a restart.",
);
pub(super) const STORE_MISSING: Family = family(
    "muster_store_report_missing",
    Gauge,
    &[],
    "1 if the store did not respond to this scrape in time; the rest of this section is missing.",
);
pub(super) const DIRECTORY: Family = family(
    "muster_store_directory_bytes",
    Gauge,
    &[],
    "Size of all files in the data directory.",
);
pub(super) const WAL: Family = family(
    "muster_store_wal_bytes",
    Gauge,
    &[],
    "Size of the write-ahead logs of RocksDB.",
);
pub(super) const JOURNAL_FILES: Family = family(
    "muster_store_journal_file_bytes",
    Gauge,
    &[],
    "Size of the SST files of the journal.",
);
pub(super) const TABLE_FILES: Family = family(
    "muster_store_table_file_bytes",
    Gauge,
    &[],
    "Size of the SST files of all column families.",
);
pub(super) const MEMTABLE: Family = family(
    "muster_store_memtable_bytes",
    Gauge,
    &[],
    "Memory of the memtables of RocksDB.",
);
pub(super) const STALLED: Family = family(
    "muster_store_stalled",
    Gauge,
    &[],
    "1 while RocksDB stalls writes.",
);
pub(super) const STALL: Family = family(
    "muster_store_stall_seconds",
    Counter,
    &[],
    "Time that writes were stalled by flush or compaction.",
);
pub(super) const FLUSH: Family = family(
    "muster_store_flush_bytes",
    Counter,
    &[],
    "Bytes written by flushes.",
);
pub(super) const COMPACTION: Family = family(
    "muster_store_compaction_bytes",
    Counter,
    &[],
    "Bytes written by compactions.",
);
pub(super) const WAL_SYNCS: Family = family(
    "muster_store_wal_syncs",
    Counter,
    &[],
    "Syncs of the write-ahead log.",
);
