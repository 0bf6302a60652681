//! What the server as a whole is doing; every session and the front door watch it.

use tokio::sync::watch;

/// Phases only go forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Recovering, not listening yet.
    Starting,
    /// Taking check-ins.
    Serving,
    /// Finishing what was read; no new frame, no new connection.
    Draining,
    /// A write failed: nothing is acknowledged any more, reads go on, a restart recovers.
    Poisoned,
}

impl Phase {
    /// The word in the API and the log.
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
    /// Moves on to a later phase; an earlier one is ignored.
    pub fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
            }
            later
        });
    }

    /// The phase now.
    pub fn get(&self) -> Phase {
        *self.0.borrow()
    }

    /// Watches the phase.
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }
}
