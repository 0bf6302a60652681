//! The shards of one thread: deduplication, rules, cells and journal values, for devices in random order.
//!
//! Only the shards are timed, batch by batch; generating the check-ins is not. All devices are on one thread, whereas a
//! server distributes them over several.

use std::sync::Arc;

use anyhow::ensure;
use muster_engine::{
    Outcome, PolicySet, Revision, Shard, ShardId, ShardLimits, ShardMap, ShardSet, TenantIndex,
    TenantPolicy, Threshold, Timestamp,
};
use muster_wire::CheckInRecord;

use super::{Name, PartsOptions, Size};
use crate::fleet::{self, Random};
use crate::measure::{Digest, Row, Run, Stopwatch};

/// Shards of the thread: the half of 48 that one of two threads has.
const SHARDS: u16 = 24;

/// Check-ins per shard batch, and shard batches per batch, as in a server under load.
const SHARD_BATCH_CHECK_INS: usize = 4096;
const BATCH_SHARD_BATCHES: usize = 16;

/// When devices check in, in seconds; and a time at which each of them is due.
const NOW: u32 = 1_700_000_000;
const ALL_DUE: u32 = NOW + 8 * 24 * 3600;

/// Devices that a pass evaluates in a batch, as in a server.
const SLICE: u32 = 16_384;

/// The sizes of the fleets, with the names of their two cases.
pub(crate) const fn fleets(size: Size) -> &'static [(u64, &'static str, &'static str)] {
    match size {
        Size::Quick => &[(20_000, "20 k known devices *", "20 k new devices")],
        Size::Full => &[
            (100_000, "0.1 M known devices", "0.1 M new devices"),
            (1_000_000, "1 M known devices *", "1 M new devices"),
            (10_000_000, "10 M known devices", "10 M new devices"),
        ],
    }
}

pub(super) fn run(options: &PartsOptions) -> anyhow::Result<Vec<Row>> {
    let updates = options.size.pick(200_000, 8_000_000);
    let mut rows = Vec::new();
    for (devices, known, new) in fleets(options.size) {
        let (mut created, mut updated) = (Vec::new(), Vec::new());
        for _ in 0..options.repeats {
            let mut bench = Bench::new(*devices);
            created.push(bench.create()?);
            bench.update(*devices)?; // so that devices are no longer in the order of their creation
            updated.push(bench.update(updates)?);
        }
        rows.push(Row::new(Name::Apply, *known, updated)?);
        rows.push(Row::new(Name::Apply, *new, created)?);
    }
    rows.extend(passes(options)?);
    Ok(rows)
}

/// What evaluates all devices of a fleet: a change of policy, and a time at which all of them are due.
fn passes(options: &PartsOptions) -> anyhow::Result<[Row; 2]> {
    let devices = options.size.pick(20_000, 1_000_000);
    let (mut changes, mut ticks) = (Vec::new(), Vec::new());
    for _ in 0..options.repeats {
        let mut bench = Bench::new(devices);
        bench.create()?;
        changes.push(bench.change_policy());
        ticks.push(bench.tick());
    }
    Ok([
        Row::new(Name::Apply, "all devices by a new policy", changes)?,
        Row::new(Name::Apply, "all devices due at once", ticks)?,
    ])
}

/// Shards with a fleet, and the next batch.
pub(crate) struct Bench {
    shards: ShardSet,
    /// The last journal value of each shard.
    journal: Vec<Vec<u8>>,
    batch: Vec<CheckInRecord>,
    random: Random,
    devices: u64,
    /// The seq of the next check-in of any device; it only grows.
    seq: u64,
}

impl Bench {
    fn new(devices: u64) -> Self {
        let devices_max = u32::MAX;
        let new = |shard| Shard::new(ShardId(shard), ShardLimits { devices_max }, 1);
        let map = ShardMap::new(SHARDS);
        let mut shards = ShardSet::new(map, (0..SHARDS).map(new).collect(), devices_max);
        let policy = PolicySet::new(
            Revision(1),
            vec![TenantPolicy::with_threshold(Threshold::Medium)],
        );
        shards.begin(Timestamp::from_seconds(1));
        shards.apply_policy(&Arc::new(policy));
        shards.seal();
        Self {
            shards,
            journal: vec![Vec::new(); usize::from(SHARDS)],
            batch: Vec::with_capacity(SHARD_BATCH_CHECK_INS * BATCH_SHARD_BATCHES),
            random: Random::new(devices),
            devices,
            seq: 1,
        }
    }

