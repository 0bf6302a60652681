//! How long to wait before the next attempt: exponential, with full jitter.
//!
//! Purpose: a fleet that lost its server together does not return together. Pure: random numbers
//! come in as an argument. Bounds: between zero and `max`, whatever the number of attempts.

use std::time::Duration;

/// The waits of one row of failures.
#[derive(Debug, Clone)]
pub(crate) struct BackOff {
    min: Duration,
    max: Duration,
    attempt: u32,
}

impl BackOff {
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            attempt: 0,
        }
    }

    /// The next wait: a random part of `min` doubled by every attempt before, `max` at most.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let ceiling = match 1u32.checked_shl(self.attempt) {
            Some(factor) => self.min.saturating_mul(factor).min(self.max),
            None => self.max,
        };
        self.attempt = self.attempt.saturating_add(1);
        // The upper 32 bits as a fraction of one.
        let fraction = (random >> 32) as f64 / f64::from(u32::MAX);
        ceiling.mul_f64(fraction)
    }

    /// Starts over, after the server has shown that it works.
    pub(crate) const fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Waits asked for since the start or the last reset.
    pub(crate) const fn attempts(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn ceilings_double_up_to_the_maximum() {
        let mut back_off = BackOff::new(MIN, MAX);
        let waits: Vec<u128> = (0..12)
            .map(|_| back_off.next(u64::MAX).as_millis())
            .collect();
        let expected = [
            100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000,
        ];
        assert_eq!(waits, expected);
    }

    #[test]
    fn jitter_reaches_from_zero_to_the_ceiling() {
        let mut back_off = BackOff::new(MIN, MAX);
        assert_eq!(back_off.next(0), Duration::ZERO);
        let half = back_off.next(u64::MAX / 2);
        assert!((half.as_secs_f64() - 0.1).abs() < 1e-6, "{half:?}");
    }

    #[test]
    fn any_number_of_attempts_stays_within_the_maximum() {
        let mut back_off = BackOff::new(MIN, MAX);
        assert!((0..100).all(|_| back_off.next(u64::MAX) <= MAX));
        assert_eq!(back_off.attempts(), 100);
    }

    #[test]
    fn a_reset_starts_over() {
        let mut back_off = BackOff::new(MIN, MAX);
        for _ in 0..5 {
            back_off.next(u64::MAX);
        }
        back_off.reset();
        assert_eq!(back_off.next(u64::MAX), MIN);
    }
}
