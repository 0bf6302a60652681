//! RocksDB's options, for the database and for each column family; each that differs from the default says why.
//!
//! docs/reference/STORAGE.md repeats the reasons for operators. No IO but opening.

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
/// A trigger that is never reached.
const NEVER: i32 = 1 << 30;

/// The option of the pages that begins their compaction, once a recovery has read them.
pub(super) const COMPACTION_ON: [(&str, &str); 1] = [("disable_auto_compactions", "false")];

fn family_options(keyspace: Keyspace, config: &StoreConfig, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    // One bounded cache for all, instead of 32 MiB for each column family.
    table.set_block_cache(cache);
    let mut options = Options::default();
    match keyspace {
        Keyspace::Journal => journal_options(&mut options, &mut table, config),
        Keyspace::Pages => pages_options(&mut options, &mut table, config),
        Keyspace::Inventory => {
            // Text that repeats itself: names, models, tags.
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_write_buffer_size(16 * MIB);
            // Read one device at a time, most of the time from a deep level.
            table.set_bloom_filter(10.0, false);
        }
        // Few small values: a small memtable releases its write-ahead log sooner.
        Keyspace::Control | Keyspace::Meta => options.set_write_buffer_size(4 * MIB),
    }
    options.set_block_based_table_factory(&table);
    options
}

fn journal_options(options: &mut Options, table: &mut BlockBasedOptions, config: &StoreConfig) {
    // Values are dense binary, written once and read only by a recovery.
    options.set_compression_type(DBCompressionType::None);
    // What is trimmed while still in the memtable never becomes a file. Also about the size of a file, hence of
    // what trim drops at once and of the garbage that may lie below the trim point.
    options.set_write_buffer_size(config.journal_memtable_bytes);
    options.set_max_write_buffer_number(config::JOURNAL_MEMTABLES as i32);
    // Trim drops whole files, which RocksDB does from level 1 on and never on level 0. Log sequence numbers only grow,
    // so files do not overlap and the way from level 0 to level 1 is a rename in the manifest: nothing is
    // rewritten. Hence compaction is on, at once, and there is one level only.
    options.set_num_levels(2);
    options.set_level_zero_file_num_compaction_trigger(1);
    options.set_max_bytes_for_level_base(1 << 40);
    // The number of files says nothing about the cost of reading a log front to back: never wait for it.
    options.set_level_zero_slowdown_writes_trigger(NEVER);
    options.set_level_zero_stop_writes_trigger(NEVER);
    options.set_soft_pending_compaction_bytes_limit(0);
    options.set_hard_pending_compaction_bytes_limit(0);
    // Default 30 days: would rewrite a tail that is merely old.
    options.set_ttl(0);
    options.set_periodic_compaction_seconds(0);
    // Default 4 KiB: a value is tens of kilobytes, a block each; larger blocks keep small ones together.
    table.set_block_size(64 * 1024);
}

fn pages_options(options: &mut Options, table: &mut BlockBasedOptions, config: &StoreConfig) {
    // LZ4 made them smaller for 12 % of the server's time under full load with 1 M devices, 24 % with 10 M.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(config.pages_memtable_bytes);
    options.set_max_write_buffer_number(config::PAGES_MEMTABLES as i32);
    // Off until a recovery has read the pages: what a crash left to do would take a core from it.
    options.set_disable_auto_compactions(true);
    // A checkpoint rewrites most pages in a burst. They are read by a recovery only, so files may pile up on
    // level 0 until compaction comes round: better than making journal writes wait for it.
    options.set_level_zero_slowdown_writes_trigger(64);
    options.set_level_zero_stop_writes_trigger(128);
    // One level below level 0: the pages of a checkpoint replace older ones, nothing is ever rarer or colder. Default
    // 256 MiB, from which on everything would be rewritten once more.
    options.set_max_bytes_for_level_base(1 << 40);
    // Default 64 MiB. A file of level 0 holds a run of keys (`pages_written`), and is merged with the files below
    // that have one of them: the smaller those are, the less is rewritten at the two ends.
    options.set_target_file_size_base(config.pages_memtable_bytes as u64 / 4);
    // Default 4 KiB is one page a block; scans want more for each read.
    table.set_block_size(64 * 1024);
}

