//! The time, core time and result of one run and of all runs of a bench.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use muster_ingest::clock::{self, Stamp};

use crate::latencies::Latencies;
use crate::parts::Name;

/// The measurements and the result of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Number of check-ins.
    pub(crate) items: u64,
    pub(crate) wall: Duration,
    /// CPU time of all threads of the process.
    pub(crate) core: Duration,
    /// A hash that is the same in every run of a bench.
    pub(crate) result: u64,
    /// The median and the 99th percentile in microseconds, if latencies were measured.
    latency_us: Option<[u64; 2]>,
}

impl Run {
    /// Adds the latencies that were measured in the run.
    pub(crate) fn with_latencies(mut self, latencies: &Latencies) -> Self {
        self.latency_us = Some(latencies.percentiles_us([50.0, 99.0]));
        self
    }

    fn rate(&self) -> f64 {
        self.items as f64 / self.wall.as_secs_f64()
    }
}

/// All runs of one bench.
#[derive(Clone, Debug)]
pub struct Row {
    /// The part that the bench belongs to.
    pub part: Name,
    /// The case that was measured.
    pub case: String,
    runs: Vec<Run>,
}

impl Row {
    /// # Errors
    /// If the results differ: then the runs did not do the same work.
    pub(crate) fn new(part: Name, case: impl Into<String>, runs: Vec<Run>) -> anyhow::Result<Self> {
        let case = case.into();
        let same = runs
            .windows(2)
            .all(|pair| pair[0].result == pair[1].result && pair[0].items == pair[1].items);
        ensure!(
            same && !runs.is_empty(),
            "{case}: two runs have different results"
        );
        Ok(Self { part, case, runs })
    }

    /// Check-ins per second, median of the runs.
    pub fn rate(&self) -> f64 {
        median(self.runs.iter().map(Run::rate))
    }

    /// The difference between the fastest and the slowest run, as a fraction of the median.
    pub fn spread(&self) -> f64 {
        spread(self.runs.iter().map(Run::rate))
    }

    /// Core time per check-in in nanoseconds, median of the runs.
    pub fn core_ns(&self) -> f64 {
        median(
            self.runs
                .iter()
                .map(|run| run.core.as_nanos() as f64 / run.items as f64),
        )
    }

    /// The medians of the runs' p50 and p99 in microseconds, if latencies were measured.
    pub fn latency_us(&self) -> Option<[f64; 2]> {
        let runs: Option<Vec<_>> = self.runs.iter().map(|run| run.latency_us).collect();
        let runs = runs?;
        Some([0, 1].map(|index| median(runs.iter().map(|run| run[index] as f64))))
    }

    /// Number of check-ins in one run.
    pub fn items(&self) -> u64 {
        self.runs.first().map_or(0, |run| run.items)
    }

    /// Number of runs.
    pub fn repeats(&self) -> usize {
        self.runs.len()
    }

    /// The result of every run.
    pub fn result(&self) -> u64 {
        self.runs.first().map_or(0, |run| run.result)
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    (low + high) / 2.0
}

/// The difference between the maximum and the minimum, as a fraction of the median; 0 if that is not a number.
pub(crate) fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let min = values.clone().fold(f64::INFINITY, f64::min);
    let spread = (max - min) / median(values);
    if spread.is_finite() { spread } else { 0.0 }
}

/// Measures time and core time; it can be stopped and started again.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    wall: Duration,
    core: Duration,
}

/// A stopwatch that is running.
#[derive(Debug)]
pub(crate) struct RunningStopwatch {
    stopwatch: Stopwatch,
    started: Stamp,
    core_at_start: Duration,
}

impl Stopwatch {
    pub(crate) const fn wall(&self) -> Duration {
        self.wall
    }

    pub(crate) fn start(self) -> RunningStopwatch {
        let core_at_start = core_time();
        RunningStopwatch {
            stopwatch: self,
            started: clock::stamp(),
            core_at_start,
        }
    }

    /// Returns the run that was timed.
    pub(crate) fn run(self, items: u64, result: u64) -> Run {
        let Self { wall, core } = self;
        Run {
            items,
            wall,
            core,
            result,
            latency_us: None,
        }
    }
}

impl RunningStopwatch {
    pub(crate) fn stop(mut self) -> Stopwatch {
        self.stopwatch.wall += clock::stamp().since(self.started);
        self.stopwatch.core += core_time().saturating_sub(self.core_at_start);
        self.stopwatch
    }
}

/// CPU time of the live threads of this process as the kernel accounts it; zero if the kernel does not. The resolution
/// is about a scheduler tick, a few milliseconds. No thread may end between two readings that are compared.
fn core_time() -> Duration {
    core_time_of("self")
}

/// The same for the process with this id.
pub(crate) fn core_time_of(process: &str) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten();
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// A hash of the result of a run, to compare runs at a glance.
#[derive(Debug, Default)]
pub(crate) struct Digest(u64);

impl Digest {
    /// The hash of one number.
    pub(crate) fn of(value: u64) -> u64 {
        let mut digest = Self::default();
        digest.add(value);
        digest.value()
    }

    pub(crate) fn add(&mut self, value: u64) {
        self.0 = crate::fleet::mix(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ value);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(milliseconds: u64, result: u64) -> Run {
        let wall = Duration::from_millis(milliseconds);
        let core = wall;
        Stopwatch { wall, core }.run(1000, result)
    }

    #[test]
    fn a_row_gives_the_median_and_the_spread() {
        let runs = vec![run(1000, 7), run(500, 7), run(2000, 7)];
        let row = Row::new(Name::Decode, "x", runs).unwrap();
        assert!((row.rate() - 1000.0).abs() < 1e-6);
        assert!((row.spread() - 1.5).abs() < 1e-6);
        assert!((row.core_ns() - 1e6).abs() < 1e-6);
        assert_eq!((row.items(), row.repeats(), row.result()), (1000, 3, 7));
        assert_eq!(row.latency_us(), None);
    }

    #[test]
    fn a_row_gives_the_medians_of_its_latencies() {
        let runs = [3, 9, 5].map(|microseconds| {
            let mut latencies = Latencies::default();
            latencies.add(Duration::from_micros(microseconds));
            latencies.add(Duration::from_micros(10 * microseconds));
            run(1, 7).with_latencies(&latencies)
        });
        let row = Row::new(Name::Requests, "x", runs.to_vec()).unwrap();
        assert_eq!(row.latency_us(), Some([5.0, 50.0]));
    }

    #[test]
    fn runs_with_different_results_are_an_error() {
        let error = Row::new(Name::Decode, "x", vec![run(1, 1), run(1, 2)]).unwrap_err();
        assert!(error.to_string().contains("different results"));
    }
}
