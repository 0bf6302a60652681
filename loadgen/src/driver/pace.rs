//! When the frames of a connection are due: at its share of the rate, and out of step with the others.
//!
//! Pure arithmetic on times; whoever holds it does the waiting.

use std::time::Duration;

use tokio::time::Instant;

/// The times of one connection's frames, a fixed interval apart.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    interval: Duration,
}

impl Pace {
    /// For a connection that sends so many check-ins a second, its first frame after `phase` of an
    /// interval. One without check-ins has no pace to keep.
    pub(super) fn new(start: Instant, rate: f64, frame: usize, phase: f64) -> Self {
        let interval = Duration::try_from_secs_f64(frame as f64 / rate).unwrap_or_default();
        Self {
            next: start + interval.mul_f64(phase),
            interval,
        }
    }

    /// When the next frame is due.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Goes on to the frame after it.
    pub(super) fn take(&mut self) -> Instant {
        let due = self.next;
        self.next += self.interval;
        due
    }

    /// How many frames, from the next one on, are due before `end`.
    pub(super) fn frames_before(&self, end: Instant) -> u64 {
        let left = end.saturating_duration_since(self.next).as_nanos();
        // Only one without check-ins has an interval of nothing.
        let frames = left.div_ceil(self.interval.as_nanos().max(1));
        u64::try_from(frames).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_before_an_end_are_those_that_taking_them_finds() {
        let start = Instant::now();
        for (rate, phase, milliseconds) in [
            (1000.0, 0.0, 100),
            (1000.0, 0.5, 100),
            (777.0, 0.3, 50),
            (10.0, 0.9, 1),
            (1.0, 0.0, 0),
        ] {
            let end = start + Duration::from_millis(milliseconds);
            let mut pace = Pace::new(start, rate, 1, phase);
            let counted = pace.frames_before(end);
            let mut taken = 0;
            while pace.next() < end {
                pace.take();
                taken += 1;
            }
            assert_eq!(counted, taken, "{rate} a second for {milliseconds} ms");
            assert_eq!(pace.frames_before(end), 0);
        }
    }
}
