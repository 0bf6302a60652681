//! Ack latencies: HDR histograms in microseconds, three digits, up to an hour.
//!
//! Owner: connections share a few histograms, each behind a lock that is held for a moment a frame,
//! so that ten thousand connections do not need ten thousand histograms. Whoever takes the samples
//! swaps them for empty ones, so that a sample costs the connections nothing. Bounds: 8 lanes of three of
//! them, and one lane that is empty; a histogram that is kept is packed, some hundred bytes.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::{
    Histogram,
    serialization::{Deserializer, Serializer, V2Serializer},
};

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

/// What a connection counts.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// From the time a frame was due to its ack.
    pub(crate) latency: Latency,
    /// The same once more, of frames that were made before every device of their connection had checked in. These are
    /// the few, so that they are counted twice, and not the frames of a fleet that the server knows.
    pub(crate) first_round: Latency,
    /// How late frames were handed over for reasons of the generator.
    pub(crate) start_delay: Latency,
}

impl Lane {
    /// Counts a frame.
    pub(crate) fn record(&mut self, latency: Duration, is_of_known_fleet: bool) {
        self.latency.record(latency);
        if !is_of_known_fleet {
            self.first_round.record(latency);
        }
    }

    /// Counts what another one has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency);
        self.first_round.add(&other.first_round);
        self.start_delay.add(&other.start_delay);
    }

    /// The latencies of a fleet that the server knows.
    pub(crate) fn known(&self) -> Latency {
        self.latency.without(&self.first_round)
    }

    fn reset(&mut self) {
        self.latency.0.reset();
        self.first_round.0.reset();
        self.start_delay.0.reset();
    }
}

/// Histograms for many writers.
#[derive(Debug)]
pub(crate) struct LatencyLanes {
    lanes: [Mutex<Lane>; LANES],
    /// Empty, to be swapped in.
    spare: Mutex<Lane>,
}

impl LatencyLanes {
    pub(crate) fn new() -> Self {
        Self {
            lanes: std::array::from_fn(|_| Mutex::default()),
            spare: Mutex::default(),
        }
    }

    /// The histograms of a connection.
    pub(crate) fn lane(&self, connection: usize) -> MutexGuard<'_, Lane> {
        locked(&self.lanes[connection % LANES])
    }

    /// Adds what was counted since the last call.
    pub(crate) fn take(&self, into: &mut Lane) {
        let mut spare = locked(&self.spare);
        for lane in &self.lanes {
            std::mem::swap(&mut *locked(lane), &mut *spare);
            into.add(&spare);
            spare.reset();
        }
    }
}

fn locked(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    // A histogram is valid whatever a writer was doing when it ended.
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_come_together_and_begin_anew() {
        let lanes = LatencyLanes::new();
        for connection in 0..100 {
            let mut lane = lanes.lane(connection);
            lane.latency
                .record(Duration::from_millis(connection as u64 + 1));
        }
        let mut all = Lane::default();
        lanes.take(&mut all);
        let latency = &all.latency;
        assert_eq!((latency.count(), all.start_delay.count()), (100, 0));
        assert!((latency.quantile_ms(0.5) - 50.0).abs() < 0.1);
        assert!((latency.max_ms() - 100.0).abs() < 0.1);
        lanes.take(&mut all);
        assert_eq!(all.latency.count(), 100, "nothing is taken twice");
    }

    #[test]
    fn frames_of_the_first_round_are_not_among_those_of_a_known_fleet() {
        let lanes = LatencyLanes::new();
        for milliseconds in 1..=100 {
            let latency = Duration::from_millis(milliseconds);
            lanes.lane(0).record(latency, milliseconds <= 40);
            lanes.lane(1).record(latency, true);
        }
        let mut all = Lane::default();
        lanes.take(&mut all);
        lanes.take(&mut all);
        assert_eq!((all.latency.count(), all.first_round.count()), (200, 60));
        let mut expected = Latency::default();
        for milliseconds in (1..=40).chain(1..=100) {
            expected.record(Duration::from_millis(milliseconds));
        }
        assert_eq!(all.known().0, expected.0);
    }

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
