//! The only module that reads a clock; all other code takes the time as an argument.
//!
//! Sessions, shards and the writer each hold a [`Clock`], so that a simulation can let years pass in a second.
#![expect(clippy::disallowed_methods, reason = "this is the clock module")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use muster_engine::Timestamp;
use rustix::time::{ClockId, clock_gettime};

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
    /// The clocks of this machine.
    #[default]
    System,
    /// Time that advances only when the simulation moves it.
    Simulated(Arc<SimulatedTime>),
}

impl Clock {
    /// The current time of the monotonic clock.
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::System => stamp(),
            Self::Simulated(time) => Stamp(time.stamp.load(Ordering::Relaxed)),
        }
    }

    /// CPU time of the calling thread; zero in a simulation.
    pub fn thread(&self) -> Duration {
        match self {
            Self::System => thread(),
            Self::Simulated(_) => Duration::ZERO,
        }
    }

    /// The current time of the wall clock.
    pub fn wall(&self) -> Timestamp {
        match self {
            Self::System => wall(),
            Self::Simulated(time) => Timestamp::from_millis(time.wall_ms.load(Ordering::Relaxed)),
        }
    }
}

/// Both clocks of a simulation, advanced by the thread that runs it.
#[derive(Debug, Default)]
pub struct SimulatedTime {
    /// Nanoseconds.
    stamp: AtomicU64,
    wall_ms: AtomicU64,
}

impl SimulatedTime {
    /// Creates simulated time that starts at `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self {
            stamp: AtomicU64::new(1),
            wall_ms: AtomicU64::new(wall.as_millis()),
        }
    }

    /// Advances both clocks.
    pub fn pass(&self, time: Duration) {
        self.stamp
            .fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        self.wall_ms
            .fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Sets the wall clock, as an operator or NTP does; it may jump backwards.
    pub fn set_wall(&self, wall: Timestamp) {
        self.wall_ms.store(wall.as_millis(), Ordering::Relaxed);
    }
}

/// The current time of the monotonic clock.
pub fn stamp() -> Stamp {
    static START: OnceLock<Instant> = OnceLock::new();
    Stamp(START.get_or_init(Instant::now).elapsed().as_nanos() as u64)
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
