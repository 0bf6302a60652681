//! The one place that reads a clock; everything else gets the time as an argument.
//!
//! Sessions, shards and the writer read it through a [`Clock`] of their own, so that a simulation can let years
//! pass in a second.
#![expect(clippy::disallowed_methods, reason = "this is the clock module")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use muster_engine::Timestamp;
use rustix::time::{ClockId, clock_gettime};

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

/// Where a part of the server takes its time from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The clocks of this machine.
    #[default]
    System,
    /// Time that stands still until it is moved.
    Simulated(Arc<SimulatedTime>),
}

impl Clock {
    /// Now, by the monotonic clock.
    pub fn stamp(&self) -> Stamp {
        match self {
            Self::System => stamp(),
            Self::Simulated(time) => Stamp(time.stamp.load(Ordering::Relaxed)),
        }
    }

    /// Time of a processor that the calling thread has had. None passes in a simulation.
    pub fn thread(&self) -> Duration {
        match self {
            Self::System => thread(),
            Self::Simulated(_) => Duration::ZERO,
        }
    }

    /// Now, by the wall clock.
    pub fn wall(&self) -> Timestamp {
        match self {
            Self::System => wall(),
            Self::Simulated(time) => Timestamp::from_millis(time.wall_ms.load(Ordering::Relaxed)),
        }
    }
}

/// Both clocks of a simulation; moved by the one thread that runs it.
#[derive(Debug, Default)]
pub struct SimulatedTime {
    /// Nanoseconds.
    stamp: AtomicU64,
    wall_ms: AtomicU64,
}

impl SimulatedTime {
    /// Time that stands at `wall`.
    pub fn at(wall: Timestamp) -> Self {
        Self {
            stamp: AtomicU64::new(1),
            wall_ms: AtomicU64::new(wall.as_millis()),
        }
    }

    /// Lets time pass on both clocks.
    pub fn pass(&self, time: Duration) {
        self.stamp
            .fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        self.wall_ms
            .fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Sets the wall clock, as an operator or NTP does: also backwards.
    pub fn set_wall(&self, wall: Timestamp) {
        self.wall_ms.store(wall.as_millis(), Ordering::Relaxed);
    }
}

/// Now, by the monotonic clock.
pub fn stamp() -> Stamp {
    static START: OnceLock<Instant> = OnceLock::new();
    Stamp(START.get_or_init(Instant::now).elapsed().as_nanos() as u64)
}

/// Time of a processor that the calling thread has had, whatever else the machine did meanwhile.
fn thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Now, by the wall clock. A clock before 1970 reads as 1970.
pub fn wall() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(since.as_millis() as u64)
}
