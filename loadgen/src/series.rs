//! A time series of a run: one sample per second, with all latencies of that second.
//!
//! Owner: the task that waits for the connections. It reads counters and swaps histograms, so samples do not slow down
//! the connections. Bounds: [`SAMPLES_MAX`] samples of some hundred bytes. In a longer run, pairs of samples are
//! merged, which makes the series coarser but loses no latency.

use std::time::Duration;

use muster_testkit::latency::{Latency, Packed};

use crate::{lateness::LateFrames, striped_histograms::LatencyHistograms};

/// The maximum number of samples: one per second for an hour.
pub const SAMPLES_MAX: usize = 3600;

/// Running totals of a run and of its processes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// Check-ins that were due.
    pub offered: u64,
    /// Check-ins submitted to clients.
    pub sent: u64,
    /// Acknowledged check-ins.
    pub acked: u64,
    /// All frames that were sent, and the late ones.
    pub late: LateFrames,
    /// Busy frames from the server.
    pub busy: u64,
    /// Reconnects.
    pub reconnects: u64,
    /// Core seconds of this process.
    pub generator_core_seconds: Option<f64>,
    /// Core seconds of the server.
    pub server_core_seconds: Option<f64>,
    /// The current resident bytes of the server, which is not a total.
    pub server_rss_bytes: Option<u64>,
}

impl Totals {
    fn since(&self, before: &Self) -> Self {
        let seconds = |now: Option<f64>, before: Option<f64>| Some((now? - before?).max(0.0));
        Self {
            offered: self.offered.saturating_sub(before.offered),
            sent: self.sent - before.sent,
            acked: self.acked - before.acked,
            late: LateFrames {
                frames: self.late.frames - before.late.frames,
                by_server: self.late.by_server - before.late.by_server,
                by_generator: self.late.by_generator - before.late.by_generator,
            },
            busy: self.busy - before.busy,
            reconnects: self.reconnects - before.reconnects,
            generator_core_seconds: seconds(
                self.generator_core_seconds,
                before.generator_core_seconds,
            ),
            server_core_seconds: seconds(self.server_core_seconds, before.server_core_seconds),
            server_rss_bytes: self.server_rss_bytes,
        }
    }

    fn merge(&self, next: &Self) -> Self {
        let seconds = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        let mut late = self.late;
        late.add(&next.late);
        Self {
            offered: self.offered + next.offered,
            sent: self.sent + next.sent,
            acked: self.acked + next.acked,
            late,
            busy: self.busy + next.busy,
            reconnects: self.reconnects + next.reconnects,
            generator_core_seconds: seconds(
                self.generator_core_seconds,
                next.generator_core_seconds,
            ),
            server_core_seconds: seconds(self.server_core_seconds, next.server_core_seconds),
            server_rss_bytes: next.server_rss_bytes,
        }
    }
}

/// What happened during an interval.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The start, relative to the start of the measured phase.
    pub from: Duration,
    /// The end.
    pub until: Duration,
    /// The increase of the totals.
    pub added: Totals,
    /// The latencies of the frames that were acknowledged.
    pub latency: Packed,
}

impl Sample {
    /// The length of the interval.
    pub fn seconds(&self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }

    fn merge(&self, next: &Self) -> Self {
        let mut latency = Latency::from(&self.latency);
        latency.add(&Latency::from(&next.latency));
        Self {
            from: self.from,
            until: next.until,
            added: self.added.merge(&next.added),
            latency: Packed::from(&latency),
        }
    }
}

/// The samples of a run, and all its latencies.
#[derive(Debug)]
pub struct Series {
    samples: Vec<Sample>,
    samples_max: usize,
    /// How many measurements are merged into a sample.
    per_sample: u32,
    /// How many measurements the last sample contains.
    in_last: u32,
    /// The totals at the end of the last sample.
    last: Totals,
    until: Duration,
    total: LatencyHistograms,
}

