//! RocksDB options of the database and of each column family, with the reason for each non-default value.
//!
//! docs/reference/STORAGE.md has the reasons for operators. Used once per opening; the only IO is to open the database.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rocksdb::statistics::StatsLevel;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    InfoLogger, LogLevel, Options,
};
use rustix::fs::OFlags;

use crate::config::{self, StoreConfig};
use crate::format;
use crate::keyspace::Keyspace;

const MIB: usize = 1024 * 1024;
/// A file count that is never reached.
const NEVER: i32 = 1 << 30;

/// Enables compaction of the pages, once recovery has read them.
pub(super) const COMPACTION_ON: [(&str, &str); 1] = [("disable_auto_compactions", "false")];

fn family_options(keyspace: Keyspace, config: &StoreConfig, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    // One bounded cache for all column families, instead of 32 MiB for each.
    table.set_block_cache(cache);
    let mut options = Options::default();
    match keyspace {
        Keyspace::Journal => journal_options(&mut options, &mut table, config),
        Keyspace::Pages => pages_options(&mut options, &mut table, config),
        Keyspace::Inventory => {
            // Repetitive text: names, models, tags.
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_write_buffer_size(16 * MIB);
            // Point reads, mostly from a deep level.
            table.set_bloom_filter(10.0, false);
        }
        // Few small values: a small memtable releases its write-ahead logs sooner.
        Keyspace::Control | Keyspace::Meta => options.set_write_buffer_size(4 * MIB),
    }
    options.set_block_based_table_factory(&table);
    options
}

fn journal_options(options: &mut Options, table: &mut BlockBasedOptions, config: &StoreConfig) {
    // Values are dense binary, written once and read only by recovery.
    options.set_compression_type(DBCompressionType::None);
    // Values trimmed while in the memtable never reach a file. Also about the size of a file, and so the unit that trim
    // drops, and the obsolete bytes that may remain below the trim point.
    options.set_write_buffer_size(config.journal_memtable_bytes);
    options.set_max_write_buffer_number(config::JOURNAL_MEMTABLES as i32);
    // Trim drops whole files, which RocksDB does on level 1 and above, never on level 0. Log sequence numbers only
    // grow, so files do not overlap, and moving one from level 0 to level 1 is a manifest edit without a rewrite (a
    // trivial move). So compaction is triggered by the first file, and level 1 is the last one.
    options.set_num_levels(2);
    options.set_level_zero_file_num_compaction_trigger(1);
    options.set_max_bytes_for_level_base(1 << 40);
    // The number of files does not affect a sequential read: never stall writes because of it.
    options.set_level_zero_slowdown_writes_trigger(NEVER);
    options.set_level_zero_stop_writes_trigger(NEVER);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
    // Default 30 days, which would rewrite old files for no benefit.
    options.set_ttl(0);
    options.set_periodic_compaction_seconds(0);
    // Default 4 KiB. Values are tens of kilobytes and get a block each; larger blocks group small ones.
    table.set_block_size(64 * 1024);
}

fn pages_options(options: &mut Options, table: &mut BlockBasedOptions, config: &StoreConfig) {
    // LZ4 cost 12 % of the server's CPU time under full load with 1 M devices, 24 % with 10 M.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(config.pages_memtable_bytes);
    options.set_max_write_buffer_number(config::PAGES_MEMTABLES as i32);
    // Off until recovery has read the pages: compaction that a crash left pending would take a core from it.
    options.set_disable_auto_compactions(true);
    // A checkpoint rewrites most pages in a burst. Only recovery reads them, so files may accumulate on level 0 until
    // they are compacted, which is better than stalling journal writes.
    options.set_level_zero_slowdown_writes_trigger(64);
    options.set_level_zero_stop_writes_trigger(128);
    // Default 256 MiB, beyond which files move to level 2 and are rewritten once more. One level below level 0 is
    // enough: the pages of a checkpoint replace older ones, and none are colder than others.
    options.set_max_bytes_for_level_base(1 << 40);
    // Default 64 MiB. A file of level 0 has a contiguous key range (`pages_written`) and is merged with the overlapping
    // files of level 1: the smaller those are, the less is rewritten at both ends.
    options.set_target_file_size_base(config.pages_memtable_bytes as u64 / 4);
    // Default 4 KiB is one page per block; scans benefit from larger reads.
    table.set_block_size(64 * 1024);
}

fn database_options(config: &StoreConfig, log_end: LogEnd) -> Options {
    let mut options = Options::default();
    // Point-in-time recovery drops everything after the first damage, acknowledged or not, so it is correct only if the
    // acknowledged mark is compared. Without a mark, only a truncated last record is dropped.
    options.set_wal_recovery_mode(match log_end {
        LogEnd::MayBeTorn => DBRecoveryMode::PointInTime,
        LogEnd::Strict => DBRecoveryMode::TolerateCorruptedTailRecords,
    });
    // Detects a log that is missing or shorter than its last sync, instead of taking it for a clean end.
    options.set_track_and_verify_wals_in_manifest(true);
    // The default, set explicitly because safety depends on it: stop at the first damage.
    options.set_paranoid_checks(true);
    // The default, set explicitly because recycled logs have lost records (RocksDB pull request 12918).
    options.set_recycle_log_file_num(0);
    // A log is kept until every column family has flushed its part. Meta and control are written rarely and would
    // retain old logs forever; beyond this size RocksDB flushes the column families that retain the oldest log.
    options.set_max_total_wal_size(config.wal_bytes_max);
    // Flushes and compactions together; more would compete with the shards for cores.
    options.set_max_background_jobs(2);
    // Default unlimited; a server needs file descriptors for sockets, too.
    options.set_max_open_files(i32::from(config.open_tables_max));
    // RocksDB's info log LOG: two files of 4 MiB, without periodic dumps of statistics.
    options.set_log_level(LogLevel::Info);
    options.set_max_log_file_size(4 * MIB);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // Table files bypass the page cache: only recovery reads them again, and allocating a page of the cache for every
    // 4 KiB costs the kernel more than everything else that a check-in costs this process.
    options.set_use_direct_io_for_flush_and_compaction(supports_direct_io(&config.directory));
    // Without direct IO: writes table files back as they grow, so that no single sync waits for 64 MiB.
    options.set_bytes_per_sync(MIB as u64);
    // Counters without timers: a few atomic additions per write.
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options
}

