//! The result of one cycle of a directory.

use std::time::Duration;

use muster_client::Progress;
use muster_testkit::server::Ended;

use crate::check::{Finding, Observed};
use crate::observe::FaultResponse;
use crate::termination::Termination;

/// The result of a cycle.
#[derive(Debug)]
pub struct Cycle {
    /// Findings; a good cycle has none.
    pub findings: Vec<Finding>,
    /// What the check of the disk observed.
    pub observed: Observed,
    /// The answers of the server.
    pub progress: Progress,
    /// Acknowledged records.
    pub acknowledged: u64,
    /// Time from the start of the process to its ready line, if it became ready.
    pub recovery: Option<Duration>,
    /// How the server ended.
    pub ended: Ended,
    /// The response of the server to a disk fault, if there was one.
    pub response: Option<FaultResponse>,
}

impl Cycle {
    pub(super) fn ended(ended: Ended) -> Self {
        Self {
            findings: Vec::new(),
            observed: Observed::default(),
            progress: Progress::default(),
            acknowledged: 0,
            recovery: None,
            ended,
            response: None,
        }
    }

    /// The result for a server that ended before it was ready. Only a kill point, a disk fault at start or a power loss
    /// may cause that.
    pub(super) fn not_ready(ended: Ended, termination: &Termination, is_power_lost: bool) -> Self {
        let is_at_kill_point =
            matches!(termination, Termination::AtKillPoint(..)) && ended == Ended::Killed;
        let is_refusal = matches!(ended, Ended::Code(code) if code != 0);
        let is_at_fault = *termination == Termination::FaultAtStart && is_refusal;
        let mut cycle = Self::ended(ended);
        if !is_at_kill_point && !is_at_fault && !is_power_lost {
            let text = format!("the server ended before it was ready: {ended:?}");
            cycle.findings.push(Finding::Behavior(text));
        }
        cycle
    }
}
