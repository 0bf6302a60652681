//! Ack latencies: HDR histograms in microseconds, three digits, up to an hour.
//!
//! Owner: whoever measures. Bounds: a histogram is some hundred KiB; one that is kept is packed, some hundred bytes.

use std::time::Duration;

use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2Serializer},
};

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

    /// The mean, in milliseconds; 0 if there is none.
    pub fn mean_ms(&self) -> f64 {
        self.0.mean() / 1000.0
    }

    /// Counts what another one has counted.
    pub fn add(&mut self, other: &Self) {
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok(), "all histograms have the same bounds");
    }

    /// What is left without these, each of which was counted here too.
    pub fn without(&self, others: &Self) -> Self {
        let mut left = self.clone();
        let taken = left.0.subtract(&others.0);
        debug_assert!(taken.is_ok(), "what is taken was counted before");
        left
    }

    /// Forgets what was counted.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// The histogram itself, in microseconds.
    pub const fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// The latencies at the quantiles that a chart of a distribution needs: each step halves what is left above it,
    /// in five parts, until a step would hold less than one. Fractions and milliseconds.
    pub fn distribution(&self) -> Vec<(f64, f64)> {
        let steps = self.0.iter_quantiles(5);
        steps
            .map(|step| {
                (
                    step.quantile_iterated_to(),
                    step.value_iterated_to() as f64 / 1000.0,
                )
            })
            .collect()
    }
}

/// A histogram that is kept for later, in little room.
#[derive(Debug, Clone, Default)]
pub struct Packed(Vec<u8>);

impl From<&Latency> for Packed {
    fn from(latency: &Latency) -> Self {
        let mut bytes = Vec::new();
        let written = V2Serializer::new().serialize(&latency.0, &mut bytes);
        debug_assert!(written.is_ok(), "a vector takes any number of bytes");
        bytes.shrink_to_fit();
        Self(bytes)
    }
}

impl From<&Packed> for Latency {
    fn from(packed: &Packed) -> Self {
        let found = Deserializer::new().deserialize(&mut packed.0.as_slice());
        debug_assert!(found.is_ok() || packed.0.is_empty(), "it was packed above");
        found.map_or_else(|_| Self::default(), Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_histogram_is_the_same_when_it_is_unpacked() {
        let mut latency = Latency::default();
        for milliseconds in 1..1000 {
            latency.record(Duration::from_millis(milliseconds));
        }
        let packed = Packed::from(&latency);
        assert!(packed.0.len() < 4000, "{} bytes", packed.0.len());
        assert_eq!(Latency::from(&packed).0, latency.0);
        assert_eq!(Latency::from(&Packed::default()).count(), 0);
    }

    #[test]
    fn a_distribution_rises_to_the_highest() {
        let mut latency = Latency::default();
        for milliseconds in 1..=1000 {
            latency.record(Duration::from_millis(milliseconds));
        }
        let points = latency.distribution();
        assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        let (quantile, highest) = points[points.len() - 1];
        assert!(quantile > 0.999 && (highest - latency.max_ms()).abs() < 1.0);
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
