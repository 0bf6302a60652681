//! What every kind of run counts, whatever it does to its servers.
//!
//! Part of the report of a run, whose owner is the run. Bound: a run ends soon after its first finding, or has few
//! servers. It does not say what the run was about.

use std::fmt;

use serde::Serialize;

use crate::check;
use crate::check::Finding;

/// Servers, what they acknowledged, and what was wrong.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Servers started.
    pub cycles: u64,
    /// Records acknowledged.
    pub acked: u64,
    /// Promises broken.
    pub lost: u64,
    /// By how much counters were off.
    pub counter_drift: u64,
    /// The seed of the first directory.
    pub seed: u64,
    /// Everything that was wrong.
    pub findings: Vec<String>,
}

impl Tally {
    /// Of a run that has not begun.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }

    /// Adds broken promises and drift up; the caller puts the findings into words.
    pub fn add(&mut self, findings: &[Finding]) {
        self.lost += check::lost(findings);
        self.counter_drift += check::drift(findings);
    }

    /// Whether nothing was wrong.
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