fn database_options(config: &StoreConfig, log_end: LogEnd) -> Options {
    let mut options = Options::default();
    // Point in time drops everything after the first damage, acknowledged or not, so it is right only where the
    // acknowledged mark is compared. Where there is none, no more than a record that is cut short is dropped.
    options.set_wal_recovery_mode(match log_end {
        LogEnd::MayBeTorn => DBRecoveryMode::PointInTime,
        LogEnd::Strict => DBRecoveryMode::TolerateCorruptedTailRecords,
    });
    // A log that is missing or shorter than its last sync is found, instead of being taken for a clean end.
    options.set_track_and_verify_wals_in_manifest(true);
    // The default, named because so much rests on it: stop at the first damage.
    options.set_paranoid_checks(true);
    // The default, named because a reused log has been seen to lose records (RocksDB pull request 12918).
    options.set_recycle_log_file_num(0);
    // A log is kept until every column family has flushed what it holds. Meta and control are written
    // rarely and would keep old logs for ever; past this size RocksDB flushes whoever holds the oldest.
    options.set_max_total_wal_size(config.wal_bytes_max);
    // Flushes and compactions together; more would compete with the shards for the cores.
    options.set_max_background_jobs(2);
    // Default unlimited: a server has sockets to open, too.
    options.set_max_open_files(i32::from(config.open_tables_max));
    // RocksDB's own LOG file: two files of 4 MiB, and no dump of statistics every ten minutes.
    options.set_log_level(LogLevel::Info);
    options.set_max_log_file_size(4 * MIB);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // Table files pass by the page cache: nobody reads them again but a recovery, and a page of the cache that is
    // taken anew for each 4 KiB costs the kernel more than all else that a check-in costs this process.
    options.set_use_direct_io_for_flush_and_compaction(takes_direct_io(&config.directory));
    // Where the file system has no direct IO: writes flushed files to disk as they grow, so that no single sync
    // waits for 64 MiB of them.
    options.set_bytes_per_sync(MIB as u64);
    // Counters only, no timers: a few atomic additions a write.
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options
}

/// Whether files below a directory can be written past the page cache. RocksDB refuses to open where it is told to
/// and cannot, as on some file systems in memory.
fn takes_direct_io(directory: &Path) -> bool {
    // Opening is what fails; a directory would tell as well, but does on every file system.
    let any_file = format::file_of(directory);
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(any_file)
        .is_ok()
}

/// How the database is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The directory is new, or its creation was cut short.
    Create,
    /// Everything must be there.
    Existing,
    /// The same, and nothing is changed.
    ReadOnly,
}

/// How the end of the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogEnd {
    /// A record that is cut short at the end was never acknowledged; any other damage is refused.
    Strict,
    /// The log ends before the first damage, whatever that is: somebody else knows how far it must reach.
    MayBeTorn,
}

/// Opens RocksDB with every column family. The options come along because they hold the statistics, and for a
/// reader what RocksDB said that it dropped.
pub(super) fn open(
    directory: &Path,
    config: &StoreConfig,
    mode: Mode,
    log_end: LogEnd,
) -> Result<(DB, Options, Vec<String>), rocksdb::Error> {
    let mut options = database_options(config, log_end);
    let said = Arc::new(Mutex::new(Vec::new()));
    if mode == Mode::ReadOnly {
        options.set_info_logger(dropped_into(directory, &said));
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
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let dropped = said.iter().map(Dropped::to_string).collect();
    Ok((db, options, dropped))
}

/// A part of a log that RocksDB passed over.
#[derive(Debug)]
struct Dropped {
    file: String,
    bytes: u64,
    reason: String,
}

/// Collects what RocksDB says about parts of logs that it passes over. A reader writes no diary.
fn dropped_into(directory: &Path, said: &Arc<Mutex<Vec<Dropped>>>) -> InfoLogger {
    let said = Arc::clone(said);
    let prefix = format!("{}/", directory.display());
    InfoLogger::new_callback_logger(LogLevel::Warn, move |_, line| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        note_dropped(&mut said, &line.replace(&prefix, ""));
    })
}

/// A damaged record is told of fragment by fragment: the bytes are added up, the first reason stays.
fn note_dropped(said: &mut Vec<Dropped>, line: &str) {
    // In front stands the line of RocksDB's source.
    let line = line.split_once("] ").map_or(line, |(_, line)| line);
    let parsed = line.split_once(": dropping ").and_then(|(file, rest)| {
        let (bytes, reason) = rest.split_once(" bytes")?;
        Some((file, bytes.parse::<u64>().ok()?, reason))
    });
    let Some((file, bytes, reason)) = parsed else {
        return;
    };
    match said.iter_mut().find(|dropped| dropped.file == file) {
        Some(dropped) => dropped.bytes += bytes,
        None => said.push(Dropped {
            file: file.to_owned(),
            bytes,
            reason: match reason.trim_start_matches("; ").trim() {
                "" => "behind the damage".to_owned(),
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
    fn what_rocksdb_drops_of_a_file_is_one_line() {
        let mut said = Vec::new();
        for line in [
            "[db/db_impl/db_impl_open.cc:1170] 000004.log: dropping 24036 bytes; Corruption: checksum mismatch\n",
            "[db/db_impl/db_impl_open.cc:1170] 000004.log: dropping 10 bytes; Corruption: missing start",
            "[db/db_impl/db_impl_open.cc:1302] 000009.log: dropping 5 bytes",
            "[db/version_set.cc:1] something else",
        ] {
            note_dropped(&mut said, line);
        }
        let said: Vec<_> = said.iter().map(Dropped::to_string).collect();
        let first = "000004.log: dropping 24046 bytes: Corruption: checksum mismatch";
        assert_eq!(
            said,
            [first, "000009.log: dropping 5 bytes: behind the damage"]
        );
    }
}
