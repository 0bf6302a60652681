//! When the frames of a connection are due: at the connection's share of the rate, offset from the other connections.
//!
//! Pure arithmetic on times; the sender does the waiting.

use std::time::Duration;

use tokio::time::Instant;

use crate::profile::Step;

/// The due times of one connection's frames, at a fixed interval within each step.
#[derive(Debug, Clone)]
pub(super) struct Pacer {
    next: Instant,
    /// The start and the interval of each step, in order; never empty.
    intervals: Vec<(Instant, Duration)>,
    /// The index of the current step.
    step: usize,
}

impl Pacer {
    /// A pacer for a connection with this share of the check-ins. Its first frame is due after the fraction `phase` of
    /// an interval. Without check-ins the interval is zero.
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
        let mut pacer = Self {
            next: start + first.mul_f64(phase),
            intervals,
            step: 0,
        };
        pacer.enter_step();
        pacer
    }

    /// When the next frame is due.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }

    /// Returns when the next frame is due, and moves on to the one after it.
    pub(super) fn advance(&mut self) -> Instant {
        let due = self.next;
        self.next += self.interval();
        self.enter_step();
        due
    }

    fn interval(&self) -> Duration {
        self.intervals
            .get(self.step)
            .map_or(Duration::ZERO, |(_, interval)| *interval)
    }

    /// Moves to the step in which the next frame is due. The part of an interval that extends beyond the end of a step
    /// is scaled to the interval of the next step, so that a slow step does not delay the first frame of a fast one.
    fn enter_step(&mut self) {
        while let Some((from, interval)) = self.intervals.get(self.step + 1)
            && *from <= self.next
        {
            let beyond = self.next - *from;
            let before = self.interval();
            if !before.is_zero() {
                let scale = interval.as_secs_f64() / before.as_secs_f64();
                self.next = *from + beyond.mul_f64(scale);
            }
            self.step += 1;
        }
    }

    /// The number of frames that are due before `end` and not taken yet.
    pub(super) fn frames_before(&self, end: Instant) -> u64 {
        let mut pacer = self.clone();
        let mut frames = 0_u64;
        loop {
            let step_end = pacer
                .intervals
                .get(pacer.step + 1)
                .map_or(end, |(from, _)| end.min(*from));
            // The interval is zero only if the connection has no check-ins.
            let interval = pacer.interval().max(Duration::from_nanos(1));
            let left = step_end.saturating_duration_since(pacer.next).as_nanos();
            let count = left.div_ceil(interval.as_nanos());
            frames = frames.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            if step_end == end {
                return frames;
            }
            let passed = interval.as_nanos().saturating_mul(count);
            pacer.next += Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX));
            pacer.enter_step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_by_advancing(mut pacer: Pacer, end: Instant) -> u64 {
        let mut taken = 0;
        while pacer.next() < end {
            pacer.advance();
            taken += 1;
        }
        assert_eq!(pacer.frames_before(end), 0);
        taken
    }

    #[test]
    fn the_computed_number_of_frames_equals_the_counted_one() {
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
            let pacer = Pacer::new(start, &[Step { rate, seconds }], 1.0, 1, phase);
            let counted = pacer.frames_before(end);
            assert_eq!(
                counted,
                count_by_advancing(pacer, end),
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
            let pacer = Pacer::new(start, &steps, 1.0, 1, phase);
            let counted = pacer.frames_before(end);
            assert_eq!(counted, count_by_advancing(pacer, end), "{milliseconds} ms");
        }
        let whole =
            Pacer::new(start, &steps, 1.0, 1, 0.0).frames_before(start + Duration::from_secs(2));
        assert!((440..=446).contains(&whole), "{whole} of about 442");
    }
}
