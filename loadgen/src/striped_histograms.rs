//! The latency histograms of many connections.
//!
//! Connections share a few stripes, each behind a lock that is held briefly once per frame, because thousands of
//! connections cannot have a histogram each. The sampler swaps the histograms for empty ones, so that it does not delay
//! the connections. Bounds: `STRIPES` times three histograms, and a spare set.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use muster_testkit::latency::Latency;

const STRIPES: usize = 8;

/// The histograms of a stripe, or their sum.
#[derive(Debug, Default)]
pub(crate) struct LatencyHistograms {
    /// The latencies of all frames, from the time a frame was due to its ack.
    pub(crate) latency: Latency,
    /// The latencies of frames that were made before every device of their connection had checked in. These are also in
    /// `latency`. They are the ones recorded twice, because there are fewer of them.
    pub(crate) first_round: Latency,
    /// How late frames were sent because of the generator.
    pub(crate) generator_delay: Latency,
}

impl LatencyHistograms {
    /// Records the latency of a frame.
    pub(crate) fn record(&mut self, latency: Duration, is_of_known_fleet: bool) {
        self.latency.record(latency);
        if !is_of_known_fleet {
            self.first_round.record(latency);
        }
    }

    /// Adds the latencies of other histograms.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.first_round.add(&other.first_round);
        self.generator_delay.add(&other.generator_delay);
    }

    /// The latencies of frames that were made after every device of their connection had checked in.
    pub(crate) fn known(&self) -> Latency {
        self.latency.without(&self.first_round)
    }

    fn reset(&mut self) {
        self.latency.reset();
        self.first_round.reset();
        self.generator_delay.reset();
    }
}

/// Latency histograms for many writers, with lock striping.
#[derive(Debug)]
pub(crate) struct StripedHistograms {
    stripes: [Mutex<LatencyHistograms>; STRIPES],
    /// Empty, to be swapped in.
    spare: Mutex<LatencyHistograms>,
}

impl StripedHistograms {
    pub(crate) fn new() -> Self {
        Self {
            stripes: std::array::from_fn(|_| Mutex::default()),
            spare: Mutex::default(),
        }
    }

    /// Locks the histograms for a connection.
    pub(crate) fn of_connection(&self, connection: usize) -> MutexGuard<'_, LatencyHistograms> {
        lock(&self.stripes[connection % STRIPES])
    }

    /// Adds to `into` what was recorded since the last call.
    pub(crate) fn take(&self, into: &mut LatencyHistograms) {
        let mut spare = lock(&self.spare);
        for stripe in &self.stripes {
            std::mem::swap(&mut *lock(stripe), &mut *spare);
            into.add(&spare);
            spare.reset();
        }
    }
}

fn lock(stripe: &Mutex<LatencyHistograms>) -> MutexGuard<'_, LatencyHistograms> {
    // A histogram is valid even if a writer panicked.
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_are_summed_and_reset() {
        let striped = StripedHistograms::new();
        for connection in 0..100 {
            let mut histograms = striped.of_connection(connection);
            histograms
                .latency
                .record(Duration::from_millis(connection as u64 + 1));
        }
        let mut all = LatencyHistograms::default();
        striped.take(&mut all);
        let latency = &all.latency;
        assert_eq!((latency.count(), all.generator_delay.count()), (100, 0));
        assert!((latency.quantile_ms(0.5) - 50.0).abs() < 0.1);
        assert!((latency.max_ms() - 100.0).abs() < 0.1);
        striped.take(&mut all);
        assert_eq!(all.latency.count(), 100, "nothing is taken twice");
    }

    #[test]
    fn frames_of_the_first_round_are_not_counted_as_known() {
        let striped = StripedHistograms::new();
        for milliseconds in 1..=100 {
            let latency = Duration::from_millis(milliseconds);
            striped.of_connection(0).record(latency, milliseconds <= 40);
            striped.of_connection(1).record(latency, true);
        }
        let mut all = LatencyHistograms::default();
        striped.take(&mut all);
        striped.take(&mut all);
        assert_eq!((all.latency.count(), all.first_round.count()), (200, 60));
        let mut expected = Latency::default();
        for milliseconds in (1..=40).chain(1..=100) {
            expected.record(Duration::from_millis(milliseconds));
        }
        assert_eq!(all.known().histogram(), expected.histogram());
    }
}