/// Whether the file system of a directory supports direct IO. If it does not, as on some in-memory file systems,
/// RocksDB with direct IO fails to open.
fn supports_direct_io(directory: &Path) -> bool {
    // The open fails if direct IO is unsupported. It takes a file: opening a directory succeeds everywhere.
    let any_file = format::file_of(directory);
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(any_file)
        .is_ok()
}

/// How to open the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The directory is new, or its creation was interrupted.
    Create,
    /// The database must be complete.
    Existing,
    /// The database must be complete and is not changed.
    ReadOnly,
}

/// How to treat the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogEnd {
    /// Drop a truncated last record, which was never acknowledged; refuse any other damage.
    Strict,
    /// End the log before the first damage of any kind; the caller compares its end with the acknowledged mark.
    MayBeTorn,
}

/// Opens RocksDB with every column family. Also returns the options, which own the statistics, and, if read-only, the
/// messages about dropped parts of logs.
pub(super) fn open(
    directory: &Path,
    config: &StoreConfig,
    mode: Mode,
    log_end: LogEnd,
) -> Result<(DB, Options, Vec<String>), rocksdb::Error> {
    let mut options = database_options(config, log_end);
    let dropped = Arc::new(Mutex::new(Vec::new()));
    if mode == Mode::ReadOnly {
        options.set_info_logger(drop_logger(directory, &dropped));
    }
    options.create_if_missing(mode == Mode::Create);
    options.create_missing_column_families(mode == Mode::Create);
    let cache = Cache::new_lru_cache(config.block_cache_bytes);
    let families = Keyspace::ALL.map(|keyspace| {
        ColumnFamilyDescriptor::new(keyspace.name(), family_options(keyspace, config, &cache))
    });
    let db = match mode {
        Mode::ReadOnly => DB::open_cf_descriptors_read_only(&options, directory, families, false),
        Mode::Create | Mode::Existing => DB::open_cf_descriptors(&options, directory, families),
    }?;
    let dropped = dropped.lock().unwrap_or_else(PoisonError::into_inner);
    let dropped = dropped.iter().map(Dropped::to_string).collect();
    Ok((db, options, dropped))
}

/// The bytes of one log file that RocksDB dropped.
#[derive(Debug)]
struct Dropped {
    file: String,
    bytes: u64,
    reason: String,
}

/// An info logger that collects RocksDB's messages about dropped parts of logs. It replaces the file LOG, which a
/// reader must not write.
fn drop_logger(directory: &Path, dropped: &Arc<Mutex<Vec<Dropped>>>) -> InfoLogger {
    let dropped = Arc::clone(dropped);
    let prefix = format!("{}/", directory.display());
    InfoLogger::new_callback_logger(LogLevel::Warn, move |_, line| {
        let mut dropped = dropped.lock().unwrap_or_else(PoisonError::into_inner);
        add_dropped(&mut dropped, &line.replace(&prefix, ""));
    })
}

/// Parses one message. RocksDB reports a damaged record fragment by fragment: bytes are summed, the first reason is
/// kept.
fn add_dropped(dropped: &mut Vec<Dropped>, line: &str) {
    // The message begins with its location in RocksDB's source.
    let line = line.split_once("] ").map_or(line, |(_, line)| line);
    let parsed = line.split_once(": dropping ").and_then(|(file, rest)| {
        let (bytes, reason) = rest.split_once(" bytes")?;
        Some((file, bytes.parse::<u64>().ok()?, reason))
    });
    let Some((file, bytes, reason)) = parsed else {
        return;
    };
    match dropped.iter_mut().find(|known| known.file == file) {
        Some(known) => known.bytes += bytes,
        None => dropped.push(Dropped {
            file: file.to_owned(),
            bytes,
            reason: match reason.trim_start_matches("; ").trim() {
                "" => "after the damage".to_owned(),
                reason => reason.to_owned(),
            },
        }),
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            bytes,
            reason,
        } = self;
        write!(formatter, "{file}: dropping {bytes} bytes: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_bytes_of_a_file_are_one_line() {
        let mut dropped = Vec::new();
        for line in [
            "[db/db_impl/db_impl_open.cc:1170] 000004.log: dropping 24036 bytes; Corruption: checksum mismatch\n",
            "[db/db_impl/db_impl_open.cc:1170] 000004.log: dropping 10 bytes; Corruption: missing start",
            "[db/db_impl/db_impl_open.cc:1302] 000009.log: dropping 5 bytes",
            "[db/version_set.cc:1] something else",
        ] {
            add_dropped(&mut dropped, line);
        }
        let lines: Vec<_> = dropped.iter().map(Dropped::to_string).collect();
        let first = "000004.log: dropping 24046 bytes: Corruption: checksum mismatch";
        assert_eq!(
            lines,
            [first, "000009.log: dropping 5 bytes: after the damage"]
        );
    }
}
