//! Turns a flood of log lines with one cause into a line a minute.
//!
//! Bounds: a fixed number of causes. It writes no line itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::time::Instant;

/// How long a cause stays quiet after it was logged.
const QUIET_MILLISECONDS: u64 = 60_000;

/// Milliseconds of the monotonic clock, for [`OncePerCause::permit`].
pub(crate) fn monotonic_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Lets each cause through at most once a minute, and counts what it held back.
///
/// For lines that a peer can provoke: rejections and refusals. It holds at most `causes_max` causes.
/// Causes beyond that share one entry, so the log stays bounded whatever peers send; the entry of a cause that
/// was logged more than a minute ago is reused, and its count is lost: exact numbers are in the metrics.
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

/// A cause that was logged and is quiet for now.
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

    /// Whether to log `cause` now: the number of times it was held back since its last line, or none to
    /// stay quiet. `now_ms` is any clock in milliseconds; one that jumps back only delays a line.
    pub fn permit(&self, cause: C, now_ms: u64) -> Option<u64> {
        // A panic elsewhere while the lock was held leaves nothing but counters of log lines behind.
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
        now_ms.saturating_sub(self.logged_at_ms) >= QUIET_MILLISECONDS
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
    fn a_cause_is_let_through_once_a_minute_with_what_was_held_back() {
        let log = OncePerCause::new(4);
        assert_eq!(log.permit("expired", 1_000), Some(0));
        assert_eq!(log.permit("expired", 1_001), None);
        assert_eq!(log.permit("expired", 60_999), None);
        assert_eq!(
            log.permit("unknown", 2_000),
            Some(0),
            "causes do not silence each other"
        );
        assert_eq!(log.permit("expired", 61_000), Some(2));
        assert_eq!(log.permit("expired", 61_001), None);
    }

    #[test]
    fn causes_beyond_the_bound_share_one_place() {
        let log = OncePerCause::new(2);
        assert_eq!(log.permit(1, 0), Some(0));
        assert_eq!(log.permit(2, 0), Some(0));
        assert_eq!(
            log.permit(3, 0),
            Some(0),
            "the first beyond the bound is still heard"
        );
        for cause in 4..1_000 {
            assert_eq!(log.permit(cause, 10), None);
        }
        assert_eq!(log.permit(1, 20), None, "known causes keep their place");
    }

    #[test]
    fn a_cause_that_went_quiet_gives_up_its_place() {
        let log = OncePerCause::new(1);
        assert_eq!(log.permit("first", 0), Some(0));
        assert_eq!(log.permit("second", 60_000), Some(0));
        assert_eq!(log.permit("second", 60_001), None);
        assert_eq!(
            log.permit("first", 60_002),
            Some(0),
            "now the first is beyond the bound"
        );
    }

    #[test]
    fn a_clock_that_jumps_back_only_delays_a_line() {
        let log = OncePerCause::new(1);
        assert_eq!(log.permit("cause", 100_000), Some(0));
        assert_eq!(log.permit("cause", 0), None);
        assert_eq!(log.permit("cause", 160_000), Some(1));
    }
}
