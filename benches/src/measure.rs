//! One run, many runs: time, core time, result.

use std::fs;
use std::time::Duration;

use anyhow::ensure;
use muster_ingest::clock::{self, Stamp};

use crate::latencies::Latencies;
use crate::parts::Name;

/// What one run took and what came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Check-ins.
    pub(crate) items: u64,
    pub(crate) wall: Duration,
    /// What all threads of the process together spent on a core.
    pub(crate) core: Duration,
    /// The same in every run of a bench.
    pub(crate) result: u64,
    /// Of one after the other, if that was measured: median and 99th percentile in microseconds.
    latency_us: Option<[u64; 2]>,
}

impl Run {
    /// The run, with the latencies that were measured in it.
    pub(crate) fn with(mut self, latencies: &Latencies) -> Self {
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
    /// The part it belongs to.
    pub part: Name,
    /// What was done.
    pub case: String,
    runs: Vec<Run>,
}

impl Row {
    /// # Errors
    /// If the runs did not all come to the same result: then they did not do the same work.
    pub(crate) fn new(part: Name, case: impl Into<String>, runs: Vec<Run>) -> anyhow::Result<Self> {
        let case = case.into();
        let same = runs
            .windows(2)
            .all(|pair| pair[0].result == pair[1].result && pair[0].items == pair[1].items);
        ensure!(
            same && !runs.is_empty(),
            "{case}: two runs came to different results"
        );
        Ok(Self { part, case, runs })
    }

    /// Check-ins a second, median of the runs.
    pub fn rate(&self) -> f64 {
        median(self.runs.iter().map(Run::rate))
    }

    /// From the slowest to the fastest run, as a share of the median.
    pub fn spread(&self) -> f64 {
        spread(self.runs.iter().map(Run::rate))
    }

    /// Nanoseconds of one core for a check-in, median of the runs.
    pub fn core_ns(&self) -> f64 {
        median(
            self.runs
                .iter()
                .map(|run| run.core.as_nanos() as f64 / run.items as f64),
        )
    }

    /// How long one took in microseconds, if that was measured: medians of the runs' p50 and p99.
    pub fn latency_us(&self) -> Option<[f64; 2]> {
        let runs: Option<Vec<_>> = self.runs.iter().map(|run| run.latency_us).collect();
        let runs = runs?;
        Some([0, 1].map(|index| median(runs.iter().map(|run| run[index] as f64))))
    }

    /// Check-ins in one run.
    pub fn items(&self) -> u64 {
        self.runs.first().map_or(0, |run| run.items)
    }

    /// Runs.
    pub fn repeats(&self) -> usize {
        self.runs.len()
    }

    /// What every run came to.
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

/// From the least to the most, as a share of the median; 0 if there is none to share.
pub(crate) fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let spread = (most - least) / median(values);
    if spread.is_finite() { spread } else { 0.0 }
}

/// Time and core time spent while it ran; it may be stopped and started again.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    wall: Duration,
    core: Duration,
}

/// A stopwatch that runs.
#[derive(Debug)]
pub(crate) struct Running {
    stopwatch: Stopwatch,
    started: Stamp,
    core: Duration,
}

impl Stopwatch {
    pub(crate) const fn wall(&self) -> Duration {
        self.wall
    }

    pub(crate) fn start(self) -> Running {
        let core = core_time();
        Running {
            stopwatch: self,
            started: clock::stamp(),
            core,
        }
    }

    /// The run that was timed.
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

impl Running {
    pub(crate) fn stop(mut self) -> Stopwatch {
        self.stopwatch.wall += clock::stamp().since(self.started);
        self.stopwatch.core += core_time().saturating_sub(self.core);
        self.stopwatch
    }
}

/// What the living threads of this process have spent on a core, by the kernel's accounts; zero where
/// it keeps none. Good to about the tick of the scheduler, a few milliseconds. No thread may end between
/// two readings that are compared.
fn core_time() -> Duration {
    core_time_of("self")
}

/// The same of another process, by its number.
pub(crate) fn core_time_of(process: &str) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten();
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanoseconds.sum())
}

/// A hash of what came out of a run, so that two runs can be compared at a glance.
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
            run(1, 7).with(&latencies)
        });
        let row = Row::new(Name::Requests, "x", runs.to_vec()).unwrap();
        assert_eq!(row.latency_us(), Some([5.0, 50.0]));
    }

    #[test]
    fn runs_with_different_results_are_no_row() {
        let error = Row::new(Name::Decode, "x", vec![run(1, 1), run(1, 2)]).unwrap_err();
        assert!(error.to_string().contains("different results"));
    }
}
