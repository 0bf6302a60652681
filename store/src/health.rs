//! The health of a store: healthy, or poisoned with a reason. Set once; a read costs one atomic load.
//!
//! After a failed write or sync the durable state is unknown, and a second sync may report success for pages that the
//! kernel has dropped. So nothing is retried: the store refuses writes until a restart recovers the durable state.
//! Reads still work. Shared by all clones of a store.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// Why the store refuses writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoisonReason(Arc<str>);

impl PoisonReason {
    /// A reason, for logs other than that of this crate.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(Arc::from(reason.into()))
    }

    /// The reason as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PoisonReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Shared state of the store: healthy until the first failed write, then poisoned for good.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<OnceLock<PoisonReason>>);

impl Health {
    /// The reason if the store is poisoned, else `None`.
    #[must_use]
    pub fn poisoned(&self) -> Option<&PoisonReason> {
        self.0.get()
    }

    /// Poisons the store. Returns the first reason, which stays in force.
    pub(crate) fn poison(&self, reason: impl Into<String>) -> &PoisonReason {
        self.0.get_or_init(|| PoisonReason::new(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let health = Health::default();
        let seen_elsewhere = health.clone();
        assert_eq!(health.poisoned(), None);
        health.poison("disk full");
        assert_eq!(health.poison("later").as_str(), "disk full");
        assert_eq!(seen_elsewhere.poisoned().unwrap().as_str(), "disk full");
    }
}
