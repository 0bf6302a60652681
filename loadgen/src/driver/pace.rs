//! When the frames of a connection are due: at its share of the rate, and out of step with the others.
//!
//! Pure arithmetic on times; whoever holds it does the waiting.

use std::time::Duration;

use tokio::time::Instant;

use crate::profile::Step;

/// The times of one connection's frames, a fixed interval apart within each step.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    next: Instant,
    /// From when on which interval is in force, later ones last; never empty.
    intervals: Vec<(Instant, Duration)>,
    /// Which of them is.
    at: usize,
}

impl Pace {
    /// For a connection that sends this share of the check-ins, its first frame after `phase` of an interval.
    /// One without check-ins has no pace to keep.
    pub(super) fn new(
        start: Instant,
        steps: &[Step],
        share: f64,
        frame: usize,
        phase: f64,
    ) -> Self {
        let mut from = start;
        let mut intervals = Vec::with_capacity(steps.len());
        for step in steps {
            let seconds = frame as f64 / (step.rate * share);
            intervals.push((
                from,
                Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            ));
            match Duration::try_from_secs_f64(step.seconds) {
                Ok(length) => from += length,
                Err(_) => break,
            }
        }
        let first = intervals
            .first()
            .map_or(Duration::ZERO, |(_, interval)| *interval);
        let mut pace = Self {
            next: start + first.mul_f64(phase),
            intervals,
            at: 0,
        };
        pace.find_interval();
        pace
    }

    /// When the next frame is due.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Goes on to the frame after it.
    pub(super) fn take(&mut self) -> Instant {
        let due = self.next;
        self.next += self.interval();
        self.find_interval();
        due
    }

    fn interval(&self) -> Duration {
        self.intervals
            .get(self.at)
            .map_or(Duration::ZERO, |(_, interval)| *interval)
    }

    /// Goes on to the step that the next frame falls into. What it has of an interval beyond the end of a step
    /// passes at the pace of the next one, so that a slow step leaves no gap in a fast one.
    fn find_interval(&mut self) {
        while let Some((from, interval)) = self.intervals.get(self.at + 1)
            && *from <= self.next
        {
            let beyond = self.next - *from;
            let before = self.interval();
            if !before.is_zero() {
                let pace = interval.as_secs_f64() / before.as_secs_f64();
                self.next = *from + beyond.mul_f64(pace);
            }
            self.at += 1;
        }
    }

    /// How many frames, from the next one on, are due before `end`.
    pub(super) fn frames_before(&self, end: Instant) -> u64 {
        let mut pace = self.clone();
        let mut frames = 0_u64;
        loop {
            let step_end = pace
                .intervals
                .get(pace.at + 1)
                .map_or(end, |(from, _)| end.min(*from));
            // Only one without check-ins has an interval of nothing.
            let interval = pace.interval().max(Duration::from_nanos(1));
            let left = step_end.saturating_duration_since(pace.next).as_nanos();
            let count = left.div_ceil(interval.as_nanos());
            frames = frames.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            if step_end == end {
                return frames;
            }
            let passed = interval.as_nanos().saturating_mul(count);
            pace.next += Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX));
            pace.find_interval();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_before(mut pace: Pace, end: Instant) -> u64 {
        let mut taken = 0;
        while pace.next() < end {
            pace.take();
            taken += 1;
        }
        assert_eq!(pace.frames_before(end), 0);
        taken
    }

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
            let seconds = f64::INFINITY;
            let pace = Pace::new(start, &[Step { rate, seconds }], 1.0, 1, phase);
            let counted = pace.frames_before(end);
            assert_eq!(
                counted,
                taken_before(pace, end),
                "{rate} a second for {milliseconds} ms"
            );
        }
    }

    #[test]
    fn each_step_has_its_own_interval() {
        let start = Instant::now();
        let rates = [100.0, 3.0, 777.0, 5.0];
        let steps = rates.map(|rate| Step { rate, seconds: 0.5 });
        for (phase, milliseconds) in [(0.0, 2000), (0.7, 1999), (0.3, 600), (0.9, 1250)] {
            let end = start + Duration::from_millis(milliseconds);
            let pace = Pace::new(start, &steps, 1.0, 1, phase);
            let counted = pace.frames_before(end);
            assert_eq!(counted, taken_before(pace, end), "{milliseconds} ms");
        }
        let whole =
            Pace::new(start, &steps, 1.0, 1, 0.0).frames_before(start + Duration::from_secs(2));
        assert!((440..=446).contains(&whole), "{whole} of about 442");
    }
}
