//! Many worlds: one a core at a time, until so many seeds or so much time is used up, or one fails.
//!
//! Threads share the next seed and nothing else. The first failure lets the others end their worlds and stops.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_ingest::clock;

use crate::violation::Violation;
use crate::world::{self, Options, Outcome, Summary};

/// Which seeds.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first one.
    pub first: u64,
    /// How many, at most.
    pub seeds: u64,
    /// For how long, at most.
    pub time: Option<Duration>,
    /// Worlds at a time.
    pub threads: usize,
}

/// A world that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// What did not hold.
    pub violation: Violation,
    /// Its last steps.
    pub last: Vec<String>,
}

/// What all worlds came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Worlds that ran.
    pub seeds: u64,
    /// Their numbers together; the hash is that of all, in no order.
    pub summary: Summary,
    /// Worlds that failed, the lowest seed first. The run ends with the first, others may have been under way.
    pub failed: Vec<Failed>,
}

impl Report {
    /// Whether every world held. Where there was none, nothing held.
    pub fn holds(&self) -> bool {
        self.seeds > 0 && self.failed.is_empty()
    }

    fn add(&mut self, seed: u64, outcome: Outcome) {
        let Outcome {
            summary,
            violation,
            last,
        } = outcome;
        self.seeds += 1;
        let sum = &mut self.summary;
        sum.steps += summary.steps;
        sum.crashes += summary.crashes;
        sum.recoveries += summary.recoveries;
        sum.drains += summary.drains;
        sum.acked += summary.acked;
        sum.policy_revisions += summary.policy_revisions;
        sum.checkpoints += summary.checkpoints;
        sum.trims += summary.trims;
        sum.recounts += summary.recounts;
        sum.hash ^= summary.hash;
        if let Some(violation) = violation {
            self.failed.push(Failed {
                seed,
                violation,
                last,
            });
            self.failed.sort_by_key(|failed| failed.seed);
        }
    }
}

/// Runs the worlds of a plan.
pub fn run(plan: Plan, options: Options) -> Report {
    let began = clock::stamp();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let report = Mutex::new(Report::default());
    let work = || {
        loop {
            let is_late = plan
                .time
                .is_some_and(|time| clock::stamp().since(began) >= time);
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= plan.seeds || is_late || stop.load(Ordering::Relaxed) {
                return;
            }
            let seed = plan.first.wrapping_add(number);
            let outcome = one(seed, options);
            if outcome.violation.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            // What one thread has reported stands, whatever became of it.
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            report.add(seed, outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.max(1) {
            scope.spawn(work);
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One world; a panic in it is a failure like any other.
pub fn one(seed: u64, options: Options) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, options))).unwrap_or_else(|panic| Outcome {
        summary: Summary::default(),
        violation: Some(Violation::new("no panic", text(&*panic))),
        last: Vec::new(),
    })
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
