//! Between decoder and journal, a check-in of a known device allocates nothing.
//!
//! The server's pipeline runs as in production, with its threads and its store, but without a connection. The tests
//! count the allocations of the session's thread and of the shard threads. They do not count the writer, which builds
//! one write per group, whatever the number of check-ins.
#![allow(
    clippy::unwrap_used,
    reason = "the helpers of tests may panic as the tests do"
)]

#[path = "../support/context.rs"]
mod context;
mod counting;
mod fleet;
mod pipeline;
mod policy;

use counting::Meter;
use fleet::{Fleet, ROUNDS_OF_CELLS};
use pipeline::Pipeline;

const CHECK_INS: u64 = 1_000_000;

/// Stalls in the warm-up. Each leads to the largest possible batches; the buffers of a shard are used in turn, so
/// several stalls are needed until each has grown to that size.
const STALLS: usize = 16;

/// The number of allocations of a run in the steady state.
#[derive(Debug, PartialEq, Eq)]
struct Allocations {
    session: u64,
    shards: u64,
}

const NONE: Allocations = Allocations {
    session: 0,
    shards: 0,
};

/// A pipeline in the steady state: no cell is new and every buffer has its maximum size.
struct Steady {
    pipeline: Pipeline,
    fleet: Fleet,
    window_frames: usize,
    bursts_per_round: u64,
    session: Meter,
}

impl Steady {
    fn new(frame_len: usize, frames: usize, window_frames: u16) -> Self {
        let mut steady = Self {
            pipeline: Pipeline::start(window_frames),
            fleet: Fleet::new(frame_len, frames),
            window_frames: usize::from(window_frames),
            bursts_per_round: frames.div_ceil(usize::from(window_frames)) as u64,
            session: Meter::new(),
        };
        let warm_up = ROUNDS_OF_CELLS * steady.fleet.round_len();
        steady.run(warm_up);
        for _ in 0..STALLS {
            let held = steady.pipeline.hold();
            let burst = steady.fleet.take(steady.window_frames);
            steady.pipeline.receive(burst);
            drop(held);
            steady.pipeline.finish();
        }
        // The first audit of a shard allocates its table of cells.
        while !steady.pipeline.is_audited() {
            steady.run(steady.fleet.round_len());
        }
        steady
    }

    /// Sends at least `check_ins` check-ins, waits until they are durable, and returns how many it sent.
    fn run(&mut self, check_ins: u64) -> u64 {
        let before = self.pipeline.totals().accepted;
        let bursts = check_ins.div_ceil(self.fleet.round_len()) * self.bursts_per_round;
        for _ in 0..bursts {
            self.pipeline.receive(self.fleet.take(self.window_frames));
        }
        self.pipeline.finish();
        self.pipeline.totals().accepted - before
    }

    /// Counts the allocations of `check_ins` more check-ins, each of which is accepted and moves its device.
    fn measure(&mut self, check_ins: u64) -> Allocations {
        let transitions = |pipeline: &Pipeline| -> u64 {
            let reports = pipeline.report();
            reports.iter().map(|report| report.transitions).sum()
        };
        let moved = transitions(&self.pipeline);
        let (session, shards) = (self.session.count(), self.pipeline.shards.count());
        let sent = self.run(check_ins);
        let allocations = Allocations {
            session: self.session.count() - session,
            shards: self.pipeline.shards.count() - shards,
        };
        assert!(sent >= check_ins);
        assert_eq!(self.pipeline.totals().rejected, 0);
        assert_eq!(transitions(&self.pipeline) - moved, sent);
        allocations
    }
}

/// A gateway with about 65,536 devices; its window has room for a check-in of each.
fn gateway(frame_len: usize, frames: u16) -> Steady {
    let steady = Steady::new(frame_len, usize::from(frames), frames);
    steady.session.enter();
    steady
}

#[test]
fn full_frames_of_a_gateway_allocate_nothing() {
    let mut steady = gateway(4096, 16);
    assert_eq!(steady.measure(CHECK_INS), NONE);
    steady.pipeline.stop();
}

#[test]
fn frames_of_a_thousand_allocate_nothing() {
    let mut steady = gateway(1000, 64);
    assert_eq!(steady.measure(CHECK_INS), NONE);
    steady.pipeline.stop();
}

/// A window of 8192 frames represents two thousand devices with four frames in flight each.
#[test]
fn frames_of_a_single_check_in_allocate_nothing() {
    let mut steady = Steady::new(1, 65_536, 8192);
    steady.session.enter();
    assert_eq!(steady.measure(CHECK_INS), NONE);
    steady.pipeline.stop();
}

/// Shows that the tests above can fail: allocations on either side of the inbox are counted.
#[test]
fn an_allocation_on_either_thread_is_counted() {
    let mut steady = gateway(1000, 64);
    let shards = steady.pipeline.shards.count();
    let session = steady.session.count();
    for _ in 0..64 {
        let frame = steady.fleet.take(1).to_vec();
        steady.pipeline.receive(&frame);
    }
    steady.pipeline.finish();
    assert_eq!(steady.session.count() - session, 64);
    drop(steady.pipeline.report());
    assert!(steady.pipeline.shards.count() > shards, "a report is boxed");
    steady.pipeline.stop();
}
