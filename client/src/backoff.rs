//! The delay before the next connection attempt: exponential backoff with full jitter.
//!
//! Purpose: a fleet that loses its server at once does not reconnect at once. Pure: the random number is an argument.
//! Bounds: a delay is between zero and `max` after any number of attempts.

use std::time::Duration;

/// The delays of consecutive failed attempts.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self {
            min,
            max,
            attempt: 0,
        }
    }

    /// The next delay: a random fraction of `min`, doubled for every earlier attempt, at most `max`.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let ceiling = match 1u32.checked_shl(self.attempt) {
            Some(factor) => self.min.saturating_mul(factor).min(self.max),
            None => self.max,
        };
        self.attempt = self.attempt.saturating_add(1);
        // The upper 32 bits, as a fraction of one.
        let fraction = (random >> 32) as f64 / f64::from(u32::MAX);
        ceiling.mul_f64(fraction)
    }

    /// Starts over; called once the server has acknowledged something.
    pub(crate) const fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Failed attempts since the start or the last reset.
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
        let mut backoff = Backoff::new(MIN, MAX);
        let delays: Vec<u128> = (0..12)
            .map(|_| backoff.next(u64::MAX).as_millis())
            .collect();
        let expected = [
            100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000,
        ];
        assert_eq!(delays, expected);
    }

    #[test]
    fn jitter_reaches_from_zero_to_the_ceiling() {
        let mut backoff = Backoff::new(MIN, MAX);
        assert_eq!(backoff.next(0), Duration::ZERO);
        let half = backoff.next(u64::MAX / 2);
        assert!((half.as_secs_f64() - 0.1).abs() < 1e-6, "{half:?}");
    }

    #[test]
    fn no_number_of_attempts_exceeds_the_maximum() {
        let mut backoff = Backoff::new(MIN, MAX);
        assert!((0..100).all(|_| backoff.next(u64::MAX) <= MAX));
        assert_eq!(backoff.attempts(), 100);
    }

    #[test]
    fn a_reset_starts_over() {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..5 {
            backoff.next(u64::MAX);
        }
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX), MIN);
    }
}
