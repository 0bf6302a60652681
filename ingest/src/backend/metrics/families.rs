//! Every metric family, with its help text. docs/reference/METRICS.md adds what to do when one moves.
//!
//! Names: `muster_<component>_<noun>_<unit>`. Labels are closed sets or the number of a shard; no tenant,
//! device or session, so the number of series is known before the first client connects.

pub(super) mod endpoint;
pub(super) mod front_door;

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

pub(super) const BUILD: Family =
    family("muster_build", Info, &["version"], "The version that runs.");
pub(super) const START_TIME: Family = family(
    "muster_process_start_time_seconds",
    Gauge,
    &[],
    "When the process started, in seconds since the epoch.",
);
pub(super) const RESIDENT: Family = family(
    "muster_process_resident_memory_bytes",
    Gauge,
    &[],
    "Memory of the process that is in RAM.",
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
    "1 for the phase the server is in, 0 for the others.",
);
pub(super) const UNACKNOWLEDGED: Family = family(
    "muster_session_records_unacknowledged",
    Counter,
    &["code"],
    "Records read whose session ended before their ack, by its close code.",
);
pub(super) const MEMORY_BOUND: Family = family(
    "muster_memory_bound_bytes",
    Gauge,
    &[],
    "What the configuration lets the process hold at most.",
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
    "Records acknowledged as durable, by what they were.",
);
pub(super) const REJECTED: Family = family(
    "muster_session_records_rejected",
    Counter,
    &["reason"],
    "Records refused, by reason.",
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
    "Quantiles of the same latencies to two digits, since the start; quantile 1 is the longest.",
);
pub(super) const SHARD_DEVICES: Family = family(
    "muster_shard_devices",
    Gauge,
    &["shard"],
    "Devices of the shard.",
);
pub(super) const SHARD_CELLS: Family = family(
    "muster_shard_cells",
    Gauge,
    &["shard"],
    "Cells of the shard, empty ones included.",
);
pub(super) const SHARD_SEQUENCE: Family = family(
    "muster_shard_sequence",
    Gauge,
    &["shard"],
    "Number of the last commit of the shard, over all restarts.",
);
pub(super) const SHARD_REVISION: Family = family(
    "muster_shard_policy_revision",
    Gauge,
    &["shard"],
    "Policy set in force in the shard.",
);
pub(super) const SHARD_TRANSITIONS: Family = family(
    "muster_shard_transitions",
    Counter,
    &["shard"],
    "Devices that changed cell since the start.",
);
pub(super) const SHARD_BATCHES: Family = family(
    "muster_shard_batches",
    Counter,
    &["shard"],
    "Batches since the start, those for questions and timers included.",
);
pub(super) const SHARD_CHECKPOINTS: Family = family(
    "muster_shard_checkpoints",
    Counter,
    &["shard"],
    "Checkpoints completed by the shard since the start.",
);
pub(super) const BATCH_CHECK_INS: Family = family(
    "muster_shard_batch_check_ins",
    Histogram,
    &[],
    "Check-ins a batch, over all shards.",
);
pub(super) const INBOX_BATCHES: Family = family(
    "muster_shard_inbox_batches",
    Gauge,
    &["shard"],
    "Shard batches that wait in the inbox of the shard.",
);
pub(super) const SHARD_MISSING: Family = family(
    "muster_shard_report_missing",
    Gauge,
    &["shard"],
    "1 if the shard did not answer this scrape in time; its other numbers are left out.",
);
pub(super) const AUDIT_DRIFT: Family = family(
    "muster_audit_drift",
    Gauge,
    &[],
    "Most devices by which a round of the audit has found a shard's counters wrong since the start; must be 0.",
);
pub(super) const AUDIT_ROUNDS: Family = family(
    "muster_audit_rounds",
    Counter,
    &["shard"],
    "Rounds of the audit: every device of the shard counted anew and compared with the counters.",
);
pub(super) const AUDIT_DEVICES: Family = family(
    "muster_audit_devices",
    Counter,
    &["shard"],
    "Devices that these rounds have counted.",
);
pub(super) const AUDIT_SECONDS: Family = family(
    "muster_audit_seconds",
    Counter,
    &["shard"],
    "Time of a processor that the audit of the shard has taken since the start.",
);
pub(super) const AUDIT_ROUND_AGE: Family = family(
    "muster_audit_round_age_seconds",
    Gauge,
    &["shard"],
    "Time since the end of the last round, or since the start before the first.",
);
pub(super) const GROUPS: Family = family(
    "muster_writer_groups",
    Counter,
    &[],
    "Writes that carried commits, one sync each.",
);
pub(super) const COMMITS: Family = family(
    "muster_writer_commits",
    Counter,
    &[],
    "Commits made durable.",
);
pub(super) const SYNCS: Family = family("muster_writer_syncs", Counter, &[], "Syncs waited for.");
pub(super) const WRITER_BYTES: Family = family(
    "muster_writer_bytes",
    Counter,
    &[],
    "Bytes handed to RocksDB.",
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
pub(super) const TRIMS: Family = family(
    "muster_writer_trims",
    Counter,
    &[],
    "Times that the head of the journal was deleted.",
);
pub(super) const JOURNAL_LIVE: Family = family(
    "muster_writer_journal_live_bytes",
    Gauge,
    &[],
    "Journal bytes that a recovery would replay.",
);
pub(super) const SYNC_LATENCY: Family = family(
    "muster_writer_sync_latency_seconds",
    Histogram,
    &[],
    "Time of write and sync of a group, since the start.",
);
pub(super) const SYNC_QUANTILE: Family = family(
    "muster_writer_sync_latency_quantile_seconds",
    Gauge,
    &["quantile"],
    "Quantiles of the same latency to two digits, since the start; quantile 1 is the longest.",
);
pub(super) const POISONED: Family = family(
    "muster_store_poisoned",
    Gauge,
    &[],
    "1 once a write or sync has failed: nothing is acknowledged any more.",
);
pub(super) const STORE_MISSING: Family = family(
    "muster_store_report_missing",
    Gauge,
    &[],
    "1 if the disk did not tell its numbers in time; the rest of this section is left out.",
);
pub(super) const DIRECTORY: Family = family(
    "muster_store_directory_bytes",
    Gauge,
    &[],
    "All files of the data directory.",
);
pub(super) const WAL: Family = family(
    "muster_store_wal_bytes",
    Gauge,
    &[],
    "Write-ahead logs of RocksDB among them.",
);
pub(super) const JOURNAL_FILES: Family = family(
    "muster_store_journal_file_bytes",
    Gauge,
    &[],
    "Table files of the journal.",
);
pub(super) const TABLE_FILES: Family = family(
    "muster_store_table_file_bytes",
    Gauge,
    &[],
    "Table files of all column families.",
);
pub(super) const MEMTABLE: Family = family(
    "muster_store_memtable_bytes",
    Gauge,
    &[],
    "Memory of RocksDB for writes that are not in files yet.",
);
pub(super) const STALLED: Family = family(
    "muster_store_stalled",
    Gauge,
    &[],
    "1 while RocksDB makes writes wait.",
);
pub(super) const STALL: Family = family(
    "muster_store_stall_seconds",
    Counter,
    &[],
    "Time that writes have waited for flush or compaction.",
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
