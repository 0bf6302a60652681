//! What happened when: a sample each second, with all latencies of that second.
//!
//! Owner: the task that waits for the connections; it looks at counters and swaps histograms, so a sample costs a
//! check-in nothing. Bounds: [`SAMPLES_MAX`] samples of some hundred bytes; a longer run has them coarser, two
//! joined into one, which loses no latency.

use std::time::Duration;

use muster_testkit::latency::{Latency, Packed};

use crate::{latency_lanes::Lane, lateness::LateFrames};

/// Samples that are kept, at most: an hour of seconds.
pub const SAMPLES_MAX: usize = 3600;

/// Running totals of a run, and of processes beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// Check-ins that were due.
    pub offered: u64,
    /// Check-ins handed to connections.
    pub sent: u64,
    /// Check-ins acknowledged.
    pub acked: u64,
    /// Frames that left, and those that left late.
    pub late: LateFrames,
    /// Pauses that the server asked for.
    pub busy: u64,
    /// Connections that were opened again.
    pub reconnects: u64,
    /// Core seconds of this process.
    pub generator_core_seconds: Option<f64>,
    /// Core seconds of the server.
    pub server_core_seconds: Option<f64>,
    /// Resident bytes of the server; no total, but what it has now.
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

    fn join(&self, next: &Self) -> Self {
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

/// What happened in some time.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Since the start of the measured phase.
    pub from: Duration,
    /// The end of it.
    pub until: Duration,
    /// What was added in this time.
    pub added: Totals,
    /// The latencies of the frames that were acknowledged in this time.
    pub latency: Packed,
}

impl Sample {
    /// How long it took.
    pub fn seconds(&self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }

    fn join(&self, next: &Self) -> Self {
        let mut latency = Latency::from(&self.latency);
        latency.add(&Latency::from(&next.latency));
        Self {
            from: self.from,
            until: next.until,
            added: self.added.join(&next.added),
            latency: Packed::from(&latency),
        }
    }
}

/// All samples of a run, and what they come to.
#[derive(Debug)]
pub struct Series {
    samples: Vec<Sample>,
    samples_max: usize,
    /// So many looks are joined into a sample.
    looks: u32,
    /// Looks that the last sample has.
    in_last: u32,
    last: Totals,
    until: Duration,
    whole: Lane,
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
            looks: 1,
            in_last: 1,
            last: Totals::default(),
            until: Duration::ZERO,
            whole: Lane::default(),
        }
    }

    /// Says where the totals stand at the start.
    pub fn begin(&mut self, totals: Totals) {
        self.last = totals;
    }

    /// Takes a sample: where the totals stand, and what was measured since the last one. A sample that comes at once
    /// after another adds to it.
    pub(crate) fn sample(&mut self, at: Duration, totals: Totals, measured: &Lane) {
        self.whole.add(measured);
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
            Some(last) if self.in_last < self.looks || is_short => {
                *last = last.join(&sample);
                self.in_last += u32::from(!is_short);
            }
            _ => {
                self.samples.push(sample);
                self.in_last = 1;
            }
        }
        if self.samples.len() > self.samples_max {
            self.halve();
        }
    }

    fn halve(&mut self) {
        let pairs = self.samples.chunks(2);
        self.in_last = if self.samples.len().is_multiple_of(2) {
            2 * self.looks
        } else {
            self.in_last
        };
        self.samples = pairs
            .map(|pair| match pair {
                [one, two] => one.join(two),
                [one, ..] => one.clone(),
                [] => unreachable!("a chunk is not empty"),
            })
            .collect();
        self.looks *= 2;
    }

    /// Puts the samples of another phase behind those of this one.
    pub fn append(&mut self, other: &Self) {
        self.whole.add(&other.whole);
        let start = self.until;
        let later = other.samples.iter().map(|sample| Sample {
            from: start + sample.from,
            until: start + sample.until,
            ..sample.clone()
        });
        self.samples.extend(later);
        self.until = start + other.until;
        while self.samples.len() > self.samples_max {
            self.halve();
        }
    }

    /// The samples, oldest first.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// All latencies.
    pub const fn latency(&self) -> &Latency {
        &self.whole.latency
    }

    /// The latencies of the frames that were made when every device of their connection had checked in before; none
    /// if there was no such frame.
    pub fn known_latency(&self) -> Option<Latency> {
        let known = self.whole.known();
        (known.count() > 0).then_some(known)
    }

    /// How late frames left for reasons of the generator.
    pub const fn start_delay(&self) -> &Latency {
        &self.whole.start_delay
    }

    /// What was added by the samples that fall into each class, with the time and the latencies of it; for steps
    /// and phases of a run. A sample belongs where its middle lies.
    pub fn by_class(&self, class: impl Fn(f64) -> Option<usize>) -> Vec<ClassOfSamples> {
        let mut classes: Vec<ClassOfSamples> = Vec::new();
        for sample in &self.samples {
            let middle = f64::midpoint(sample.from.as_secs_f64(), sample.until.as_secs_f64());
            let Some(class) = class(middle) else { continue };
            if classes.len() <= class {
                classes.resize_with(class + 1, ClassOfSamples::default);
            }
            let found = &mut classes[class];
            found.seconds += sample.seconds();
            found.added = found.added.join(&sample.added);
            found.latency.add(&Latency::from(&sample.latency));
        }
        classes
    }
}

