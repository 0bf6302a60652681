//! The cases whose instructions are counted: fixed check-ins, fixed seeds, one thread.
//!
//! Setup is not counted: valgrind counts between entry to and exit from [`counted_work`]. Buffers have their final size
//! by then, as in a server that has run for a while.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, ensure};
use muster_engine::page::PAGE_BYTES;
use muster_engine::{Outcome, PageNumber, ShardId};
use muster_ingest::clock::{Clock, SimulatedTime, Stamp};
use muster_store::{
    Commit, CommitPart, PageWrite, PoisonReason, ReadError, Sink, Store, StoreConfig,
};
use muster_wire::{
    CheckInBytes, CheckInRecord, ClientHello, Decoder, Item, Role, VERSION_MAX, VERSION_MIN,
    encode_client_hello,
};

use super::null_database::NullDatabase;
use super::valgrind;
use crate::parts::apply::Bench;
use crate::parts::decode::{self, FrontDoor, STREAM_CHECK_INS};
use crate::{Loops, fleet};

/// Devices, and check-ins, of the apply cases.
const DEVICES: u64 = 20_000;

/// Check-ins per routed frame.
const FRAME: usize = 4000;

/// Commits per write, shards of the thread that makes them, and check-ins and pages per commit.
const COMMITS: u64 = 16;
const COMMIT_SHARDS: u16 = 24;
const COMMIT_CHECK_INS: u64 = 1008;
const COMMIT_PAGES: u32 = 8;

/// The counted work; returns the number of check-ins that it processed.
type Work = Box<dyn FnMut() -> anyhow::Result<u64>>;

/// Sets up the work of a case.
type Prepare = fn(Loops) -> anyhow::Result<Work>;

/// All cases by name.
pub(super) const CASES: [(&str, Prepare); 6] = [
    ("decode, frames of 4,000", |loops| decode(4000, loops)),
    ("decode, frames of 1", |loops| decode(1, loops)),
    ("route, frames of 4,000", route),
    ("apply, known devices", |_| {
        Ok(apply(Bench::known(DEVICES)?))
    }),
    ("apply, new devices", |_| Ok(apply(Bench::unknown(DEVICES)))),
    ("commit, 1,008 check-ins of 24 shards and 8 pages", |_| {
        commit()
    }),
];

/// Runs one case in [`counted_work`] and returns the number of check-ins and the features of the processor.
///
/// # Errors
/// If the case does not exist, or did not process all check-ins.
pub(crate) fn count(name: &str, loops: Loops) -> anyhow::Result<String> {
    let case = CASES.iter().find(|(other, _)| *other == name);
    let (_, prepare) = case.with_context(|| format!("no case is called {name}"))?;
    let check_ins = counted_work(&mut *prepare(loops)?)?;
    Ok(format!("{check_ins} {}", valgrind::processor()))
}

/// The function that valgrind counts; `valgrind.rs` has its name. The black box prevents a tail call, with which this
/// function would end before the work begins.
#[inline(never)]
fn counted_work(work: &mut dyn FnMut() -> anyhow::Result<u64>) -> anyhow::Result<u64> {
    black_box(work())
}

/// From the bytes of a stream to validated records.
fn decode(frame_len: usize, Loops { all_valid, .. }: Loops) -> anyhow::Result<Work> {
    let stream = decode::stream(frame_len)?;
    let mut decoder = Decoder::new(Role::Server);
    let mut hello = Vec::new();
    let versions = ClientHello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
    };
    encode_client_hello(&mut hello, &versions);
    read(&mut decoder, &hello, all_valid)?;
    Ok(Box::new(move || {
        let valid = read(&mut decoder, &stream, all_valid)?;
        ensure!(valid == STREAM_CHECK_INS, "check-ins were lost");
        Ok(valid)
    }))
}

fn read(
    decoder: &mut Decoder,
    stream: &[u8],
    all_valid: fn(&[CheckInBytes]) -> bool,
) -> anyhow::Result<u64> {
    let mut valid = 0;
    for chunk in stream.chunks(decode::CHUNK_BYTES) {
        let mut rest = chunk;
        while let Some(item) = decoder.next(&mut rest)? {
            let records = match &item {
                Item::Records(records) => *records,
                Item::Record(record) => std::slice::from_ref(record),
                _ => continue,
            };
            ensure!(all_valid(records), "a valid check-in was refused");
            valid += records.len() as u64;
        }
    }
    Ok(valid)
}

