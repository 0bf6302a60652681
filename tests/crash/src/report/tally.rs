//! The counts that the reports of kill points and of bad disks share.
//!
//! Owned by the run. Bounded, because a run ends soon after its first finding or has few servers.

use std::fmt;

use serde::Serialize;

use crate::check;
use crate::check::Finding;

/// The counts of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Servers started.
    pub cycles: u64,
    /// Acknowledged records.
    pub acked: u64,
    /// Lost acknowledged records.
    pub lost: u64,
    /// By how much counters are off.
    pub counter_drift: u64,
    /// The seed of the first directory.
    pub seed: u64,
    /// All findings.
    pub findings: Vec<String>,
}

impl Tally {
    /// The tally of a run that has not begun.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Adds the losses and the drift of findings; the caller adds their text.
    pub fn add(&mut self, findings: &[Finding]) {
        self.lost += check::lost(findings);
        self.counter_drift += check::drift(findings);
    }

    /// Whether there are no findings.
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.counter_drift == 0 && self.findings.is_empty()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} servers, {} records acknowledged, {} lost, counters off by {}, {} findings",
            self.cycles,
            self.acked,
            self.lost,
            self.counter_drift,
            self.findings.len(),
        )
    }
}
