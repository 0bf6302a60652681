//! The rules of the service time T: it advances with the monotonic clock and follows the wall clock.
//!
//! While the two differ by at most [`FOLLOWED_WITHIN_MS`], T approaches the wall clock by [`SLEW_PER_SECOND_MS`]. A
//! larger difference is a step, which T does not follow until it has lasted for [`FOLLOWED_AFTER_MS`] or an operator
//! confirms it: a wall clock that leaps ahead for a minute must not make every device inactive. T goes back only when
//! it follows a step back.
//!
//! Pure: readings come in, events come out; the caller logs them. Constant size. It keeps T as an offset to the
//! monotonic clock, so that readers apply it to their own reading.

use muster_engine::Timestamp;

/// Largest difference of wall clock and T that is not a step, in milliseconds.
pub const FOLLOWED_WITHIN_MS: u64 = 2_000;

/// How long a step must last before T follows it, in milliseconds.
pub const FOLLOWED_AFTER_MS: u64 = 5 * 60 * 1_000;

/// How far T moves towards the wall clock in a second: 1 %, so a difference of two seconds takes 200 seconds.
pub const SLEW_PER_SECOND_MS: u64 = 10;

/// A wall clock behind the T of the last run by less than this is a correction, in milliseconds.
const BEHIND_AT_START_MS: u64 = 5 * 60 * 1_000;

/// A wall clock ahead of the T of the last run by less than this is the time that has passed since, in milliseconds.
const AHEAD_AT_START_MS: u64 = 24 * 60 * 60 * 1_000;

/// The latest time of any clock here, in milliseconds: the year 6429. With this bound no sum below overflows, and an
/// offset fits the 48 bits in which it is published.
const MILLIS_MAX: i64 = (1 << 47) - 1;

/// What both clocks showed at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// Milliseconds on the monotonic clock, which also counts while the machine is suspended.
    pub monotonic_ms: u64,
}

impl Reading {
    /// How far the wall clock is ahead of the monotonic clock.
    fn offset_ms(&self) -> i64 {
        millis(self.wall.as_millis()) - millis(self.monotonic_ms)
    }
}

/// A step of the wall clock that T has not followed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The wall clock minus T; negative if it is behind.
    pub ms: i64,
    /// How long it must still last until T follows it.
    pub follows_in_ms: u64,
}

/// T before and after it followed a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// Before.
    pub from: Timestamp,
    /// After.
    pub to: Timestamp,
}

/// What a reading showed, if it is worth a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The wall clock stepped away from T, or by another step than before.
    Stepped(Step),
    /// The wall clock came back before its step was followed.
    Returned,
    /// The step has lasted long enough.
    Followed(Followed),
}

/// A step, as it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pending {
    offset_ms: i64,
    since_ms: i64,
}

/// The state of the steering.
#[derive(Clone, Copy, Debug)]
pub struct Steering {
    /// T minus the monotonic clock.
    offset_ms: i64,
    /// The monotonic clock when T was last slewed.
    slewed_at_ms: i64,
    pending: Option<Pending>,
    steps_back: u64,
}

impl Steering {
    /// The service time at the start of a server whose last run ended at the T `on_disk`; a new directory has none.
    pub fn start(reading: Reading, on_disk: Option<Timestamp>) -> (Self, Option<Event>) {
        let mut steering = Self {
            offset_ms: reading.offset_ms(),
            slewed_at_ms: millis(reading.monotonic_ms),
            pending: None,
            steps_back: 0,
        };
        let Some(on_disk) = on_disk else {
            return (steering, None);
        };
        let ahead_ms = millis(reading.wall.as_millis()) - millis(on_disk.as_millis());
        let is_near =
            ahead_ms > -millis(BEHIND_AT_START_MS) && ahead_ms < millis(AHEAD_AT_START_MS);
        if is_near && ahead_ms >= 0 {
            return (steering, None);
        }
        steering.offset_ms -= ahead_ms;
        let event = steering.observe(reading);
        (steering, event)
    }

