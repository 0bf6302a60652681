//! Disk faults: how a server responds to each, and what it recovers once the disk works again.
//!
//! Each fault has its own directory. A server meets the fault under load or at its start, and is killed while its disk
//! loses power. The next servers have a working disk and must have everything that was acknowledged. The checks are
//! those of the [crash loop](crate::directory).

use std::fmt;

use muster_testkit::server::log_errors;
use serde::Serialize;

use crate::check;
use crate::directory::{Cycle, Directory};
use crate::disk_backend::{DiskBackend, FailingBackend, Fault};
use crate::environment::TestEnvironment;
use crate::error::CrashError;
use crate::observe::FaultResponse;
use crate::options::{DirectoryOptions, FleetOptions};
use crate::report::Tally;
use crate::run::{Logger, RunOptions, runtime, until_interrupted};
use crate::sampling::next_seed;
use crate::termination::Termination;

/// Records acknowledged before the fault, and by a server after it.
const RECORDS: u64 = 3_000;

/// The advice in the log of a poisoned server.
const ADVICE: &str = "repair the disk, then restart";

/// The result of one fault.
#[derive(Clone, Debug, Serialize)]
pub struct FaultResult {
    /// The fault.
    pub fault: Fault,
    /// The response of the server under load; none for a fault at start, which must prevent the server from becoming
    /// ready.
    pub response: Option<FaultResponse>,
    /// Errors in the log of that server.
    pub log_errors: Vec<String>,
    /// Whether later servers recovered, accepted check-ins and passed all checks.
    pub recovered: bool,
    /// Records acknowledged by all servers.
    pub acked: u64,
    /// Lost acknowledged records.
    pub lost: u64,
    /// By how much counters are off.
    pub counter_drift: u64,
}

/// The results of all faults.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BadDiskReport {
    /// Sums over all faults.
    #[serde(flatten)]
    pub tally: Tally,
    /// One result for each fault.
    pub faults: Vec<FaultResult>,
}

/// Injects these faults, one after another.
///
/// # Errors
/// If the tool cannot continue, for example because it cannot mount a disk.
pub fn run(
    run_options: &RunOptions,
    faults: &[Fault],
    log: Logger<'_>,
) -> Result<BadDiskReport, CrashError> {
    let environment = TestEnvironment::make(&run_options.server, &run_options.scratch)?;
    let runtime = runtime()?;
    let mut report = BadDiskReport {
        tally: Tally::new(run_options.seed),
        ..BadDiskReport::default()
    };
    let mut seed = run_options.seed;
    for fault in faults {
        let mut disk = FailingBackend::new(*fault, seed);
        let result = until_interrupted(
            &runtime,
            run_fault(*fault, seed, &environment, &mut disk, &mut report),
        )?;
        disk.release()
            .map_err(CrashError::file(&run_options.scratch))?;
        log(&result.to_string());
        report.tally.acked += result.acked;
        report.tally.lost += result.lost;
        report.tally.counter_drift += result.counter_drift;
        report.faults.push(result);
        seed = next_seed(seed);
    }
    if run_options.keep || !report.tally.is_clean() {
        log(&format!("files kept in {}", environment.keep().display()));
    }
    Ok(report)
}

async fn run_fault(
    fault: Fault,
    seed: u64,
    environment: &TestEnvironment,
    disk: &mut FailingBackend,
    report: &mut BadDiskReport,
) -> Result<FaultResult, CrashError> {
    let name = fault.name();
    let mut directory = Directory::create(environment, name, seed, options(seed), disk)?;
    let log = directory.path().join("server.log");
    let mut result = FaultResult {
        fault,
        response: None,
        log_errors: Vec::new(),
        recovered: true,
        acked: 0,
        lost: 0,
        counter_drift: 0,
    };
    let at_fault = if fault.is_at_start() {
        Termination::FaultAtStart
    } else if fault.is_in_flush() {
        Termination::AfterFaultInFlush(RECORDS)
    } else {
        Termination::AfterFault(RECORDS)
    };
    let under_load = Termination::AfterAcks(RECORDS);
    let terminations = [
        under_load.clone(),
        at_fault,
        under_load,
        Termination::WhenIdle(1),
    ];
    for (number, termination) in (0..).zip(&terminations) {
        let is_at_fault = number == 1;
        let log_bytes = std::fs::metadata(&log).map_or(0, |file| file.len());
        let cycle = directory
            .cycle(environment, number, termination, disk)
            .await?;
        report.tally.cycles += 1;
        result.add(&cycle);
        let mut findings: Vec<String> = cycle.findings.iter().map(ToString::to_string).collect();
        if is_at_fault {
            result.log_errors = log_errors(&log, log_bytes);
            findings.extend(cycle.response.iter().flat_map(FaultResponse::findings));
            findings.extend(check_log(fault, &cycle, &result.log_errors));
            result.response = cycle.response;
        }
        result.recovered &= findings.is_empty();
        let findings = findings
            .into_iter()
            .map(|finding| format!("{name}: {finding}"));
        report.tally.findings.extend(findings);
    }
    Ok(result)
}

