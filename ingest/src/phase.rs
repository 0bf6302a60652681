//! The phase of the server: starting, serving, draining, poisoned. It only moves forward.
//!
//! Any thread may advance it; the listener and every session watch it. One value in a watch channel, without a queue.
//! It does not carry the reason: for a poisoned store, that is in the store's health.

use tokio::sync::watch;

/// A phase, in the order in which a server passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Recovering, not listening yet.
    Starting,
    /// Accepting check-ins.
    Serving,
    /// Completing frames that were read; no new frame, no new connection.
    Draining,
    /// A write failed: nothing is acknowledged, reads continue, a restart recovers.
    Poisoned,
}

impl Phase {
    /// Its name in the API and the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Poisoned => "poisoned",
        }
    }
}

/// Sets the phase; cheap to clone.
#[derive(Clone, Debug)]
pub struct PhaseSwitch(std::sync::Arc<watch::Sender<Phase>>);

impl Default for PhaseSwitch {
    fn default() -> Self {
        Self(std::sync::Arc::new(watch::Sender::new(Phase::Starting)))
    }
}

impl PhaseSwitch {
    /// Advances to a later phase; an earlier one is ignored.
    pub fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
            }
            later
        });
    }

    /// Wakes everyone that watches the phase, without a change of it.
    pub fn wake(&self) {
        self.0.send_modify(|_| ());
    }

    /// The current phase.
    pub fn get(&self) -> Phase {
        *self.0.borrow()
    }

    /// Subscribes to changes of the phase.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }
}
