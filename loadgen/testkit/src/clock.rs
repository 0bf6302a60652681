//! The only place that reads the wall clock. Latencies are measured with tokio's monotonic clock.
#![allow(clippy::disallowed_methods, reason = "this is the clock module")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970-01-01T00:00:00Z, or zero if the machine's clock is set earlier.
pub fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// The time since 1970-01-01T00:00:00Z in milliseconds.
pub fn millis() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}
