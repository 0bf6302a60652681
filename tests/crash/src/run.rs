//! The crash loop: cycles on one directory after another, up to the first failure.
//!
//! A run ends at its first failure, because later cycles on the same data tell nothing new. The last server of each
//! directory is checked while it runs, before the directory is removed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::directory::{Cycle, Directory};
use crate::disk_backend::DiskBackend;
use crate::environment::TestEnvironment;
use crate::error::CrashError;
use crate::options::DirectoryOptions;
use crate::report::{Failure, Report};
use crate::sampling::next_seed;
use crate::termination::Termination;

/// The options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The binary under test.
    pub server: PathBuf,
    /// The parent of the scratch directory.
    pub scratch: PathBuf,
    /// Maximum number of cycles.
    pub cycles: u64,
    /// No new cycle starts after this time.
    pub time_max: Option<Duration>,
    /// The seed of the first directory.
    pub seed: u64,
    /// Keep all directories.
    pub keep: bool,
}

/// Receives the lines of the log.
pub type Logger<'a> = &'a mut dyn FnMut(&str);

/// Runs the loop on a disk backend. A failure of the server is part of the report.
///
/// # Errors
/// If the tool cannot continue.
pub fn run(
    options: &RunOptions,
    disk: &mut dyn DiskBackend,
    log: Logger<'_>,
) -> Result<Report, CrashError> {
    let environment = TestEnvironment::make(&options.server, &options.scratch)?;
    let result = until_interrupted(&runtime()?, run_cycles(options, &environment, disk, log));
    let is_interrupted = matches!(result, Err(CrashError::Interrupted));
    let is_clean = result.as_ref().is_ok_and(Report::is_clean);
    if options.keep || !(is_clean || is_interrupted) {
        let kept = environment.keep();
        log(&format!("files kept in {}", kept.display()));
    }
    result
}

/// The runtime of the clients: two threads, since the server needs the processor more.
pub(crate) fn runtime() -> Result<Runtime, CrashError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("muster-crash")
        .enable_all()
        .build()
        .map_err(|error| CrashError::Internal(format!("cannot start threads: {error}")))
}

/// Runs a future until it completes or SIGINT or SIGTERM arrives. Then the future is dropped, which kills its servers.
pub(crate) fn until_interrupted<T>(
    runtime: &Runtime,
    future: impl Future<Output = Result<T, CrashError>>,
) -> Result<T, CrashError> {
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| CrashError::Internal(format!("cannot handle signals: {error}")))?;
        tokio::select! {
            result = future => result,
            _ = tokio::signal::ctrl_c() => Err(CrashError::Interrupted),
            _ = terminate.recv() => Err(CrashError::Interrupted),
        }
    })
}

async fn run_cycles(
    run_options: &RunOptions,
    environment: &TestEnvironment,
    disk: &mut dyn DiskBackend,
    log: Logger<'_>,
) -> Result<Report, CrashError> {
    let started = Instant::now();
    let is_late = || {
        run_options
            .time_max
            .is_some_and(|time_max| started.elapsed() >= time_max)
    };
    let mut report = Report::new(run_options.seed, disk.name());
    let mut seed = run_options.seed;
    for number in 1.. {
        if report.cycles() >= run_options.cycles || is_late() || report.failure().is_some() {
            break;
        }
        let options = DirectoryOptions::sample(seed);
        report.add_directory(&options);
        log(&directory_line(number, seed, &options));
        let mut directory = Directory::create(
            environment,
            &format!("directory-{number}"),
            seed,
            options,
            disk,
        )?;
        let mut devices = 0;
        for cycle in 0..options.cycles {
            // The last server of a directory checks what the one before has left.
            let is_last = cycle + 1 == options.cycles
                || report.cycles() + 1 == run_options.cycles
                || is_late();
            let termination = if is_last {
                Termination::WhenIdle(1)
            } else {
                directory.sample_termination()
            };
            let result = directory
                .cycle(environment, cycle, &termination, disk)
                .await?;
            report.add_cycle(&termination, &result);
            devices = result.observed.devices;
            log(&cycle_line(&report, &termination, &result));
            if !result.findings.is_empty() {
                report.set_failure(failure(&report, cycle, seed, directory.path(), &result));
                break;
            }
            if is_last {
                break;
            }
        }
        report.add_devices(devices);
        if report.failure().is_none() {
            disk.release().map_err(CrashError::file(directory.path()))?;
            if !run_options.keep {
                let path = directory.path();
                std::fs::remove_dir_all(path).map_err(CrashError::file(path))?;
            }
        }
        seed = next_seed(seed);
    }
    report.set_disk_statistics(disk.statistics());
    Ok(report)
}

fn failure(report: &Report, cycle: u64, seed: u64, directory: &Path, result: &Cycle) -> Failure {
    Failure {
        cycle: report.cycles(),
        seed,
        replay_cycles: cycle + 1,
        directory: directory.to_owned(),
        findings: result
            .findings
            .iter()
            .map(ToString::to_string)
            .take(FINDINGS_LISTED_MAX)
            .collect(),
    }
}

/// Maximum number of findings in the text of a report; all are counted.
const FINDINGS_LISTED_MAX: usize = 100;

fn directory_line(number: u64, seed: u64, options: &DirectoryOptions) -> String {
    let options: Vec<String> = options
        .describe()
        .into_iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    format!("directory {number}, seed {seed}: {}", options.join(", "))
}

fn cycle_line(report: &Report, termination: &Termination, cycle: &Cycle) -> String {
    let recovery = cycle
        .recovery
        .map_or_else(String::new, |time| format!(", ready in {time:.2?}"));
    format!(
        "cycle {}: {termination}{recovery}, {} acknowledged, {} devices, {} ahead, {} findings",
        report.cycles(),
        cycle.acknowledged,
        cycle.observed.devices,
        cycle.observed.unacknowledged,
        cycle.findings.len(),
    )
}
