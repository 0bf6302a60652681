//! Ack latencies: HDR histograms in microseconds, three digits, up to an hour.
//!
//! Owner: connections share a few histograms, each behind a lock that is held for a moment a frame,
//! so that ten thousand connections do not need ten thousand histograms. Bounds: 8 of them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

const LANES: usize = 8;
const MICROSECONDS_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

/// A histogram of latencies.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROSECONDS_MAX, DIGITS);
        Self(histogram.expect("the bounds are constants that the crate allows"))
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(microseconds.max(1));
    }

    /// The latency that this fraction of all does not exceed, in milliseconds; 0 if there is none.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The highest, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

/// Histograms for many writers.
#[derive(Debug)]
pub(crate) struct LatencyLanes([Mutex<Latency>; LANES]);

impl LatencyLanes {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// The histogram of a connection.
    pub(crate) fn lane(&self, connection: usize) -> MutexGuard<'_, Latency> {
        // A histogram is valid whatever a writer was doing when it ended.
        self.0[connection % LANES]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them together.
    pub(crate) fn merged(&self) -> Latency {
        let mut all = Latency::default();
        for lane in 0..LANES {
            let added = all.0.add(&self.lane(lane).0);
            debug_assert!(added.is_ok(), "all lanes have the same bounds");
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_come_together() {
        let lanes = LatencyLanes::new();
        for connection in 0..100 {
            lanes
                .lane(connection)
                .record(Duration::from_millis(connection as u64 + 1));
        }
        let all = lanes.merged();
        assert_eq!(all.count(), 100);
        assert!(
            (all.quantile_ms(0.5) - 50.0).abs() < 0.1,
            "{}",
            all.quantile_ms(0.5)
        );
        assert!((all.max_ms() - 100.0).abs() < 0.1, "{}", all.max_ms());
    }

    #[test]
    fn extremes_are_kept_within_the_bounds() {
        let mut latency = Latency::default();
        latency.record(Duration::ZERO);
        latency.record(Duration::MAX);
        assert_eq!(latency.count(), 2);
        assert!(latency.max_ms() >= 3_600_000.0);
    }
}
