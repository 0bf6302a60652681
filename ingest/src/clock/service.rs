//! The service time as all threads read it.
//!
//! One word holds the offset to the monotonic clock and a count of steps back, so a reader loads it, reads the
//! monotonic clock and adds: no lock, no retry. One thread takes readings and publishes them; a mutex, which readers
//! never take, orders this thread and the requests that confirm a step. The rules are in [`super::steering`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_engine::Timestamp;
use muster_store::ClockRecord;

use super::steering::{self, Event, Followed, Reading, Steering, Step};

/// Bits of the published word that count steps back. A reader compares two counts, so they may wrap.
const STEPS_BACK_BITS: u32 = 16;

/// The service time T at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceTime {
    /// T.
    pub time: Timestamp,
    /// Differs between two times if T has followed a step back in between.
    steps_back: u16,
}

impl ServiceTime {
    /// A time of a clock that follows no steps.
    pub(super) fn unsteered(time: Timestamp) -> Self {
        Self {
            time,
            steps_back: 0,
        }
    }

    /// This time, but not before `earlier`, which the same thread has read before. Without a step back in between, T
    /// can only seem to go back, by the milliseconds of a slew.
    pub fn not_before(self, earlier: Self) -> Self {
        if self.steps_back == earlier.steps_back && self.time < earlier.time {
            earlier
        } else {
            self
        }
    }
}

/// T, the wall clock, and how they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// T.
    pub time: Timestamp,
    /// The wall clock.
    pub wall: Timestamp,
    /// The step that T has not followed yet.
    pub step: Option<Step>,
}

/// The published time and the state behind it.
#[derive(Debug)]
pub(super) struct Service {
    published: AtomicU64,
    steering: Mutex<Steering>,
    steps: AtomicU64,
    followed: AtomicU64,
}

impl Service {
    /// The service time of a server whose data directory has this record.
    pub(super) fn start(reading: Reading, record: Option<ClockRecord>) -> (Self, Option<Event>) {
        let (steering, event) = Steering::start(reading, record.map(|record| record.time));
        let service = Self {
            published: AtomicU64::new(word(&steering)),
            steering: Mutex::new(steering),
            steps: AtomicU64::new(u64::from(event.is_some())),
            followed: AtomicU64::new(0),
        };
        (service, event)
    }

    /// T when the monotonic clock shows this. Wait-free.
    pub(super) fn read(&self, monotonic_ms: u64) -> ServiceTime {
        let word = self.published.load(Ordering::Acquire);
        // Shifts of a signed number keep its sign.
        let offset_ms = word.cast_signed() >> STEPS_BACK_BITS;
        ServiceTime {
            time: steering::time(offset_ms, monotonic_ms),
            steps_back: word as u16,
        }
    }

    /// T, for the data directory.
    pub(super) fn record(&self, monotonic_ms: u64) -> ClockRecord {
        ClockRecord {
            time: self.read(monotonic_ms).time,
        }
    }

    /// Processes a reading and publishes the result.
    pub(super) fn observe(&self, reading: Reading) -> Option<Event> {
        let mut steering = self.lock();
        let event = steering.observe(reading);
        match event {
            Some(Event::Stepped(_)) => drop(self.steps.fetch_add(1, Ordering::Relaxed)),
            Some(Event::Followed(_)) => drop(self.followed.fetch_add(1, Ordering::Relaxed)),
            Some(Event::Returned) | None => (),
        }
        self.publish(&steering);
        event
    }

    /// Follows the step that an operator confirms; `None` if no step is pending.
    pub(super) fn confirm(&self, reading: Reading) -> Option<Followed> {
        let mut steering = self.lock();
        let followed = steering.confirm(reading)?;
        self.followed.fetch_add(1, Ordering::Relaxed);
        self.publish(&steering);
        Some(followed)
    }

    pub(super) fn state(&self, reading: Reading) -> ClockState {
        let steering = self.lock();
        ClockState {
            time: steering.time(reading.monotonic_ms),
            wall: reading.wall,
            step: steering.step(reading),
        }
    }

    /// Number of steps of the wall clock that were detected.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Number of steps that T has followed.
    pub(super) fn followed(&self) -> u64 {
        self.followed.load(Ordering::Relaxed)
    }

    fn publish(&self, steering: &Steering) {
        self.published.store(word(steering), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Steering> {
        self.steering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn word(steering: &Steering) -> u64 {
    let steps_back = steering.steps_back() & ((1 << STEPS_BACK_BITS) - 1);
    (steering.offset_ms() << STEPS_BACK_BITS).cast_unsigned() | steps_back
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    fn at(wall_ms: u64, monotonic_ms: u64) -> Reading {
        Reading {
            wall: Timestamp::from_millis(wall_ms),
            monotonic_ms,
        }
    }

    fn read(service: &Service, monotonic_ms: u64) -> u64 {
        service.read(monotonic_ms).time.as_millis()
    }

    #[test]
    fn a_reader_adds_its_own_reading_to_the_published_offset() {
        // The second: a monotonic clock that is ahead of the wall clock, so the offset is negative.
        for (wall, monotonic) in [(400 * DAY, 7), (5, 3 * DAY)] {
            let (service, event) = Service::start(at(wall, monotonic), None);
            assert_eq!(event, None);
            assert_eq!(read(&service, monotonic), wall);
            assert_eq!(read(&service, monotonic + 1_234), wall + 1_234);
        }
    }

    #[test]
    fn a_reader_sees_time_go_back_only_after_a_step_back() {
        let (service, _) = Service::start(at(10 * DAY, 0), None);
        let earlier = service.read(1_000);
        let slewed = ServiceTime {
            time: Timestamp::from_millis(10 * DAY + 999),
            ..earlier
        };
        assert_eq!(slewed.not_before(earlier), earlier);
        assert_eq!(earlier.not_before(slewed), earlier);

        service.observe(at(DAY, 2_000));
        assert!(
            service.read(2_000).time > earlier.time,
            "it is not followed yet"
        );
        let followed = service.confirm(at(DAY, 2_000)).unwrap();
        assert_eq!(followed.from.as_millis(), 10 * DAY + 2_000);
        let now = service.read(2_000);
        assert_eq!(now.not_before(earlier), now);
        assert_eq!(now.time.as_millis(), DAY);
        assert_eq!((service.steps(), service.followed()), (1, 1));
    }
}
