//! Fault after fault of a disk: what a server shows, and what is left once the disk is sound again.
//!
//! Each fault has a directory of its own. A server meets it under load or as it starts, is killed, and loses
//! power with that; the next servers find a sound disk and must have everything that was acknowledged. The
//! checks are those of the [crash loop](crate::directory).

use serde::Serialize;

use crate::check;
use crate::directory::{Cycle, Directory};
use crate::draw::next_seed;
use crate::error::CrashError;
use crate::medium::{Failing, Fault, Medium};
use crate::moment::Moment;
use crate::observe::{self, Shown};
use crate::options::{FleetOptions, Options};
use crate::report::Tally;
use crate::run::{Plan, Say, runtime, until_told};
use crate::site::Site;

/// Records acknowledged before the disk goes bad, and by a server after it.
const RECORDS: u64 = 3_000;

/// What the log of a poisoned server tells its operator.
const WHAT_TO_DO: &str = "repair the disk, then restart";

/// What one fault showed.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The fault.
    pub fault: Fault,
    /// What the server under load did; none of a fault at the start, where it must not become ready.
    pub shown: Option<Shown>,
    /// What its log calls for.
    pub log: Vec<String>,
    /// Whether later servers came up, took check-ins, and everything agreed.
    pub recovered: bool,
    /// Records acknowledged, by all servers.
    pub acked: u64,
    /// Promises broken.
    pub lost: u64,
    /// By how much counters were off.
    pub counter_drift: u64,
}

/// What all faults showed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BadDiskReport {
    /// What was counted.
    #[serde(flatten)]
    pub tally: Tally,
    /// Fault by fault.
    pub faults: Vec<Row>,
}

/// Lets servers meet these faults.
///
/// # Errors
/// If the tool cannot go on, such as where nothing can be mounted.
pub fn run(plan: &Plan, faults: &[Fault], say: Say<'_>) -> Result<BadDiskReport, CrashError> {
    let site = Site::make(&plan.server, &plan.scratch)?;
    let runtime = runtime()?;
    let mut report = BadDiskReport {
        tally: Tally::new(plan.seed),
        ..BadDiskReport::default()
    };
    let mut seed = plan.seed;
    for fault in faults {
        let mut medium = Failing::new(*fault, seed);
        let row = until_told(
            &runtime,
            meet(*fault, seed, &site, &mut medium, &mut report),
        )?;
        medium.release().map_err(CrashError::file(&plan.scratch))?;
        say(&format!("{row:?}"));
        report.tally.acked += row.acked;
        report.tally.lost += row.lost;
        report.tally.counter_drift += row.counter_drift;
        report.faults.push(row);
        seed = next_seed(seed);
    }
    if plan.keep || !report.tally.is_clean() {
        say(&format!("everything is left in {}", site.keep().display()));
    }
    Ok(report)
}

async fn meet(
    fault: Fault,
    seed: u64,
    site: &Site,
    medium: &mut Failing,
    report: &mut BadDiskReport,
) -> Result<Row, CrashError> {
    let options = options(seed);
    let name = fault.name();
    let mut directory = Directory::make(site, name, seed, options, medium)?;
    let log = directory.folder().join("server.log");
    let mut row = Row {
        fault,
        shown: None,
        log: Vec::new(),
        recovered: true,
        acked: 0,
        lost: 0,
        counter_drift: 0,
    };
    let bad = if fault.is_at_start() {
        Moment::FaultAtStart
    } else if fault.is_in_flush() {
        Moment::FaultInFlush(RECORDS)
    } else {
        Moment::Fault(RECORDS)
    };
    let load = Moment::Acknowledged(RECORDS);
    let moments = [load.clone(), bad, load, Moment::Quiet(1)];
    for (number, moment) in (0..).zip(&moments) {
        let is_bad = number == 1;
        let log_bytes = std::fs::metadata(&log).map_or(0, |file| file.len());
        let cycle = directory.cycle(site, number, moment, medium).await?;
        report.tally.cycles += 1;
        row.note(&cycle);
        let mut findings: Vec<String> = cycle.findings.iter().map(ToString::to_string).collect();
        if is_bad {
            row.log = observe::errors(&log, log_bytes);
            findings.extend(cycle.shown.iter().flat_map(Shown::faults));
            // One for the disk, one for the backup that failed on it.
            let lines = usize::from(fault != Fault::StuckSync) + usize::from(fault.is_in_flush());
            if row.log.len() != lines {
                findings.push(format!("{lines} lines were due in the log: {:?}", row.log));
            }
            let is_poisoned = cycle
                .shown
                .as_ref()
                .is_some_and(|shown| shown.resumed.is_none());
            if is_poisoned && !row.log.iter().any(|line| line.contains(WHAT_TO_DO)) {
                findings.push(format!("the log does not say what to do: {:?}", row.log));
            }
            row.shown = cycle.shown;
        }
        row.recovered &= findings.is_empty();
        let told = findings
            .into_iter()
            .map(|finding| format!("{name}: {finding}"));
        report.tally.findings.extend(told);
    }
    Ok(row)
}

impl Row {
    fn note(&mut self, cycle: &Cycle) {
        self.acked += cycle.acknowledged;
        self.lost += check::lost(&cycle.findings);
        self.counter_drift += check::drift(&cycle.findings);
    }
}

/// What a seed draws, but for what would keep the load from writing all the time.
fn options(seed: u64) -> Options {
    let drawn = Options::draw(seed);
    Options {
        fleet: FleetOptions {
            window: drawn.fleet.window.max(4),
            ..drawn.fleet
        },
        policy_changes: 0,
        ..drawn
    }
}
