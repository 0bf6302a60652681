//! Steps of the wall clock: leaps that come back, last, or are confirmed by an operator.
//!
//! They have a separate stream of random numbers, so that they do not change the other events of a seed.

use std::time::Duration;

use muster_engine::Timestamp;
use muster_testkit::random::Random;

use super::{START_TIME, World};

/// How long the time of a run goes ahead by days: less than the retention of offboarded devices, because what is
/// acknowledged does not say which devices are offboarded.
const DAYS_AHEAD_MAX: u32 = 120;

/// The stream of random numbers for the clock.
const STREAM: u64 = 2;

/// The wall clock of a run.
#[derive(Debug)]
pub(super) struct ClockSteps {
    random: Random,
    /// Steps in 100,000 steps of the scheduler.
    rate: u64,
}

impl ClockSteps {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, STREAM);
        Self {
            rate: random.choose(&[0, 200, 2_000]),
            random,
        }
    }
}

impl World {
    /// Whether the time may go ahead by seconds only.
    pub(super) fn is_late(&self) -> bool {
        let latest = START_TIME.as_seconds() + DAYS_AHEAD_MAX * 24 * 3600;
        self.time.state().time.as_seconds() > latest
    }

    /// Sometimes the wall clock leaps, comes back, or an operator confirms where it is.
    pub(super) fn step_clock(&mut self) {
        let is_late = self.is_late();
        let ClockSteps { random, rate } = &mut self.clock_steps;
        if random.below(100_000) >= *rate {
            return;
        }
        let time_ms = self.time.state().time.as_millis();
        match random.below(4) {
            0 => {
                self.trace.record("clock confirmed", 0, &[]);
                self.time.confirm();
            }
            1 => {
                self.trace.record("clock right", 0, &[]);
                self.time.set_wall(Timestamp::from_millis(time_ms));
            }
            _ => {
                let seconds_max = random.choose(&[10, 400, 100_000, 900_000]);
                let milliseconds = 1 + random.below(seconds_max * 1_000);
                let is_back = random.below(2) == 0 || is_late;
                let wall_ms = if is_back {
                    time_ms - milliseconds
                } else {
                    time_ms + milliseconds
                };
                let numbers = [("ms", milliseconds), ("back", u64::from(is_back))];
                self.trace.record("clock step", 0, &numbers);
                self.time.set_wall(Timestamp::from_millis(wall_ms));
                // So that many of them last.
                if random.below(2) == 0 {
                    self.advance_time(Duration::from_secs(301));
                }
            }
        }
    }
}
