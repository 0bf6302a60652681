//! The loop: cycle after cycle on one directory after the other, up to the first failure.
//!
//! A run stops at its first failure, because whatever comes after it on the same data says nothing new. The
//! last server of each directory is checked once more, running, before the directory goes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::directory::{Cycle, Directory};
use crate::draw::next_seed;
use crate::error::CrashError;
use crate::medium::Medium;
use crate::moment::Moment;
use crate::options::Options;
use crate::report::{Failure, Report};
use crate::site::Site;

/// What a run is told.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The binary under test.
    pub server: PathBuf,
    /// Where scratch directories are made.
    pub scratch: PathBuf,
    /// Cycles in all.
    pub cycles: u64,
    /// Stop after this time, whatever is left.
    pub time_max: Option<Duration>,
    /// The seed of the first directory.
    pub seed: u64,
    /// Leave all directories where they are.
    pub keep: bool,
}

/// Who is told how it goes, one line at a time.
pub type Say<'a> = &'a mut dyn FnMut(&str);

/// Runs the loop on a medium. A failure of the server is in the report.
///
/// # Errors
/// If the tool cannot go on.
pub fn run(plan: &Plan, medium: &mut dyn Medium, say: Say<'_>) -> Result<Report, CrashError> {
    let site = Site::make(&plan.server, &plan.scratch)?;
    let outcome = until_told(&runtime()?, cycles(plan, &site, medium, say));
    let is_interrupted = matches!(outcome, Err(CrashError::Interrupted));
    let is_clean = outcome.as_ref().is_ok_and(Report::is_clean);
    let is_kept = plan.keep || !(is_clean || is_interrupted);
    if is_kept {
        let kept = site.keep();
        say(&format!("everything is left in {}", kept.display()));
    }
    outcome
}

/// The threads of the fleet; the server needs the processor more.
pub(crate) fn runtime() -> Result<Runtime, CrashError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("muster-crash")
        .enable_all()
        .build()
        .map_err(|error| CrashError::Internal(format!("cannot start threads: {error}")))
}

/// Runs a future to its end, or drops it when somebody tells the tool to end: with it go the servers that it has
/// started.
pub(crate) fn until_told<T>(
    runtime: &Runtime,
    future: impl Future<Output = Result<T, CrashError>>,
) -> Result<T, CrashError> {
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| CrashError::Internal(format!("cannot take signals: {error}")))?;
        tokio::select! {
            outcome = future => outcome,
            _ = tokio::signal::ctrl_c() => Err(CrashError::Interrupted),
            _ = terminate.recv() => Err(CrashError::Interrupted),
        }
    })
}

async fn cycles(
    plan: &Plan,
    site: &Site,
    medium: &mut dyn Medium,
    say: Say<'_>,
) -> Result<Report, CrashError> {
    let started = Instant::now();
    let is_late = |started: Instant| plan.time_max.is_some_and(|time| started.elapsed() >= time);
    let mut report = Report::new(plan.seed, medium.name());
    let mut seed = plan.seed;
    for number in 1.. {
        if report.cycles() >= plan.cycles || is_late(started) || report.failure().is_some() {
            break;
        }
        let options = Options::draw(seed);
        report.directory(&options);
        say(&describe(number, seed, &options));
        let mut directory =
            Directory::make(site, &format!("directory-{number}"), seed, options, medium)?;
        let mut devices = 0;
        for cycle in 0..options.cycles {
            // The last server of a directory is only looked at: it shows what the one before has left.
            let is_last = cycle + 1 == options.cycles
                || report.cycles() + 1 == plan.cycles
                || is_late(started);
            let moment = match is_last {
                true => Moment::Quiet(1),
                false => directory.draw_moment(),
            };
            let result = directory.cycle(site, cycle, &moment, medium).await?;
            report.cycle(&moment, &result);
            devices = result.seen.devices;
            say(&line(&report, &moment, &result));
            if !result.findings.is_empty() {
                report.failed(failure(&report, cycle, seed, directory.folder(), &result));
                break;
            }
            if is_last {
                break;
            }
        }
        report.directory_ended(devices);
        if report.failure().is_none() {
            medium
                .release()
                .map_err(CrashError::file(directory.folder()))?;
            if !plan.keep {
                let folder = directory.folder();
                std::fs::remove_dir_all(folder).map_err(CrashError::file(folder))?;
            }
        }
        seed = next_seed(seed);
    }
    report.notes(medium.notes());
    Ok(report)
}

fn failure(report: &Report, cycle: u64, seed: u64, folder: &Path, result: &Cycle) -> Failure {
    Failure {
        cycle: report.cycles(),
        seed,
        replay_cycles: cycle + 1,
        folder: folder.to_owned(),
        findings: result
            .findings
            .iter()
            .map(ToString::to_string)
            .take(FINDINGS_LISTED_MAX)
            .collect(),
    }
}

/// Findings listed in a report; all are counted.
const FINDINGS_LISTED_MAX: usize = 100;

fn describe(number: u64, seed: u64, options: &Options) -> String {
    let all: Vec<String> = options
        .describe()
        .into_iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    format!("directory {number}, seed {seed}: {}", all.join(", "))
}

fn line(report: &Report, moment: &Moment, cycle: &Cycle) -> String {
    let recovery = cycle
        .recovery
        .map_or_else(String::new, |time| format!(", ready in {time:.2?}"));
    format!(
        "cycle {}: {moment:.1?}{recovery}, {} acknowledged, {} devices, {} ahead, {}",
        report.cycles(),
        cycle.acknowledged,
        cycle.seen.devices,
        cycle.seen.unacknowledged,
        match cycle.findings.len() {
            0 => "all there".to_owned(),
            count => format!("{count} FINDINGS"),
        }
    )
}