impl Default for Series {
    fn default() -> Self {
        Self::new(SAMPLES_MAX)
    }
}

impl Series {
    fn new(samples_max: usize) -> Self {
        Self {
            samples: Vec::new(),
            samples_max,
            per_sample: 1,
            in_last: 1,
            last: Totals::default(),
            until: Duration::ZERO,
            total: LatencyHistograms::default(),
        }
    }

    /// Sets the totals at the start.
    pub fn start_from(&mut self, totals: Totals) {
        self.last = totals;
    }

    /// Adds a sample with the current totals and the latencies since the last sample. A very short sample is merged
    /// into the last one.
    pub(crate) fn sample(&mut self, at: Duration, totals: Totals, measured: &LatencyHistograms) {
        self.total.add(measured);
        let sample = Sample {
            from: self.until,
            until: at,
            added: totals.since(&self.last),
            latency: Packed::from(&measured.latency),
        };
        self.last = totals;
        self.until = at;
        let is_short = sample.seconds() < 0.1;
        match self.samples.last_mut() {
            Some(last) if self.in_last < self.per_sample || is_short => {
                *last = last.merge(&sample);
                self.in_last += u32::from(!is_short);
            }
            _ => {
                self.samples.push(sample);
                self.in_last = 1;
            }
        }
        if self.samples.len() > self.samples_max {
            self.merge_pairs();
        }
    }

    fn merge_pairs(&mut self) {
        let pairs = self.samples.chunks(2);
        self.in_last = if self.samples.len().is_multiple_of(2) {
            2 * self.per_sample
        } else {
            self.in_last
        };
        self.samples = pairs
            .map(|pair| match pair {
                [one, two] => one.merge(two),
                [one, ..] => one.clone(),
                [] => unreachable!("a chunk is not empty"),
            })
            .collect();
        self.per_sample *= 2;
    }

    /// Appends the samples of a later phase.
    pub fn append(&mut self, other: &Self) {
        self.total.add(&other.total);
        let start = self.until;
        let later = other.samples.iter().map(|sample| Sample {
            from: start + sample.from,
            until: start + sample.until,
            ..sample.clone()
        });
        self.samples.extend(later);
        self.until = start + other.until;
        while self.samples.len() > self.samples_max {
            self.merge_pairs();
        }
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// All latencies.
    pub const fn latency(&self) -> &Latency {
        &self.total.latency
    }

    /// The latencies of frames that were made after every device of their connection had checked in; `None` if there
    /// was no such frame.
    pub fn known_latency(&self) -> Option<Latency> {
        let known = self.total.known();
        (known.count() > 0).then_some(known)
    }

    /// How late frames were sent because of the generator.
    pub const fn generator_delay(&self) -> &Latency {
        &self.total.generator_delay
    }

    /// Groups the samples, for example by phase. `group` maps a time in seconds to a group, and is called with the
    /// middle of each sample.
    pub fn group_by(&self, group: impl Fn(f64) -> Option<usize>) -> Vec<SampleGroup> {
        let mut groups: Vec<SampleGroup> = Vec::new();
        for sample in &self.samples {
            let middle = f64::midpoint(sample.from.as_secs_f64(), sample.until.as_secs_f64());
            let Some(index) = group(middle) else { continue };
            if groups.len() <= index {
                groups.resize_with(index + 1, SampleGroup::default);
            }
            let found = &mut groups[index];
            found.seconds += sample.seconds();
            found.added = found.added.merge(&sample.added);
            found.latency.add(&Latency::from(&sample.latency));
        }
        groups
    }
}

/// The sum of several samples.
#[derive(Debug, Default)]
pub struct SampleGroup {
    /// Their total length.
    pub seconds: f64,
    /// The increase of the totals.
    pub added: Totals,
    /// The latencies.
    pub latency: Latency,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histograms(milliseconds: u64) -> LatencyHistograms {
        let mut histograms = LatencyHistograms::default();
        histograms
            .latency
            .record(Duration::from_millis(milliseconds));
        histograms
    }

