//! Looks at the counters of a measured phase once a second.
//!
//! Owner: the task that waits for the connections. What it does not do: decide anything.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Live, Load, Measured, Plan};
use muster_testkit::usage;

use crate::{
    latency_lanes::{Lane, LatencyLanes},
    profile::Profile,
    series::{Series, Totals},
};

/// Time between two samples.
const SAMPLE: Duration = Duration::from_secs(1);

/// Samples while the connections work.
pub(super) struct Sampler<'a> {
    plan: &'a Plan,
    profile: &'a Profile,
    start: Instant,
    /// The schedule ends here, whatever comes later.
    end: Option<Duration>,
    live: &'a Live,
    lanes: &'a LatencyLanes,
    series: Series,
    first: Totals,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        load: &'a Load,
        start: Instant,
        live: &'a Live,
        lanes: &'a LatencyLanes,
    ) -> Self {
        let mut sampler = Self {
            plan,
            profile: &load.profile,
            start,
            end: load.time_max,
            live,
            lanes,
            series: Series::default(),
            first: Totals::default(),
        };
        sampler.first = sampler.totals(Duration::ZERO);
        sampler.series.begin(sampler.first);
        sampler
    }

    pub(super) async fn while_waiting_for<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut ticks = interval_at(self.start + SAMPLE, SAMPLE);
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
        let mut measured = Lane::default();
        self.lanes.take(&mut measured);
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
                .plan
                .server_pid
                .and_then(|pid| usage::core_seconds(Some(pid))),
            server_rss_bytes: self.plan.server_pid.and_then(usage::resident_bytes),
            ..live
        }
    }

    pub(super) fn finish(mut self, measured: &mut Measured) {
        self.sample();
        let last = self.totals(self.start.elapsed());
        let spent = |now: Option<f64>, first: Option<f64>| Some(now? - first?);
        measured.generator_core_seconds = spent(
            last.generator_core_seconds,
            self.first.generator_core_seconds,
        );
        measured.server_core_seconds =
            spent(last.server_core_seconds, self.first.server_core_seconds);
        measured.series = self.series;
    }
}
