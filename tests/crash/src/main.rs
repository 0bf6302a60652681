//! The binary `muster-crash`: parses arguments, prints the report, sets the exit code.
#![forbid(unsafe_code)]

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use muster_crash::cli::{BadDiskArguments, Cli, Command, DiskKind, PointsArguments, RunArguments};
use muster_crash::disk_backend::{
    DiskBackend, Fault, PlainBackend, PowerLossBackend, RollbackBackend,
};
use muster_crash::error::{CrashError, EXIT_FINDING};
use muster_crash::report::{Report, Tally};
use muster_crash::{bad_disk, hanging_disk, points, run};
use serde::Serialize;
use serde_json::Value;

fn main() -> ExitCode {
    let is_clean = match Cli::parse().command {
        Command::Run(arguments) => run_loop(&arguments),
        Command::Points(arguments) => run_points(&arguments),
        Command::BadDisk(arguments) => run_bad_disk(&arguments),
        Command::Disk(arguments) => {
            let (commands, replies) = (std::io::stdin().lock(), std::io::stdout().lock());
            hanging_disk::serve(&arguments.at, commands, replies).map(|()| true)
        }
    };
    match is_clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => EXIT_FINDING.into(),
        Err(error) => {
            log(&format!("muster-crash: {error}"));
            error.exit_code().into()
        }
    }
}

fn run_loop(arguments: &RunArguments) -> Result<bool, CrashError> {
    let mut disk: Box<dyn DiskBackend> = match arguments.disk {
        DiskKind::Plain if arguments.sabotage => Box::new(RollbackBackend::default()),
        DiskKind::Plain => Box::new(PlainBackend),
        DiskKind::PowerLoss => Box::new(PowerLossBackend::default()),
        DiskKind::Lying => Box::new(PowerLossBackend::lying()),
    };
    let report = run::run(&arguments.run_options(), &mut *disk, &mut log)?;
    if let Some(failure) = report.failure() {
        for finding in &failure.findings {
            log(&format!("finding: {finding}"));
        }
        log(&format!("files: {}", failure.directory.display()));
        let disk = if arguments.sabotage {
            " --sabotage"
        } else {
            arguments.disk.option()
        };
        log(&format!(
            "to reproduce: muster-crash run --server {} --seed {} --cycles {}{disk}",
            arguments.common.server.display(),
            failure.seed,
            failure.replay_cycles,
        ));
    }
    print(arguments.common.json, &report.to_json(), &summary(&report))?;
    Ok(report.is_clean())
}

fn summary(report: &Report) -> String {
    let json = report.to_json();
    format!(
        "{} cycles, {} records acknowledged, {} lost, counters off by {}, {} findings",
        json["cycles"], json["acked"], json["lost"], json["counter_drift"], json["findings"],
    )
}

fn run_points(arguments: &PointsArguments) -> Result<bool, CrashError> {
    let options = arguments.common.run_options();
    let only = arguments.only.as_deref().unwrap_or_default();
    let report = points::run(
        &options,
        only,
        arguments.visits,
        &mut PlainBackend,
        &mut log,
    )?;
    let summary = format!(
        "{} kill points, {}, {} points never reached",
        report.points.len(),
        report.tally,
        report.never_reached.len(),
    );
    print_report(arguments.common.json, &report.tally, &report, &summary)?;
    for name in &report.never_reached {
        log(&format!("never reached: {name}"));
    }
    Ok(report.is_clean())
}

fn run_bad_disk(arguments: &BadDiskArguments) -> Result<bool, CrashError> {
    let only = arguments.only.as_deref().unwrap_or_default();
    let faults: Vec<Fault> = Fault::ALL
        .into_iter()
        .filter(|fault| fault.name().contains(only))
        .collect();
    if faults.is_empty() {
        let text = format!("no fault has \"{only}\" in its name");
        return Err(CrashError::Usage(text));
    }
    let report = bad_disk::run(&arguments.common.run_options(), &faults, &mut log)?;
    let summary = format!("{} faults, {}", report.faults.len(), report.tally);
    print_report(arguments.common.json, &report.tally, &report, &summary)?;
    Ok(report.tally.is_clean())
}

/// Logs the findings and prints the report.
fn print_report(
    is_json: bool,
    tally: &Tally,
    report: &impl Serialize,
    summary: &str,
) -> Result<(), CrashError> {
    for finding in &tally.findings {
        log(&format!("finding: {finding}"));
    }
    let json = serde_json::to_value(report)
        .map_err(|error| CrashError::Internal(format!("cannot serialize the report: {error}")))?;
    print(is_json, &json, summary)
}

/// Writes a line to standard error; a closed pipe is not an error.
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a report to standard output; a closed pipe is not an error, a full disk is.
fn print(is_json: bool, json: &Value, summary: &str) -> Result<(), CrashError> {
    let text = if is_json {
        json.to_string()
    } else {
        summary.to_owned()
    };
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CrashError::Internal(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
