//! The thread that steers the service time: a reading of both clocks, once a second.
//!
//! Owner: the server; the thread ends when [`ClockThread`] is dropped. A reading takes no lock that another thread
//! holds for longer than a reading. The rules are in [`crate::clock::steering`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{RecvTimeoutError, Sender, bounded};
use muster_store::Store;

use super::parts::spawn;
use super::{ServerError, test_clock};
use crate::clock::SteeredTime;
use crate::config::Config;

/// Interval between two readings.
const EVERY: Duration = Duration::from_secs(1);

/// The service time and its thread.
pub(super) struct ClockThread {
    time: Arc<SteeredTime>,
    /// Nothing is ever sent: closing it is the signal.
    _stop: Sender<Infallible>,
}

impl ClockThread {
    /// Starts at the time that the store has on record. The clocks of a configuration of tests stay where earlier runs
    /// have moved them.
    pub(super) fn start(config: &Config, store: &Store) -> Result<Self, ServerError> {
        let mut wall_shift_ms = 0;
        if config.test.clock {
            wall_shift_ms = test_clock::wall_shift_ms(&config.store.directory)?;
            tracing::warn!(
                wall_shift_ms,
                "a configuration for tests: [test] clock lets the clocks of this server be moved"
            );
        }
        let time = Arc::new(SteeredTime::start(store.clock()?, wall_shift_ms));
        let (stop, stopped) = bounded(0);
        let steered = Arc::clone(&time);
        spawn("clock".to_owned(), move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                steered.observe();
            }
        })?;
        Ok(Self { time, _stop: stop })
    }

    pub(super) fn time(&self) -> Arc<SteeredTime> {
        Arc::clone(&self.time)
    }
}
