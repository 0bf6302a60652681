//! The latencies of many connections in a few histograms.
//!
//! Owner: connections share a few histograms, each behind a lock that is held for a moment a frame,
//! so that ten thousand connections do not need ten thousand histograms. Whoever takes the samples
//! swaps them for empty ones, so that a sample costs the connections nothing. Bounds: 8 lanes of three of
//! them, and one lane that is empty.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use muster_testkit::latency::Latency;

const LANES: usize = 8;

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
        self.latency.reset();
        self.first_round.reset();
        self.start_delay.reset();
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
        assert_eq!(all.known().histogram(), expected.histogram());
    }
}