    /// Processes a reading, about once a second. T moves only here and in [`Steering::confirm`].
    pub fn observe(&mut self, reading: Reading) -> Option<Event> {
        let now_ms = self.now_ms(reading);
        let ahead_ms = self.ahead_ms(reading);
        if ahead_ms.unsigned_abs() <= FOLLOWED_WITHIN_MS {
            self.slew(now_ms, ahead_ms);
            return self.pending.take().map(|_| Event::Returned);
        }
        self.slewed_at_ms = now_ms;
        let offset_ms = self.offset_ms + ahead_ms;
        match self.pending {
            Some(pending) if pending.offset_ms.abs_diff(offset_ms) <= FOLLOWED_WITHIN_MS => {
                let lasted_ms = now_ms.abs_diff(pending.since_ms);
                (lasted_ms >= FOLLOWED_AFTER_MS)
                    .then(|| Event::Followed(self.follow(now_ms, offset_ms)))
            }
            _ => {
                self.pending = Some(Pending {
                    offset_ms,
                    since_ms: now_ms,
                });
                self.step(reading).map(Event::Stepped)
            }
        }
    }

    /// Follows the step that an operator confirms; `None` if no step is pending.
    pub fn confirm(&mut self, reading: Reading) -> Option<Followed> {
        let ahead_ms = self.ahead_ms(reading);
        let is_step = ahead_ms.unsigned_abs() > FOLLOWED_WITHIN_MS;
        is_step.then(|| self.follow(self.now_ms(reading), self.offset_ms + ahead_ms))
    }

    /// The step that is not followed yet.
    pub fn step(&self, reading: Reading) -> Option<Step> {
        let pending = self.pending?;
        let lasted_ms = self.now_ms(reading).abs_diff(pending.since_ms);
        Some(Step {
            ms: self.ahead_ms(reading),
            follows_in_ms: FOLLOWED_AFTER_MS.saturating_sub(lasted_ms),
        })
    }

    /// T minus the monotonic clock, in milliseconds; at most 47 bits and a sign.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// How often T has followed a step back.
    pub fn steps_back(&self) -> u64 {
        self.steps_back
    }

    /// T when the monotonic clock shows this.
    pub fn time(&self, monotonic_ms: u64) -> Timestamp {
        time(self.offset_ms, monotonic_ms)
    }

    /// The monotonic clock. If it goes back, which it should not, it counts as stopped.
    fn now_ms(&self, reading: Reading) -> i64 {
        millis(reading.monotonic_ms).max(self.slewed_at_ms)
    }

    /// The wall clock minus T.
    fn ahead_ms(&self, reading: Reading) -> i64 {
        millis(reading.wall.as_millis()) - self.now_ms(reading) - self.offset_ms
    }

    fn slew(&mut self, now_ms: i64, ahead_ms: i64) {
        let passed_ms = now_ms.abs_diff(self.slewed_at_ms);
        let most_ms = millis(passed_ms.saturating_mul(SLEW_PER_SECOND_MS) / 1_000);
        // Less than a millisecond: the time that has passed counts for the next reading.
        if most_ms > 0 {
            self.offset_ms += ahead_ms.clamp(-most_ms, most_ms);
            self.slewed_at_ms = now_ms;
        }
    }

    fn follow(&mut self, now_ms: i64, offset_ms: i64) -> Followed {
        let from = time(self.offset_ms, now_ms.unsigned_abs());
        self.steps_back += u64::from(offset_ms < self.offset_ms);
        self.offset_ms = offset_ms;
        self.slewed_at_ms = now_ms;
        self.pending = None;
        let to = time(self.offset_ms, now_ms.unsigned_abs());
        Followed { from, to }
    }
}

/// T from its offset to the monotonic clock; not before 1970.
pub fn time(offset_ms: i64, monotonic_ms: u64) -> Timestamp {
    let millis = millis(monotonic_ms) + offset_ms;
    Timestamp::from_millis(millis.max(0).unsigned_abs())
}

fn millis(value: u64) -> i64 {
    i64::try_from(value).map_or(MILLIS_MAX, |value| value.min(MILLIS_MAX))
}

#[cfg(test)]
mod tests;
