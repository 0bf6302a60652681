//! The one place that reads a clock; everything else gets the time as an argument.
#![expect(clippy::disallowed_methods, reason = "this is the clock module")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use muster_engine::Timestamp;

/// A point on the monotonic clock: nanoseconds since the process first asked. 8 bytes, so that it can
/// travel with a part and live in an atomic; for measuring, never for deciding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Nanoseconds from `earlier` to here; 0 if `earlier` is later.
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }
}

/// Now, by the monotonic clock.
pub fn stamp() -> Stamp {
    static START: OnceLock<Instant> = OnceLock::new();
    Stamp(START.get_or_init(Instant::now).elapsed().as_nanos() as u64)
}

/// Now, by the wall clock. A clock before 1970 reads as 1970.
pub fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}
