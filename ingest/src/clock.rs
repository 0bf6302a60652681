//! The only module that reads a clock; all other code takes the time as an argument.
//!
//! Sessions, shards and the writer each hold a [`Clock`], so that a simulation can let years pass in a second. Three
//! clocks with three uses:
//!
//! - The **service time** T ([`Clock::now`]) is what devices are evaluated and stamped by. It follows the wall clock,
//!   but not its leaps ([`steering`]).
//! - The **monotonic clock** ([`Clock::stamp`]) is for measurements and timeouts.
//! - The **wall clock** ([`Clock::wall`]) is for the validity of certificates, and to steer T. Nothing else reads it.
#![expect(clippy::disallowed_methods, reason = "this is the clock module")]

mod service;
mod simulated;
mod steered;
pub mod steering;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use muster_engine::Timestamp;
use muster_store::ClockRecord;
use rustix::time::{ClockId, clock_gettime};

pub use service::{ClockState, ServiceTime};
pub use simulated::SimulatedTime;
pub use steered::SteeredTime;

/// A point on the monotonic clock: nanoseconds since the process first read it. 8 bytes, so that it fits into a shard
/// batch and an atomic. Used for measurements and timeouts, never for decisions about devices.
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

/// The source of time for a component of the server.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The clocks of this machine, for tools that evaluate no device: T is the wall clock.
    #[default]
    System,
    /// The clocks of this machine and the service time of a server.
    Steered(Arc<SteeredTime>),
    /// Time that advances only when the simulation moves it.
    Simulated(Arc<SimulatedTime>),
}

impl Clock {
    /// The current time of the monotonic clock.
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::System => stamp(),
            Self::Steered(time) => time.stamp(),
            Self::Simulated(time) => time.stamp(),
        }
    }

    /// CPU time of the calling thread; zero in a simulation.
    pub fn thread(&self) -> Duration {
        match self {
            Self::System | Self::Steered(_) => thread(),
            Self::Simulated(_) => Duration::ZERO,
        }
    }

    /// The service time T. Wait-free.
    pub fn now(&self) -> ServiceTime {
        match self {
            Self::System => ServiceTime::unsteered(wall()),
            Self::Steered(time) => time.now(),
            Self::Simulated(time) => time.now(),
        }
    }

    /// The clock record for the data directory.
    pub fn record(&self) -> ClockRecord {
        match self {
            Self::System => ClockRecord { time: wall() },
            Self::Steered(time) => time.record(),
            Self::Simulated(time) => time.record(),
        }
    }

    /// The wall clock of the machine, including its leaps; a test clock does not move it. Only for the validity of
    /// certificates: issuers set it in calendar time, and the TLS library reads the same clock. A certificate that is
    /// refused because the clock is wrong is accepted once the clock is right.
    pub fn wall(&self) -> Timestamp {
        match self {
            Self::System | Self::Steered(_) => wall(),
            Self::Simulated(time) => time.wall(),
        }
    }
}

/// The current time of the monotonic clock.
pub fn stamp() -> Stamp {
    static START: OnceLock<Instant> = OnceLock::new();
    Stamp(START.get_or_init(Instant::now).elapsed().as_nanos() as u64)
}

/// Milliseconds since the machine started, including the time while it was suspended, which passes for devices too.
fn since_boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as u64 * 1_000 + time.tv_nsec as u64 / 1_000_000
}

/// Both clocks at one moment. A thread that is suspended between the two reads would see a step that did not happen.
fn wall_and_since_boot_ms() -> (Timestamp, u64) {
    /// Maximum time between the reads, in milliseconds: well below the difference that is a step.
    const APART_MAX_MS: u64 = 100;
    const TRIES: usize = 10;
    let mut tries = 0;
    loop {
        let before_ms = since_boot_ms();
        let reading = (wall(), since_boot_ms());
        tries += 1;
        if reading.1.saturating_sub(before_ms) <= APART_MAX_MS || tries == TRIES {
            return reading;
        }
    }
}

/// CPU time of the calling thread.
fn thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The current time of the wall clock. A clock before 1970 reads as 1970.
pub fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}