    fn totals(acked: u64) -> Totals {
        Totals {
            acked,
            ..Totals::default()
        }
    }

    fn series_of(seconds: u64, samples_max: usize) -> Series {
        let mut series = Series::new(samples_max);
        for second in 1..=seconds {
            series.sample(
                Duration::from_secs(second),
                totals(10 * second),
                &histograms(second),
            );
        }
        series
    }

    #[test]
    fn a_sample_contains_the_increase_since_the_previous_one() {
        let series = series_of(3, 10);
        let added: Vec<u64> = series
            .samples()
            .iter()
            .map(|sample| sample.added.acked)
            .collect();
        assert_eq!(added, [10, 10, 10]);
        assert_eq!(series.latency().count(), 3);
    }

    #[test]
    fn a_long_run_has_coarser_samples_and_loses_nothing() {
        for seconds in 1..100 {
            let series = series_of(seconds, 8);
            let samples = series.samples();
            assert!(
                samples.len() <= 8,
                "{seconds} seconds have {} samples",
                samples.len()
            );
            let added: u64 = samples.iter().map(|sample| sample.added.acked).sum();
            assert_eq!(added, 10 * seconds);
            let latencies: u64 = samples
                .iter()
                .map(|sample| Latency::from(&sample.latency).count())
                .sum();
            assert_eq!(latencies, seconds);
            assert!(samples.windows(2).all(|pair| pair[0].until == pair[1].from));
            let lengths: Vec<f64> = samples.iter().map(Sample::seconds).collect();
            let (last, others) = lengths.split_last().unwrap();
            assert!(
                others.iter().all(|length| length >= last),
                "{seconds}: {lengths:?}"
            );
        }
    }

    #[test]
    fn a_very_short_sample_is_merged_into_the_last_one() {
        let mut series = series_of(2, 10);
        series.sample(Duration::from_millis(2001), totals(25), &histograms(1));
        assert_eq!(series.samples().len(), 2);
        assert_eq!(series.samples()[1].added.acked, 15);
    }

    #[test]
    fn appended_samples_follow_those_of_the_first_phase() {
        let mut series = series_of(3, 4);
        series.append(&series_of(2, 4));
        let samples = series.samples();
        assert!(samples.len() <= 4 && samples.windows(2).all(|pair| pair[0].until == pair[1].from));
        assert_eq!(samples[samples.len() - 1].until, Duration::from_secs(5));
        assert_eq!(
            samples.iter().map(|sample| sample.added.acked).sum::<u64>(),
            50
        );
        assert_eq!(series.latency().count(), 5);
    }

    #[test]
    fn the_known_latency_excludes_the_first_round() {
        let mut series = Series::default();
        let mut first = LatencyHistograms::default();
        first.record(Duration::from_millis(500), false);
        series.sample(Duration::from_secs(1), totals(1), &first);
        assert!(series.known_latency().is_none());
        let mut second = LatencyHistograms::default();
        second.record(Duration::from_millis(600), false);
        second.record(Duration::from_millis(7), true);
        series.sample(Duration::from_secs(2), totals(3), &second);
        let mut total = Series::default();
        total.append(&series);
        for series in [series, total] {
            assert_eq!(series.latency().count(), 3);
            let known = series.known_latency().unwrap();
            assert_eq!(known.count(), 1);
            assert!((known.max_ms() - 7.0).abs() < 0.1, "{}", known.max_ms());
        }
    }

    #[test]
    fn a_group_is_the_sum_of_its_samples() {
        let groups = series_of(10, 20).group_by(|at| (at < 6.0).then_some(usize::from(at > 2.0)));
        let acked: Vec<u64> = groups.iter().map(|group| group.added.acked).collect();
        assert_eq!(acked, [20, 40]);
        assert!((groups[1].latency.max_ms() - 6.0).abs() < 0.1);
    }
}
