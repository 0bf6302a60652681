//! What one cycle of a directory showed.

use std::time::Duration;

use muster_client::Progress;

use crate::check::{Finding, Seen};
use crate::moment::Moment;
use crate::observe::Shown;
use crate::process::Ended;

/// What a cycle showed.
#[derive(Debug)]
pub struct Cycle {
    /// What was wrong; a cycle without is a good one.
    pub findings: Vec<Finding>,
    /// What was seen on disk.
    pub seen: Seen,
    /// What the server answered.
    pub progress: Progress,
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// From the start of the process to its ready line, if it came that far.
    pub recovery: Option<Duration>,
    /// How the server ended.
    pub ended: Ended,
    /// What it did when its disk went bad, if it did.
    pub shown: Option<Shown>,
}

impl Cycle {
    pub(super) fn ended(ended: Ended) -> Self {
        Self {
            findings: Vec::new(),
            seen: Seen::default(),
            progress: Progress::default(),
            acknowledged: 0,
            recovery: None,
            ended,
            shown: None,
        }
    }

    /// A server that ends before it is ready has met a kill point or lost its disk, or must not.
    pub(super) fn not_ready(ended: Ended, moment: &Moment, is_disk_lost: bool) -> Self {
        let is_at_kill_point = matches!(moment, Moment::KillPoint(..)) && ended == Ended::Killed;
        let is_refusal = matches!(ended, Ended::Code(code) if code != 0);
        let is_at_fault = *moment == Moment::FaultAtStart && is_refusal;
        let is_meant = is_at_kill_point || is_at_fault || is_disk_lost;
        let text = format!("the server was not ready: {ended:?}");
        Self {
            findings: if is_meant {
                Vec::new()
            } else {
                vec![Finding::Conduct(text)]
            },
            ..Self::ended(ended)
        }
    }
}
