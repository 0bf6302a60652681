//! What an operator observes of a server during a disk fault: probes, counts, metrics, log.
//!
//! Requests over HTTP and the log file, polled until the server has detected the fault, for at most
//! [`DETECTION_TIMEOUT`]. [`crate::bad_disk`] checks the observations.

use std::fmt;
use std::time::Duration;

use muster_testkit::ops::Ops;
use serde::Serialize;

use crate::check::Finding;

/// A server under load writes many times a second, so it detects a failing disk much earlier.
pub const DETECTION_TIMEOUT: Duration = Duration::from_secs(20);

/// The server answers every request within five seconds, if only with an error.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// One observation of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Status of `GET /live`.
    pub live: u16,
    /// Status of `GET /ready`.
    pub ready: u16,
    /// The reason that `GET /ready` gives.
    pub reason: Option<String>,
    /// Status of `GET /counts`.
    pub counts: u16,
    /// The metric `muster_store_poisoned`.
    pub poisoned: Option<u64>,
}

/// The response of a server under load to a disk fault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultResponse {
    /// Records acknowledged before the fault.
    pub acked_before_fault: u64,
    /// Records acknowledged between the fault and its detection: their sync was complete.
    pub acked_before_detection: u64,
    /// Records acknowledged after the detection.
    pub acked_after_detection: u64,
    /// The observation after the detection.
    #[serde(flatten)]
    pub observation: Observation,
    /// Status of the backup that was requested during the fault, if any.
    pub backup: Option<u16>,
    /// For a hanging disk: whether the server acknowledged records again after the disk resumed.
    pub resumed: Option<bool>,
}

impl FaultResponse {
    /// The errors in the response.
    pub fn findings(&self) -> Vec<String> {
        let observation = &self.observation;
        let is_hanging = self.resumed.is_some();
        let (ready, poisoned) = if is_hanging { (200, 0) } else { (503, 1) };
        [
            (
                self.acked_before_fault > 0,
                "no record was acknowledged before the fault",
            ),
            (
                self.acked_after_detection == 0,
                "the server acknowledged records after it had detected the fault",
            ),
            (observation.live == 200, "the server is not alive"),
            (
                observation.ready == ready,
                "GET /ready has the wrong status",
            ),
            (
                observation.reason.is_none() == is_hanging,
                "GET /ready gives a reason when it should not, or none when it should",
            ),
            (
                observation.counts == 200,
                "the server does not answer GET /counts",
            ),
            (
                observation.poisoned == Some(poisoned),
                "the metric muster_store_poisoned is wrong",
            ),
            (
                matches!(self.backup, None | Some(500)),
                "the backup did not fail",
            ),
            (
                self.resumed != Some(false),
                "the server did not acknowledge again after the disk resumed",
            ),
        ]
        .into_iter()
        .filter(|(is_right, _)| !is_right)
        .map(|(_, finding)| format!("{finding}: {self}"))
        .collect()
    }
}

impl fmt::Display for FaultResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the server acknowledged {} records before the fault, {} before it detected it and {} after; {}",
            self.acked_before_fault,
            self.acked_before_detection,
            self.acked_after_detection,
            self.observation,
        )?;
        if let Some(status) = self.backup {
            write!(formatter, ", backup {status}")?;
        }
        match self.resumed {
            Some(true) => formatter.write_str(", acknowledging again after the disk resumed"),
            Some(false) => formatter.write_str(", not acknowledging after the disk resumed"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = |status: u16| match status {
            0 => "no response".to_owned(),
            status => status.to_string(),
        };
        let (live, ready, counts) = (self.live, self.ready, self.counts);
        write!(
            formatter,
            "/live {}, /ready {}",
            status(live),
            status(ready)
        )?;
        if let Some(reason) = &self.reason {
            write!(formatter, " ({reason})")?;
        }
        write!(formatter, ", /counts {}", status(counts))?;
        match self.poisoned {
            Some(poisoned) => write!(formatter, ", muster_store_poisoned {poisoned}"),
            None => formatter.write_str(", muster_store_poisoned missing"),
        }
    }
}

/// Observes a server.
pub fn observe(ops: &str) -> Observation {
    let (ready, body) = get(ops, "/ready").unwrap_or_default();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let status = |path| get(ops, path).map_or(0, |(status, _)| status);
    let metrics = get(ops, "/metrics")
        .map(|(_, text)| text)
        .unwrap_or_default();
    let poisoned = metrics
        .lines()
        .find_map(|line| line.strip_prefix("muster_store_poisoned "));
    Observation {
        live: status("/live"),
        ready,
        reason: body["reason"].as_str().map(str::to_owned),
        counts: status("/counts"),
        poisoned: poisoned.and_then(|value| value.trim().parse().ok()),
    }
}

/// Checks a server whose disk works: it must be ready, and its audit must find no drift.
pub fn check_healthy(ops: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (ready, body) = get(ops, "/ready").unwrap_or_default();
    if ready != 200 {
        findings.push(Finding::Behavior(format!(
            "a server under load is not ready: {ready} {body}"
        )));
    }
    let (_, metrics) = get(ops, "/metrics").unwrap_or_default();
    let drifts = metrics
        .lines()
        .filter(|line| line.starts_with("muster_audit_drift"));
    let drifts: Vec<&str> = drifts.collect();
    if drifts.is_empty() || drifts.iter().any(|line| !line.ends_with(" 0")) {
        findings.push(Finding::Behavior(format!(
            "the audit of a server reports drift: {drifts:?}"
        )));
    }
    findings
}

/// Status and body of a response; none if the server does not respond.
pub fn get(ops: &str, path: &str) -> Option<(u16, String)> {
    Ops::with_timeout(ops, ANSWER_TIMEOUT).get(path).ok()
}

/// Requests a backup with this name.
pub fn back_up(ops: &str, name: &str) -> Option<(u16, String)> {
    let body = serde_json::json!({ "directory": name });
    let ops = Ops::with_timeout(ops, ANSWER_TIMEOUT);
    ops.post("/backup", &body.to_string()).ok()
}

/// Changes the rules of a tenant; returns the status.
pub fn change_rules(ops: &str, tenant: &str, secure_by_default: bool) -> Option<u16> {
    let body = serde_json::json!({ "secureByDefault": secure_by_default });
    let path = format!("/tenants/{tenant}/settings");
    let ops = Ops::with_timeout(ops, ANSWER_TIMEOUT);
    let changed = ops.change("PATCH", &path, None, &body.to_string());
    Some(changed.ok()?.status)
}