/// Samples that belong together.
#[derive(Debug, Default)]
pub struct ClassOfSamples {
    /// How long they took.
    pub seconds: f64,
    /// What was added.
    pub added: Totals,
    /// Their latencies.
    pub latency: Latency,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(milliseconds: u64) -> Lane {
        let mut lane = Lane::default();
        lane.latency.record(Duration::from_millis(milliseconds));
        lane
    }

    fn totals(acked: u64) -> Totals {
        Totals {
            acked,
            ..Totals::default()
        }
    }

    fn series_of(looks: u64, samples_max: usize) -> Series {
        let mut series = Series::new(samples_max);
        for second in 1..=looks {
            series.sample(
                Duration::from_secs(second),
                totals(10 * second),
                &lane(second),
            );
        }
        series
    }

    #[test]
    fn a_sample_has_what_was_added_since_the_one_before() {
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
        for looks in 1..100 {
            let series = series_of(looks, 8);
            let samples = series.samples();
            assert!(
                samples.len() <= 8,
                "{looks} looks are {} samples",
                samples.len()
            );
            let added: u64 = samples.iter().map(|sample| sample.added.acked).sum();
            assert_eq!(added, 10 * looks);
            let latencies: u64 = samples
                .iter()
                .map(|sample| Latency::from(&sample.latency).count())
                .sum();
            assert_eq!(latencies, looks);
            assert!(samples.windows(2).all(|pair| pair[0].until == pair[1].from));
            let lengths: Vec<f64> = samples.iter().map(Sample::seconds).collect();
            let (last, whole) = lengths.split_last().unwrap();
            assert!(
                whole.iter().all(|length| length >= last),
                "{looks}: {lengths:?}"
            );
        }
    }

    #[test]
    fn a_look_at_the_very_end_joins_the_last_sample() {
        let mut series = series_of(2, 10);
        series.sample(Duration::from_millis(2001), totals(25), &lane(1));
        assert_eq!(series.samples().len(), 2);
        assert_eq!(series.samples()[1].added.acked, 15);
    }

    #[test]
    fn phases_follow_each_other() {
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
    fn a_known_fleet_is_what_comes_after_the_first_round() {
        let mut series = Series::default();
        let mut first = Lane::default();
        first.record(Duration::from_millis(500), false);
        series.sample(Duration::from_secs(1), totals(1), &first);
        assert!(series.known_latency().is_none());
        let mut second = Lane::default();
        second.record(Duration::from_millis(600), false);
        second.record(Duration::from_millis(7), true);
        series.sample(Duration::from_secs(2), totals(3), &second);
        let mut whole = Series::default();
        whole.append(&series);
        for series in [series, whole] {
            assert_eq!(series.latency().count(), 3);
            let known = series.known_latency().unwrap();
            assert_eq!(known.count(), 1);
            assert!((known.max_ms() - 7.0).abs() < 0.1, "{}", known.max_ms());
        }
    }

    #[test]
    fn classes_add_up_what_falls_into_them() {
        let classes = series_of(10, 20).by_class(|at| (at < 6.0).then_some(usize::from(at > 2.0)));
        let acked: Vec<u64> = classes.iter().map(|class| class.added.acked).collect();
        assert_eq!(acked, [20, 40]);
        assert!((classes[1].latency.max_ms() - 6.0).abs() < 0.1);
    }
}
