//! How far ahead the numbers of a device, its seq and its inventory revision, may be.
//!
//! A device numbers its records itself. Without a bound, one number from a wrong clock would make everything that
//! follows stale forever. The bound is checked once, when a record arrives: a replay accepts what was accepted then.
//! Plain values, read on the hot path.

use crate::time::Timestamp;

/// How far a number may be ahead of the stored one, whatever the clock says. A device that counts its records never
/// gets there in one step.
const LEAP_MAX: u64 = 1 << 20;

/// How far a number may be ahead of the server's clock, in seconds: enough for a clock that takes local time for UTC.
const AHEAD_SECONDS: u32 = 24 * 60 * 60;

/// The highest numbers that the time of a batch allows, whatever is stored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumbersMax {
    /// Highest seq.
    pub(crate) seq: u64,
    /// Highest inventory revision.
    pub(crate) revision: u32,
}

impl NumbersMax {
    /// The bound at a time: seqs are compared with milliseconds, revisions with seconds.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self {
            seq: now
                .as_millis()
                .saturating_add(u64::from(AHEAD_SECONDS) * 1000),
            revision: now.as_seconds().saturating_add(AHEAD_SECONDS),
        }
    }
}

/// Whether a number, which is higher than the stored one, is too far ahead of it.
#[inline(always)]
pub(crate) const fn is_leap(stored: u64, number: u64) -> bool {
    number - stored > LEAP_MAX
}
