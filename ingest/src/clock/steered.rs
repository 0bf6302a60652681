//! The service time of a running server: feeds the steering with readings of the clocks of this machine.
//!
//! The thread `clock` calls [`SteeredTime::observe`] once a second; every other thread only reads. Each event is
//! logged. A test clock moves the clocks as this server sees them, never those of the machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_engine::Timestamp;
use muster_store::ClockRecord;

use super::service::{ClockState, Service, ServiceTime};
use super::steering::{Event, Followed, Reading, Step};
use super::{Stamp, since_boot_ms, stamp, wall_and_since_boot_ms};

/// The service time.
#[derive(Debug)]
pub struct SteeredTime {
    service: Service,
    /// How far a test clock has moved both clocks ahead since the start of the process, in milliseconds; zero without
    /// one.
    both_shift_ms: AtomicU64,
    /// How far a test clock has moved the wall clock, alone or with the other, also in earlier runs. Locked while a
    /// reading is taken, so that no reading sees only one of two clocks moved.
    wall_shift_ms: Mutex<i64>,
}

impl SteeredTime {
    /// Continues from the clock record of the data directory. `wall_shift_ms` is how far a test clock has moved the
    /// wall clock in earlier runs.
    pub fn start(record: Option<ClockRecord>, wall_shift_ms: i64) -> Self {
        let reading = reading(wall_shift_ms, 0);
        let (service, event) = Service::start(reading, record);
        let time = Self {
            service,
            both_shift_ms: AtomicU64::new(0),
            wall_shift_ms: Mutex::new(wall_shift_ms),
        };
        time.log(event, reading);
        time
    }

    /// T. Wait-free.
    pub fn now(&self) -> ServiceTime {
        self.service.read(self.monotonic_ms())
    }

    /// The monotonic clock.
    pub fn stamp(&self) -> Stamp {
        let shift_ms = self.both_shift_ms.load(Ordering::Relaxed);
        Stamp(stamp().0 + shift_ms * 1_000_000)
    }

    /// The clock record for the data directory.
    pub fn record(&self) -> ClockRecord {
        self.service.record(self.monotonic_ms())
    }

    /// T, the wall clock and the step between them.
    pub fn state(&self) -> ClockState {
        self.with_reading(|reading| self.service.state(reading))
    }

    /// Number of steps of the wall clock that were detected.
    pub fn steps(&self) -> u64 {
        self.service.steps()
    }

    /// Number of steps that T has followed.
    pub fn followed(&self) -> u64 {
        self.service.followed()
    }

    /// Reads both clocks and steers by them.
    pub fn observe(&self) {
        self.with_reading(|reading| self.log(self.service.observe(reading), reading));
    }

    /// Follows the step of the wall clock at once; `None` if no step is pending.
    pub fn confirm(&self) -> Option<Followed> {
        let followed = self.with_reading(|reading| self.service.confirm(reading))?;
        log_followed(followed, "an operator has confirmed it");
        Some(followed)
    }

    /// Moves both clocks ahead, for a test.
    pub fn advance(&self, ms: u64) {
        let mut wall_shift_ms = self.wall_shift();
        self.both_shift_ms.fetch_add(ms, Ordering::Relaxed);
        *wall_shift_ms = wall_shift_ms.saturating_add_unsigned(ms);
        drop(wall_shift_ms);
        self.observe();
    }

    /// Moves the wall clock alone, for a test.
    pub fn leap(&self, ms: i64) {
        let mut wall_shift_ms = self.wall_shift();
        *wall_shift_ms = wall_shift_ms.saturating_add(ms);
        drop(wall_shift_ms);
        self.observe();
    }

    /// How far a test clock has moved the wall clock, in milliseconds.
    pub fn wall_shift_ms(&self) -> i64 {
        *self.wall_shift()
    }

    fn monotonic_ms(&self) -> u64 {
        since_boot_ms() + self.both_shift_ms.load(Ordering::Relaxed)
    }

    fn wall_shift(&self) -> MutexGuard<'_, i64> {
        let shift = self.wall_shift_ms.lock();
        shift.unwrap_or_else(PoisonError::into_inner)
    }

    fn with_reading<T>(&self, take: impl FnOnce(Reading) -> T) -> T {
        let wall_shift_ms = self.wall_shift();
        let both_shift_ms = self.both_shift_ms.load(Ordering::Relaxed);
        take(reading(*wall_shift_ms, both_shift_ms))
    }

    fn log(&self, event: Option<Event>, reading: Reading) {
        match event {
            Some(Event::Stepped(step)) => log_step(step, reading, self.now().time),
            Some(Event::Returned) => {
                tracing::info!("the wall clock is back, its step had no effect");
            }
            Some(Event::Followed(followed)) => log_followed(followed, "it has lasted 5 minutes"),
            None => (),
        }
    }
}

fn reading(wall_shift_ms: i64, both_shift_ms: u64) -> Reading {
    let (wall, since_boot_ms) = wall_and_since_boot_ms();
    let wall_ms = wall.as_millis().saturating_add_signed(wall_shift_ms);
    Reading {
        wall: Timestamp::from_millis(wall_ms),
        monotonic_ms: since_boot_ms + both_shift_ms,
    }
}

fn log_step(step: Step, reading: Reading, time: Timestamp) {
    tracing::warn!(
        step_seconds = seconds(step.ms),
        wall_ms = reading.wall.as_millis(),
        time_ms = time.as_millis(),
        follows_in_seconds = step.follows_in_ms / 1_000,
        "the wall clock has stepped; no device is evaluated by it until it has lasted 5 minutes or POST /clock/confirm"
    );
}

fn log_followed(followed: Followed, why: &str) {
    tracing::warn!(
        from_ms = followed.from.as_millis(),
        to_ms = followed.to.as_millis(),
        why,
        "the service time follows the step of the wall clock"
    );
}

/// Milliseconds as seconds, for a log line.
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
