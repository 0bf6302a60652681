//! Ack latencies: HDR histograms in microseconds with three significant digits, up to one hour.
//!
//! Bounds: some hundred KiB per histogram; some hundred bytes when it is packed.

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
    /// Records one latency.
    pub fn record(&mut self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.saturating_record(microseconds.max(1));
    }

    /// The latency at a quantile, in milliseconds; 0 if nothing was recorded.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The highest latency, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }

    /// The number of recorded latencies.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Adds the latencies of another histogram.
    pub fn add(&mut self, other: &Self) {
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok(), "all histograms have the same bounds");
    }

    /// This histogram without the latencies of another one, all of which must have been recorded here too.
    pub fn without(&self, others: &Self) -> Self {
        let mut left = self.clone();
        let subtracted = left.0.subtract(&others.0);
        debug_assert!(subtracted.is_ok(), "the latencies were recorded in both");
        left
    }

    /// Removes all latencies.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// The underlying histogram, in microseconds.
    pub const fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// The latencies at the quantiles for a chart of the distribution, as pairs of a fraction and milliseconds. The
    /// quantiles are five steps per halving of the distance to 1, until a step would contain no latency.
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

/// A histogram that is serialized to save memory.
#[derive(Debug, Clone, Default)]
pub struct Packed(Vec<u8>);

impl From<&Latency> for Packed {
    fn from(latency: &Latency) -> Self {
        let mut bytes = Vec::new();
        let written = V2Serializer::new().serialize(&latency.0, &mut bytes);
        debug_assert!(written.is_ok(), "writing to a vector does not fail");
        bytes.shrink_to_fit();
        Self(bytes)
    }
}

impl From<&Packed> for Latency {
    fn from(packed: &Packed) -> Self {
        let latency = Deserializer::new().deserialize(&mut packed.0.as_slice());
        debug_assert!(
            latency.is_ok() || packed.0.is_empty(),
            "it was packed above"
        );
        latency.map_or_else(|_| Self::default(), Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
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
    fn a_distribution_rises_to_the_maximum() {
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
    fn values_out_of_range_are_clamped() {
        let mut latency = Latency::default();
        latency.record(Duration::ZERO);
        latency.record(Duration::MAX);
        assert_eq!(latency.count(), 2);
        assert!(latency.max_ms() >= 3_600_000.0);
    }
}
