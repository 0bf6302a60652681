//! What an operator sees of a server whose disk has gone bad: probes, counts, metrics, log.
//!
//! Asked over HTTP and read from the log file, time and again until the server has noticed, at most
//! [`NOTICE`]. What it does not do: it decides nothing; [`crate::bad_disk`] holds it against what must be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::check::Finding;

/// A server under load writes many times a second, so it has met a failing disk long before.
pub const NOTICE: Duration = Duration::from_secs(20);

/// An answer takes less, or says within five seconds that it cannot come.
const ANSWER: Duration = Duration::from_secs(15);

/// What was seen at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// Status of `GET /live`.
    pub live: u16,
    /// Status of `GET /ready`.
    pub ready: u16,
    /// What `GET /ready` says is wrong.
    pub reason: Option<String>,
    /// Status of `GET /counts`.
    pub counts: u16,
    /// The metric `muster_store_poisoned`.
    pub poisoned: Option<u64>,
}

/// What a server under load did when its disk went bad.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Records acknowledged before.
    pub acked_before: u64,
    /// Records acknowledged after, up to when it had noticed: their sync was done.
    pub acked_after: u64,
    /// Records acknowledged once it had noticed.
    pub acked_late: u64,
    /// What it said then.
    #[serde(flatten)]
    pub seen: Observation,
    /// Status of the backup that was ordered on the bad disk, if one was.
    pub backup: Option<u16>,
    /// Of a stuck disk: whether acknowledgements came again once it went on.
    pub resumed: Option<bool>,
}

impl Shown {
    /// What is not as it must be.
    pub fn faults(&self) -> Vec<String> {
        let seen = &self.seen;
        let is_stuck = self.resumed.is_some();
        let (ready, poisoned) = if is_stuck { (200, 0) } else { (503, 1) };
        [
            (self.acked_before > 0, "nothing was acknowledged before"),
            (
                self.acked_late == 0,
                "records are acknowledged without a disk",
            ),
            (seen.live == 200, "it is not alive"),
            (seen.ready == ready, "its readiness is wrong"),
            (seen.reason.is_none() == is_stuck, "its reason is wrong"),
            (is_stuck || seen.counts == 200, "it does not count any more"),
            (seen.poisoned == Some(poisoned), "its metric is wrong"),
            (
                matches!(self.backup, None | Some(500)),
                "its backup does not fail",
            ),
            (
                self.resumed != Some(false),
                "it does not go on with its disk",
            ),
        ]
        .into_iter()
        .filter(|(is_right, _)| !is_right)
        .map(|(_, fault)| format!("{fault}: {self:?}"))
        .collect()
    }
}

/// Asks a server everything.
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

/// What a server with a sound disk says that it must not: it is ready, and its audit finds no drift.
pub fn sound(ops: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (ready, body) = get(ops, "/ready").unwrap_or_default();
    if ready != 200 {
        findings.push(Finding::Conduct(format!(
            "a server under load is not ready: {ready} {body}"
        )));
    }
    let (_, metrics) = get(ops, "/metrics").unwrap_or_default();
    let drifts = metrics
        .lines()
        .filter(|line| line.starts_with("muster_audit_drift"));
    let drifts: Vec<&str> = drifts.collect();
    if drifts.is_empty() || drifts.iter().any(|line| !line.ends_with(" 0")) {
        findings.push(Finding::Conduct(format!(
            "the audit of a server is wrong: {drifts:?}"
        )));
    }
    findings
}

/// Status and body of an answer; none if nobody answers.
pub fn get(ops: &str, path: &str) -> Option<(u16, String)> {
    ask(ops, "GET", path, "")
}

/// Orders a backup of this name.
pub fn back_up(ops: &str, name: &str) -> Option<(u16, String)> {
    let body = serde_json::json!({ "directory": name });
    ask(ops, "POST", "/backup", &body.to_string())
}

fn ask(ops: &str, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let address = ops.strip_prefix("http://")?;
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    parse(&answer)
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// The lines of a log from `from` on that call for an operator.
pub fn errors(log: &Path, from: u64) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let begin = usize::try_from(from).unwrap_or(usize::MAX).min(text.len());
    String::from_utf8_lossy(&text[begin..])
        .lines()
        .filter(|line| line.contains(" ERROR ") || line.starts_with("muster: "))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\na: b\r\n\r\n{\"ready\": false}";
        assert_eq!(parse(answer), Some((503, "{\"ready\": false}".to_owned())));
        assert_eq!(parse("nonsense"), None);
    }
}
