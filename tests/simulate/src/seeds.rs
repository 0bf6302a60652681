//! Runs many seeds, one per thread at a time, until a limit is reached or one fails.
//!
//! Threads share the next seed and nothing else. After the first failure no new seed starts; seeds that are running
//! complete.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_ingest::clock;

use crate::violation::Violation;
use crate::world::{self, Options, Outcome, Summary};

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// The first seed.
    pub first_seed: u64,
    /// At most this many seeds.
    pub seeds_max: u64,
    /// No new seed starts after this time.
    pub time_max: Option<Duration>,
    /// Seeds that run in parallel.
    pub threads: usize,
}

/// A seed that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The check that does not hold.
    pub violation: Violation,
    /// Its last steps.
    pub last_steps: Vec<String>,
}

/// The results of all seeds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Number of seeds that ran.
    pub seeds: u64,
    /// The sums of their numbers; the hash does not depend on the order in which they ran.
    pub summary: Summary,
    /// Seeds that failed, lowest first. There may be several, since running seeds complete after the first failure.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Whether no seed failed. A run without any seed has shown nothing and is not clean.
    pub fn is_clean(&self) -> bool {
        self.seeds > 0 && self.failures.is_empty()
    }

    fn add(&mut self, seed: u64, outcome: Outcome) {
        let Outcome {
            summary,
            violation,
            last_steps,
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
        sum.clock_steps += summary.clock_steps;
        sum.hash ^= summary.hash;
        if let Some(violation) = violation {
            self.failures.push(Failure {
                seed,
                violation,
                last_steps,
            });
            self.failures.sort_by_key(|failure| failure.seed);
        }
    }
}

/// Runs seeds until a limit is reached or one fails.
pub fn run(run_options: RunOptions, options: Options) -> Report {
    let started = clock::stamp();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let report = Mutex::new(Report::default());
    let run_thread = || {
        loop {
            let is_late = run_options
                .time_max
                .is_some_and(|time_max| clock::stamp().since(started) >= time_max);
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= run_options.seeds_max || is_late || stop.load(Ordering::Relaxed) {
                return;
            }
            let seed = run_options.first_seed.wrapping_add(number);
            let outcome = run_seed(seed, options);
            if outcome.violation.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
            // The report stays valid if another thread panicked while it held the lock.
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            report.add(seed, outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..run_options.threads.max(1) {
            scope.spawn(run_thread);
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one seed. A panic is reported as a violation.
pub fn run_seed(seed: u64, options: Options) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, options))).unwrap_or_else(|panic| Outcome {
        summary: Summary::default(),
        violation: Some(Violation::new("no panic", panic_message(&*panic))),
        last_steps: Vec::new(),
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<String>().cloned();
    let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    message.unwrap_or_else(|| "a panic without a message".to_owned())
}
