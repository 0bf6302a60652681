//! Samples the counters of a measured phase once per second.
//!
//! Owner: the task that waits for the connections. What it does not do: influence the run.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{LiveCounters, Load, Measurements, Target};
use muster_testkit::usage;

use crate::{
    profile::Profile,
    series::{Series, Totals},
    striped_histograms::{LatencyHistograms, StripedHistograms},
};

/// The time between two samples.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Takes samples while the connections are working.
pub(super) struct Sampler<'a> {
    target: &'a Target,
    profile: &'a Profile,
    start: Instant,
    /// When the schedule ends. Nothing is due after it.
    end: Option<Duration>,
    live: &'a LiveCounters,
    histograms: &'a StripedHistograms,
    series: Series,
    first: Totals,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(
        target: &'a Target,
        load: &'a Load,
        start: Instant,
        live: &'a LiveCounters,
        histograms: &'a StripedHistograms,
    ) -> Self {
        let mut sampler = Self {
            target,
            profile: &load.profile,
            start,
            end: load.time_max,
            live,
            histograms,
            series: Series::default(),
            first: Totals::default(),
        };
        sampler.first = sampler.totals(Duration::ZERO);
        sampler.series.start_from(sampler.first);
        sampler
    }

    /// Takes samples until `work` completes.
    pub(super) async fn sample_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut ticks = interval_at(self.start + SAMPLE_INTERVAL, SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = ticks.tick() => self.sample(),
            }
        }
    }

    fn sample(&mut self) {
        let mut measured = LatencyHistograms::default();
        self.histograms.take(&mut measured);
        let at = self.start.elapsed();
        self.series.sample(at, self.totals(at), &measured);
    }

    fn totals(&self, at: Duration) -> Totals {
        let at = self.end.map_or(at, |end| at.min(end));
        let live = self.live.totals();
        Totals {
            offered: self
                .profile
                .offered_by(at)
                .map_or(live.sent, |offered| offered as u64),
            generator_core_seconds: usage::core_seconds(None),
            server_core_seconds: self
                .target
                .server_pid
                .and_then(|pid| usage::core_seconds(Some(pid))),
            server_rss_bytes: self.target.server_pid.and_then(usage::resident_bytes),
            ..live
        }
    }

    pub(super) fn finish(mut self, measured: &mut Measurements) {
        self.sample();
        let last = self.totals(self.start.elapsed());
        let difference = |last: Option<f64>, first: Option<f64>| Some(last? - first?);
        measured.generator_core_seconds = difference(
            last.generator_core_seconds,
            self.first.generator_core_seconds,
        );
        measured.server_core_seconds =
            difference(last.server_core_seconds, self.first.server_core_seconds);
        measured.series = self.series;
    }
}