/// From records to shard batches, through the inboxes of two threads; buffers return to the pool.
fn route(loops: Loops) -> anyhow::Result<Work> {
    let records: Vec<CheckInRecord> = (0..STREAM_CHECK_INS)
        .map(|number| fleet::check_in(number, 1))
        .collect();
    // A simulated clock: the instructions of a clock read belong to the C library and the kernel.
    let clock = Clock::Simulated(SimulatedTime::default().into());
    let mut front = FrontDoor::new(clock)?;
    let mut frames = move || {
        let before = front.accepted();
        for frame in records.chunks(FRAME) {
            front.begin_frame();
            (loops.route)(front.router(), frame);
            front.end_frame(Stamp::default())?;
        }
        Ok(front.accepted() - before)
    };
    ensure!(frames()? == STREAM_CHECK_INS, "check-ins were lost");
    Ok(Box::new(frames))
}

/// From a batch to new state and a journal value.
fn apply(mut bench: Bench) -> Work {
    Box::new(move || {
        let mut outcome = Outcome::default();
        bench.one_batch(&mut outcome);
        Ok(u64::from(outcome.accepted))
    })
}

/// From commits to writes to the database below the store: log sequence numbers, stamps, checksums.
fn commit() -> anyhow::Result<Work> {
    let config = StoreConfig::new("null-database").with_shards(COMMIT_SHARDS);
    let store = Store::open_on(Box::<NullDatabase>::default(), &config)?;
    let mut writer = store.recover(|_| Ok::<(), ReadError>(()))?;
    let journal: Vec<u8> = (0..COMMIT_CHECK_INS / u64::from(COMMIT_SHARDS))
        .flat_map(|number| *fleet::check_in(number, 1).as_bytes())
        .collect();
    let pages = (0..COMMIT_PAGES).map(PageNumber).map(|page| PageWrite {
        page,
        bytes: vec![0x5a; PAGE_BYTES],
    });
    let part = |shard| CommitPart {
        shard: ShardId(shard),
        journal: journal.clone(),
        ..CommitPart::default()
    };
    let mut parts: Vec<_> = (0..COMMIT_SHARDS).map(part).collect();
    parts[0].pages = pages.collect();
    let mut group = vec![Commit { parts, payload: () }; COMMITS as usize];
    let mut returned = Returned::default();
    let mut write = move || {
        let mut sequence = writer.sequence(ShardId(0));
        for commit in &mut group {
            sequence = sequence.next();
            for part in &mut commit.parts {
                part.sequence = sequence;
            }
        }
        writer.write(&mut group, &mut returned);
        ensure!(returned.0.len() == COMMITS as usize, "a commit failed");
        std::mem::swap(&mut group, &mut returned.0);
        Ok(COMMITS * COMMIT_CHECK_INS)
    };
    write()?; // grows the buffers
    Ok(Box::new(write))
}

/// Collects the commits that return from the store.
#[derive(Default)]
struct Returned(Vec<Commit<()>>);

impl Sink<()> for Returned {
    fn committed(&mut self, commit: Commit<()>, _durable_at: Instant) {
        self.0.push(commit);
    }

    /// The caller counts the commits, so it notices a failure.
    fn failed(&mut self, _commit: Commit<()>, _reason: &PoisonReason) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPS: Loops = Loops {
        all_valid: |records| {
            let mut records = records.iter();
            records.all(|bytes| CheckInRecord::validate(bytes).is_ok())
        },
        route: |router, records| {
            for record in records {
                router.check_in(*record);
            }
        },
    };

    #[test]
    fn every_case_does_its_work_without_valgrind() {
        for (name, _) in CASES {
            let output = count(name, LOOPS).unwrap();
            let (check_ins, _) = output.split_once(' ').unwrap();
            assert!(check_ins.parse::<u64>().unwrap() >= 16_000, "{name}");
        }
        assert!(count("nothing", LOOPS).is_err());
    }
}