/// Checks that the log has one error for the disk and one for a backup that failed, and advice if the store is
/// poisoned. A hanging disk is no error.
fn check_log(fault: Fault, cycle: &Cycle, errors: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let expected = usize::from(fault != Fault::HangingSync) + usize::from(fault.is_in_flush());
    if errors.len() != expected {
        findings.push(format!(
            "the log should have {expected} errors, but it has {errors:?}"
        ));
    }
    let is_poisoned = cycle
        .response
        .as_ref()
        .is_some_and(|response| response.resumed.is_none());
    if is_poisoned && !errors.iter().any(|line| line.contains(ADVICE)) {
        findings.push(format!("the log does not say \"{ADVICE}\": {errors:?}"));
    }
    findings
}

impl FaultResult {
    fn add(&mut self, cycle: &Cycle) {
        self.acked += cycle.acknowledged;
        self.lost += check::lost(&cycle.findings);
        self.counter_drift += check::drift(&cycle.findings);
    }
}

impl fmt::Display for FaultResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.fault.name();
        match &self.response {
            Some(response) => write!(formatter, "{name}: {response}; ")?,
            None => write!(formatter, "{name}: the server did not become ready; ")?,
        }
        match self.log_errors.len() {
            1 => formatter.write_str("1 error in its log; ")?,
            errors => write!(formatter, "{errors} errors in its log; ")?,
        }
        formatter.write_str(if self.recovered {
            "the next servers recovered"
        } else {
            "a check failed"
        })?;
        write!(
            formatter,
            ": {} records acknowledged in all, {} lost, counters off by {}",
            self.acked, self.lost, self.counter_drift,
        )
    }
}

/// The sampled options, with a window large enough to keep the server writing all the time.
fn options(seed: u64) -> DirectoryOptions {
    let sampled = DirectoryOptions::sample(seed);
    DirectoryOptions {
        fleet: FleetOptions {
            window_frames: sampled.fleet.window_frames.max(4),
            ..sampled.fleet
        },
        policy_changes: 0,
        ..sampled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Observation;

    fn result(fault: Fault, response: Option<FaultResponse>, errors: usize) -> FaultResult {
        FaultResult {
            fault,
            response,
            log_errors: vec!["ERROR".to_owned(); errors],
            recovered: true,
            acked: 9_120,
            lost: 0,
            counter_drift: 0,
        }
    }

    #[test]
    fn a_result_is_a_sentence() {
        let poisoned = FaultResponse {
            acked_before_fault: 3_000,
            acked_before_detection: 20,
            acked_after_detection: 0,
            observation: Observation {
                live: 200,
                ready: 503,
                reason: Some("sync failed".to_owned()),
                counts: 200,
                poisoned: Some(1),
            },
            backup: Some(500),
            resumed: None,
        };
        assert_eq!(
            result(Fault::SyncTableUnderLoad, Some(poisoned), 2).to_string(),
            "syncTableUnderLoad: the server acknowledged 3000 records before the fault, 20 before it detected it and 0 \
             after; /live 200, /ready 503 (sync failed), /counts 200, muster_store_poisoned 1, backup 500; 2 errors in \
             its log; the next servers recovered: 9120 records acknowledged in all, 0 lost, counters off by 0"
        );
        let hanging = FaultResponse {
            observation: Observation {
                ready: 200,
                ..Observation::default()
            },
            resumed: Some(true),
            ..FaultResponse::default()
        };
        assert_eq!(
            hanging.to_string(),
            "the server acknowledged 0 records before the fault, 0 before it detected it and 0 after; /live no \
             response, /ready 200, /counts no response, muster_store_poisoned missing, acknowledging again after the \
             disk resumed"
        );
        let mut at_start = result(Fault::FullAtStart, None, 1);
        at_start.recovered = false;
        assert_eq!(
            at_start.to_string(),
            "fullAtStart: the server did not become ready; 1 error in its log; a check failed: 9120 records \
             acknowledged in all, 0 lost, counters off by 0"
        );
    }
}