    /// A bench whose next batch has the first check-in of every device.
    pub(crate) fn unknown(devices: u64) -> Self {
        let mut bench = Self::new(devices);
        let mut next = 0..devices;
        bench.fill(devices, &mut |_| next.next().unwrap_or_default());
        bench
    }

    /// A bench whose next batch has as many check-ins as there are devices, of known devices in random order.
    pub(crate) fn known(devices: u64) -> anyhow::Result<Self> {
        let mut bench = Self::new(devices);
        bench.create()?;
        bench.update(devices)?;
        bench.fill(devices, &mut |random| random.below(devices));
        Ok(bench)
    }

    fn create(&mut self) -> anyhow::Result<Run> {
        let devices = self.devices;
        let mut next = 0..devices;
        self.apply(devices, |_| next.next().unwrap_or_default())
    }

    fn update(&mut self, check_ins: u64) -> anyhow::Result<Run> {
        let devices = self.devices;
        self.apply(check_ins, |random| random.below(devices))
    }

    fn apply(
        &mut self,
        check_ins: u64,
        mut device: impl FnMut(&mut Random) -> u64,
    ) -> anyhow::Result<Run> {
        let (mut stopwatch, mut left) = (Stopwatch::default(), check_ins);
        let mut outcome = Outcome::default();
        while left > 0 {
            let count = left.min((SHARD_BATCH_CHECK_INS * BATCH_SHARD_BATCHES) as u64);
            left -= count;
            self.fill(count, &mut device);
            let running = stopwatch.start();
            self.one_batch(&mut outcome);
            stopwatch = running.stop();
            ensure!(
                outcome.total() == outcome.accepted,
                "a check-in was not accepted"
            );
            outcome = Outcome::default();
        }
        Ok(stopwatch.run(check_ins, self.digest()))
    }

    fn fill(&mut self, check_ins: u64, device: &mut impl FnMut(&mut Random) -> u64) {
        self.batch.clear();
        for _ in 0..check_ins {
            let number = device(&mut self.random);
            self.batch.push(fleet::check_in(number, self.seq));
            self.seq += 1;
        }
    }

    /// Processes a batch as a shard thread does, without its channels.
    pub(crate) fn one_batch(&mut self, outcome: &mut Outcome) {
        self.shards.begin(Timestamp::from_seconds(NOW));
        for part in self.batch.chunks(SHARD_BATCH_CHECK_INS) {
            *outcome += self.shards.apply_check_ins(TenantIndex(0), part);
        }
        self.seal();
    }

    /// Puts a policy set in force, a slice in each batch.
    fn change_policy(&mut self) -> Run {
        let policy = TenantPolicy::with_threshold(Threshold::Clear);
        let policy = Arc::new(PolicySet::new(Revision(2), vec![policy]));
        let running = Stopwatch::default().start();
        self.shards.begin(Timestamp::from_seconds(NOW));
        self.shards.begin_policy_pass(&policy);
        loop {
            self.shards.policy_step(SLICE);
            self.seal();
            if !self.shards.policy_pass_is_running() {
                break;
            }
            self.shards.begin(Timestamp::from_seconds(NOW));
        }
        running.stop().run(self.devices, self.digest())
    }

    /// Evaluates the devices that are due, a slice in each batch.
    fn tick(&mut self) -> Run {
        let running = Stopwatch::default().start();
        loop {
            self.shards.begin(Timestamp::from_seconds(ALL_DUE));
            self.shards.tick(SLICE);
            self.seal();
            if !self.shards.tick_is_running() {
                break;
            }
        }
        running.stop().run(self.devices, self.digest())
    }

    fn seal(&mut self) {
        self.shards.seal();
        for (place, _, effects) in self.shards.touched() {
            effects.swap_journal(&mut self.journal[place]);
        }
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::default();
        for shard in self.shards.shards() {
            for (cell, count) in shard.cells() {
                digest.add(cell.facets.0);
                digest.add(count.into());
            }
        }
        digest.add(u64::from(self.shards.devices()));
        digest.add(self.journal.iter().map(Vec::len).sum::<usize>() as u64);
        digest.value()
    }
}
