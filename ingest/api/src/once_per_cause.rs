//! Limits log lines with the same cause to one a minute.
//!
//! Bounds: a fixed number of causes. It decides only: the caller writes the line.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::time::Instant;

/// How long a cause is suppressed after it was logged.
const QUIET_MS: u64 = 60_000;

/// Milliseconds of the monotonic clock, for [`OncePerCause::permit`].
pub(crate) fn monotonic_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Permits each cause at most once a minute, and counts the suppressed lines.
///
/// For lines that a client can provoke, such as rejections and refusals. Holds at most `causes_max` causes; all others
/// share one entry, so the log is bounded whatever clients send. The entry of a cause that was logged more than a
/// minute ago may be reused, and its count is then lost: the exact numbers are in the metrics.
#[derive(Debug)]
pub struct OncePerCause<C> {
    causes_max: usize,
    state: Mutex<Causes<C>>,
}

#[derive(Debug)]
struct Causes<C> {
    seen: HashMap<C, Quiet>,
    overflow: Option<Quiet>,
}

/// The entry of a cause that was logged.
#[derive(Debug, Clone, Copy)]
struct Quiet {
    logged_at_ms: u64,
    suppressed: u64,
}

impl<C: Eq + Hash> OncePerCause<C> {
    /// Holds at most `causes_max` causes at the same time.
    pub fn new(causes_max: usize) -> Self {
        let state = Causes {
            seen: HashMap::new(),
            overflow: None,
        };
        Self {
            causes_max,
            state: Mutex::new(state),
        }
    }

    /// Returns the number of lines of `cause` suppressed since its last one if it is to be logged now, otherwise
    /// `None`. `now_ms` is any clock in milliseconds; if it jumps back, a line is delayed.
    pub fn permit(&self, cause: C, now_ms: u64) -> Option<u64> {
        // A panic while the lock was held can corrupt only counters of log lines.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if let Some(quiet) = state.seen.get_mut(&cause) {
            return quiet.permit(now_ms);
        }
        if state.seen.len() >= self.causes_max {
            state.seen.retain(|_, quiet| !quiet.is_over(now_ms));
        }
        if state.seen.len() < self.causes_max {
            state.seen.insert(cause, Quiet::since(now_ms));
            return Some(0);
        }
        match &mut state.overflow {
            Some(quiet) => quiet.permit(now_ms),
            None => {
                state.overflow = Some(Quiet::since(now_ms));
                Some(0)
            }
        }
    }
}

impl Quiet {
    fn since(now_ms: u64) -> Self {
        Self {
            logged_at_ms: now_ms,
            suppressed: 0,
        }
    }

    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.logged_at_ms) >= QUIET_MS
    }

    fn permit(&mut self, now_ms: u64) -> Option<u64> {
        if !self.is_over(now_ms) {
            self.suppressed += 1;
            return None;
        }
        let suppressed = self.suppressed;
        *self = Self::since(now_ms);
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::OncePerCause;

    #[test]
    fn a_cause_is_permitted_once_a_minute_with_the_number_of_suppressed_lines() {
        let log = OncePerCause::new(4);
        assert_eq!(log.permit("expired", 1_000), Some(0));
        assert_eq!(log.permit("expired", 1_001), None);
        assert_eq!(log.permit("expired", 60_999), None);
        assert_eq!(
            log.permit("unknown", 2_000),
            Some(0),
            "one cause does not suppress another"
        );
        assert_eq!(log.permit("expired", 61_000), Some(2));
        assert_eq!(log.permit("expired", 61_001), None);
    }

    #[test]
    fn causes_beyond_the_limit_share_one_entry() {
        let log = OncePerCause::new(2);
        assert_eq!(log.permit(1, 0), Some(0));
        assert_eq!(log.permit(2, 0), Some(0));
        assert_eq!(
            log.permit(3, 0),
            Some(0),
            "the first one beyond the limit is still logged"
        );
        for cause in 4..1_000 {
            assert_eq!(log.permit(cause, 10), None);
        }
        assert_eq!(log.permit(1, 20), None, "known causes keep their entries");
    }

    #[test]
    fn the_entry_of_a_cause_is_reused_after_a_minute() {
        let log = OncePerCause::new(1);
        assert_eq!(log.permit("first", 0), Some(0));
        assert_eq!(log.permit("second", 60_000), Some(0));
        assert_eq!(log.permit("second", 60_001), None);
        assert_eq!(
            log.permit("first", 60_002),
            Some(0),
            "now the first cause is beyond the limit"
        );
    }

    #[test]
    fn a_clock_that_jumps_back_delays_a_line_at_most() {
        let log = OncePerCause::new(1);
        assert_eq!(log.permit("cause", 100_000), Some(0));
        assert_eq!(log.permit("cause", 0), None);
        assert_eq!(log.permit("cause", 160_000), Some(1));
    }
}
