//! Writing journal values to disk: through the store as the server does, and directly to RocksDB to show the cost of a
//! sync and of a value.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use muster_engine::{Sequence, ShardId};
use muster_store::{Commit, CommitPart, PoisonReason, ReadError, Sink, Store, StoreConfig};
use muster_wire::CheckInRecord;
use rocksdb::{DB, DBCompressionType, Options, WriteOptions};

use super::disk::Flushes;
use super::{Name, PartsOptions};
use crate::fleet;
use crate::measure::{Digest, Row, Run, Stopwatch};

/// Distinct check-ins in the values.
const DISTINCT: u64 = 65_536;

/// A case that writes through the store.
struct Grouping {
    case: &'static str,
    /// Check-ins per value.
    value_len: usize,
    /// Values per write, which has one sync.
    group: usize,
}

const GROUPINGS: [Grouping; 3] = [
    Grouping {
        case: "store, 1,000 per value, one sync each",
        value_len: 1000,
        group: 1,
    },
    Grouping {
        case: "store, 1,000 per value, one sync per 16",
        value_len: 1000,
        group: 16,
    },
    Grouping {
        case: "store, 65,536 per value, one sync each *",
        value_len: 65_536,
        group: 1,
    },
];

pub(super) fn run(options: &PartsOptions, flushes: &mut Vec<Flushes>) -> anyhow::Result<Vec<Row>> {
    let check_ins = options.size.pick(65_536, 4_194_304);
    let records: Vec<CheckInRecord> = (0..DISTINCT)
        .map(|number| fleet::check_in(number, 1))
        .collect();
    let mut flushes_between_runs = [Flushes::new(4 << 10), Flushes::new(48_000)];
    let mut rows = Vec::new();
    let mut bench = |case: &'static str, run_once: &dyn Fn(&Path) -> anyhow::Result<Run>| {
        let mut runs = Vec::new();
        for _ in 0..options.repeats {
            let directory = tempfile::tempdir_in(&options.directory)?;
            for flushes in &mut flushes_between_runs {
                flushes.sample(directory.path(), options.size.pick(4, 40))?;
            }
            runs.push(run_once(directory.path())?);
        }
        rows.push(Row::new(Name::Journal, case, runs)?);
        anyhow::Ok(())
    };
    for grouping in &GROUPINGS {
        bench(grouping.case, &|directory| {
            write_through_store(&directory.join("store"), grouping, &records, check_ins)
        })?;
    }
    for (case, sync) in [
        ("rocksdb, 1,000 per value, one sync each", true),
        ("rocksdb, 1,000 per value, no sync", false),
    ] {
        bench(case, &|directory| {
            put_values(&directory.join("rocksdb"), &records, check_ins, sync)
        })?;
    }
    bench("rocksdb, one put per check-in, no sync", &|directory| {
        put_check_ins(&directory.join("rocksdb"), &records, check_ins / 4)
    })?;
    flushes.extend(flushes_between_runs);
    Ok(rows)
}

/// Takes back the commits, or the reason of a failure.
#[derive(Default)]
struct Returned {
    commits: Vec<Commit<()>>,
    failure: Option<String>,
}

impl Sink<()> for Returned {
    fn committed(&mut self, commit: Commit<()>, _durable_at: Instant) {
        self.commits.push(commit);
    }

    fn failed(&mut self, _commit: Commit<()>, reason: &PoisonReason) {
        self.failure = Some(reason.to_string());
    }
}

fn write_through_store(
    directory: &Path,
    grouping: &Grouping,
    records: &[CheckInRecord],
    check_ins: u64,
) -> anyhow::Result<Run> {
    let store = Store::open(&StoreConfig::new(directory).with_shards(1))?;
    let mut writer = store.recover(|_| Ok::<(), ReadError>(()))?;
    let writes = check_ins.div_ceil((grouping.value_len * grouping.group) as u64);
    let mut returned = Returned::default();
    let mut group: Vec<Commit<()>> = vec![CommitPart::default().into(); grouping.group];
    let value = bytes_of(&records[..grouping.value_len]);
    for commit in &mut group {
        commit.parts[0].journal.clone_from(&value);
    }
    let mut sequence = 0;
    let running = Stopwatch::default().start();
    for _ in 0..writes {
        for commit in &mut group {
            sequence += 1;
            commit.parts[0].sequence = Sequence(sequence);
        }
        writer.write(&mut group, &mut returned);
        if let Some(failure) = &returned.failure {
            bail!("the store failed: {failure}");
        }
        std::mem::swap(&mut group, &mut returned.commits);
    }
    let stopwatch = running.stop();
    let items = writes * (grouping.value_len * grouping.group) as u64;
    let mut digest = Digest::default();
    digest.add(writer.journal_bytes_live());
    digest.add(writer.sequence(ShardId(0)).0);
    Ok(stopwatch.run(items, digest.value()))
}

fn put_values(
    directory: &Path,
    records: &[CheckInRecord],
    check_ins: u64,
    sync: bool,
) -> anyhow::Result<Run> {
    let db = open_rocksdb(directory)?;
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    let value = bytes_of(&records[..1000]);
    let values = check_ins / 1000;
    let running = Stopwatch::default().start();
    for number in 0..values {
        db.put_opt(number.to_be_bytes(), &value, &options)?;
    }
    let stopwatch = running.stop();
    ensure!(db.latest_sequence_number() == values, "values were lost");
    Ok(stopwatch.run(values * 1000, Digest::of(values)))
}

fn put_check_ins(
    directory: &Path,
    records: &[CheckInRecord],
    check_ins: u64,
) -> anyhow::Result<Run> {
    let db = open_rocksdb(directory)?;
    let running = Stopwatch::default().start();
    for record in records.iter().cycle().take(check_ins as usize) {
        db.put(record.device_id().as_bytes(), record.as_bytes())?;
    }
    let stopwatch = running.stop();
    ensure!(db.latest_sequence_number() == check_ins, "puts were lost");
    Ok(stopwatch.run(check_ins, Digest::of(check_ins)))
}

fn open_rocksdb(directory: &Path) -> anyhow::Result<DB> {
    let mut options = Options::default();
    options.create_if_missing(true);
    // As for the journal of the store: no compression because the data is dense, and large memtables.
    options.set_compression_type(DBCompressionType::None);
    options.set_write_buffer_size(64 << 20);
    options.set_max_write_buffer_number(3);
    DB::open(&options, directory).context("cannot open RocksDB")
}

fn bytes_of(records: &[CheckInRecord]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|record| *record.as_bytes())
        .collect()
}
