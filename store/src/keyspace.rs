//! The column families and their RocksDB options; each option that differs from the default says why.
//!
//! docs/STORAGE.md repeats the reasons for operators. No IO but opening.

use std::path::Path;

use rocksdb::statistics::StatsLevel;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, LogLevel, Options,
};

use crate::config::StoreConfig;

const MIB: usize = 1024 * 1024;
/// A trigger that is never reached.
const NEVER: i32 = 1 << 30;

/// A column family; docs/STORAGE.md has the keys of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keyspace {
    /// Batches by position.
    Journal,
    /// Pages by shard and number.
    Pages,
    /// Inventories by device.
    Inventory,
    /// Cells, cohorts, tenants, policy sets.
    Control,
    /// Format, shards, trim position, checkpoints.
    Meta,
}

impl Keyspace {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Journal,
        Self::Pages,
        Self::Inventory,
        Self::Control,
        Self::Meta,
    ];

    /// Its name in RocksDB.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Pages => "pages",
            Self::Inventory => "inventory",
            Self::Control => "control",
            Self::Meta => "meta",
        }
    }

    /// First byte under every checksum, so that a value is bound to its column family.
    pub(crate) const fn tag(self) -> u8 {
        self.name().as_bytes()[0]
    }

    pub(crate) fn of(self, db: &DB) -> &ColumnFamily {
        db.cf_handle(self.name())
            .expect("open() opens every column family")
    }

    fn options(self, config: &StoreConfig, cache: &Cache) -> Options {
        let mut table = BlockBasedOptions::default();
        // One bounded cache for all, instead of 32 MiB for each column family.
        table.set_block_cache(cache);
        let mut options = Options::default();
        match self {
            Self::Journal => journal_options(&mut options, &mut table, config),
            Self::Pages => pages_options(&mut options, &mut table, config),
            Self::Inventory => {
                // Text that repeats itself: names, models, tags.
                options.set_compression_type(DBCompressionType::Lz4);
                options.set_write_buffer_size(16 * MIB);
                // Read one device at a time, most of the time from a deep level.
                table.set_bloom_filter(10.0, false);
            }
            // Few small values: a small memtable releases its write-ahead log sooner.
            Self::Control | Self::Meta => options.set_write_buffer_size(4 * MIB),
        }
        options.set_block_based_table_factory(&table);
        options
    }
}

fn journal_options(options: &mut Options, table: &mut BlockBasedOptions, config: &StoreConfig) {
    // Values are dense binary, written once and read only by a recovery.
    options.set_compression_type(DBCompressionType::None);
    // What is trimmed while still in the memtable never becomes a file. Also about the size of a file, hence of
    // what trim drops at once and of the garbage that may lie below the trim position.
    options.set_write_buffer_size(config.journal_memtable_bytes);
    // One filling, two flushing: a slow disk shows as waiting writes only after two full memtables.
    options.set_max_write_buffer_number(3);
    // Trim drops whole files, which RocksDB does from level 1 on and never on level 0. Positions only grow,
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
    // Device records are half zeros; LZ4 is the cheapest codec that sees it.
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(config.pages_memtable_bytes);
    options.set_max_write_buffer_number(3);
    // A checkpoint rewrites most pages in a burst. They are read by a recovery only, so files may pile up on
    // level 0 until compaction comes round: better than making journal writes wait for it.
    options.set_level_zero_slowdown_writes_trigger(64);
    options.set_level_zero_stop_writes_trigger(128);
    // Default 4 KiB is one page a block; scans want more for each read.
    table.set_block_size(64 * 1024);
}

fn database_options(config: &StoreConfig) -> Options {
    let mut options = Options::default();
    // A torn record at the end of a log was never acknowledged. Damage anywhere else is refused, where the
    // default (point in time) would silently drop everything after it, acknowledged or not.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
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
    options.set_max_open_files(i32::from(config.open_files_max));
    // RocksDB's own LOG file: two files of 4 MiB, and no dump of statistics every ten minutes.
    options.set_log_level(LogLevel::Info);
    options.set_max_log_file_size(4 * MIB);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // Writes flushed files to disk as they grow, so that no single sync waits for 64 MiB of them.
    options.set_bytes_per_sync(MIB as u64);
    // Counters only, no timers: a few atomic additions a write.
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options
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

/// Opens RocksDB with every column family. The options come along because they hold the statistics.
pub(crate) fn open(
    directory: &Path,
    config: &StoreConfig,
    mode: Mode,
) -> Result<(DB, Options), rocksdb::Error> {
    let mut options = database_options(config);
    options.create_if_missing(mode == Mode::Create);
    options.create_missing_column_families(mode == Mode::Create);
    let cache = Cache::new_lru_cache(config.block_cache_bytes);
    let families = Keyspace::ALL.map(|keyspace| {
        ColumnFamilyDescriptor::new(keyspace.name(), keyspace.options(config, &cache))
    });
    let db = match mode {
        Mode::ReadOnly => DB::open_cf_descriptors_read_only(&options, directory, families, false),
        Mode::Create | Mode::Existing => DB::open_cf_descriptors(&options, directory, families),
    }?;
    Ok((db, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_family_has_its_own_tag() {
        let mut tags = Keyspace::ALL.map(Keyspace::tag);
        tags.sort_unstable();
        assert!(tags.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
