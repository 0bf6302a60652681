//! Time that advances only when a simulation moves it; the service time is steered as in a server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use muster_engine::Timestamp;
use muster_store::ClockRecord;

use super::Stamp;
use super::service::{ClockState, Service, ServiceTime};
use super::steering::{Followed, Reading};

/// The clocks of a simulation, advanced by the thread that runs it.
#[derive(Debug)]
pub struct SimulatedTime {
    /// Nanoseconds.
    stamp: AtomicU64,
    wall_ms: AtomicU64,
    monotonic_ms: AtomicU64,
    /// Number of steps that earlier servers have followed.
    followed: AtomicU64,
    /// Locked briefly and by one thread only, so it costs a simulation nothing.
    service: RwLock<Service>,
}

impl Default for SimulatedTime {
    fn default() -> Self {
        Self::at(Timestamp::default())
    }
}

impl SimulatedTime {
    /// Creates simulated time that starts at `wall`.
    pub fn at(wall: Timestamp) -> Self {
        let reading = Reading {
            wall,
            monotonic_ms: 0,
        };
        Self {
            stamp: AtomicU64::new(1),
            wall_ms: AtomicU64::new(wall.as_millis()),
            monotonic_ms: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            service: RwLock::new(Service::start(reading, None).0),
        }
    }

    /// Starts the service time of a server whose data directory has this record.
    pub fn start(&self, record: Option<ClockRecord>) {
        self.followed.store(self.followed(), Ordering::Relaxed);
        let (service, _) = Service::start(self.reading(), record);
        let mut current = self.service.write().unwrap_or_else(PoisonError::into_inner);
        *current = service;
    }

    /// Advances all clocks.
    pub fn pass(&self, time: Duration) {
        self.pass_stamp(time);
        let ms = time.as_millis() as u64;
        self.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
        self.wall_ms.fetch_add(ms, Ordering::Relaxed);
        self.observe();
    }

    /// Advances only the clock that paces timers, so that they run at one service time.
    pub fn pass_stamp(&self, time: Duration) {
        self.stamp
            .fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Sets the wall clock, as an operator or NTP does; it may jump backwards.
    pub fn set_wall(&self, wall: Timestamp) {
        self.wall_ms.store(wall.as_millis(), Ordering::Relaxed);
        self.observe();
    }

    /// Confirms the step of the wall clock, as an operator does.
    pub fn confirm(&self) -> Option<Followed> {
        self.with_service(|service| service.confirm(self.reading()))
    }

    /// The service time, the wall clock and the step between them.
    pub fn state(&self) -> ClockState {
        self.with_service(|service| service.state(self.reading()))
    }

    /// Number of steps of the wall clock that all servers so far have followed.
    pub fn followed(&self) -> u64 {
        self.followed.load(Ordering::Relaxed) + self.with_service(Service::followed)
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp(self.stamp.load(Ordering::Relaxed))
    }

    pub(super) fn wall(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_ms.load(Ordering::Relaxed))
    }

    pub(super) fn now(&self) -> ServiceTime {
        let monotonic_ms = self.monotonic_ms.load(Ordering::Relaxed);
        self.with_service(|service| service.read(monotonic_ms))
    }

    pub(super) fn record(&self) -> ClockRecord {
        let monotonic_ms = self.monotonic_ms.load(Ordering::Relaxed);
        self.with_service(|service| service.record(monotonic_ms))
    }

    fn observe(&self) {
        self.with_service(|service| {
            let _ = service.observe(self.reading());
        });
    }

    fn reading(&self) -> Reading {
        Reading {
            wall: self.wall(),
            monotonic_ms: self.monotonic_ms.load(Ordering::Relaxed),
        }
    }

    fn with_service<T>(&self, read: impl FnOnce(&Service) -> T) -> T {
        read(&self.service.read().unwrap_or_else(PoisonError::into_inner))
    }
}
