//! The binary `muster-crash`: arguments in, a report out, an exit code.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use muster_crash::cli::{BadDiskArguments, Cli, Command, DiskKind, PointsArguments, RunArguments};
use muster_crash::error::{CrashError, EXIT_FINDING};
use muster_crash::medium::{Fault, Forgetful, Medium, Plain, Rollback};
use muster_crash::report::{Report, Tally};
use muster_crash::{bad_disk, points, run, stuck};
use serde::Serialize;
use serde_json::Value;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(arguments) => run_loop(&arguments),
        Command::Points(arguments) => visit_points(&arguments),
        Command::BadDisk(arguments) => meet_faults(&arguments),
        Command::Disk(arguments) => {
            let (orders, answers) = (std::io::stdin().lock(), std::io::stdout().lock());
            stuck::obey(&arguments.at, orders, answers).map(|()| true)
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => EXIT_FINDING.into(),
        Err(error) => {
            say(&format!("muster-crash: {error}"));
            error.exit_code().into()
        }
    }
}

fn run_loop(arguments: &RunArguments) -> Result<bool, CrashError> {
    let mut medium: Box<dyn Medium> = match arguments.disk {
        DiskKind::Plain if arguments.sabotage => Box::new(Rollback::default()),
        DiskKind::Plain => Box::new(Plain),
        DiskKind::Forgetful => Box::new(Forgetful::default()),
        DiskKind::Lying => Box::new(Forgetful::lying()),
    };
    let report = run::run(&arguments.plan(), &mut *medium, &mut say)?;
    if let Some(failure) = report.failure() {
        for finding in &failure.findings {
            say(&format!("found: {finding}"));
        }
        say(&format!("the files: {}", failure.folder.display()));
        let sabotage = if arguments.sabotage {
            " --sabotage"
        } else {
            arguments.disk.option()
        };
        say(&format!(
            "again: muster-crash run --server {} --seed {} --cycles {}{sabotage}",
            arguments.common.server.display(),
            failure.seed,
            failure.replay_cycles,
        ));
    }
    print(arguments.common.json, &report.to_json(), &sentence(&report));
    Ok(report.is_clean())
}

fn sentence(report: &Report) -> String {
    let json = report.to_json();
    format!(
        "{} cycles, {} records acknowledged, {} lost, counters off by {}, {} findings",
        json["cycles"], json["acked"], json["lost"], json["counter_drift"], json["findings"],
    )
}

fn visit_points(arguments: &PointsArguments) -> Result<bool, CrashError> {
    let plan = arguments.common.plan();
    let only = arguments.only.as_deref().unwrap_or_default();
    let report = points::run(&plan, only, arguments.visits, &mut Plain, &mut say)?;
    let sentence = format!(
        "{} kill points, {}, {} points never reached",
        report.points.len(),
        report.tally,
        report.never_reached.len(),
    );
    tell(arguments.common.json, &report.tally, &report, &sentence)?;
    for name in &report.never_reached {
        say(&format!("never reached: {name}"));
    }
    Ok(report.is_clean())
}

fn meet_faults(arguments: &BadDiskArguments) -> Result<bool, CrashError> {
    let only = arguments.only.as_deref().unwrap_or_default();
    let faults: Vec<Fault> = Fault::ALL
        .into_iter()
        .filter(|fault| fault.name().contains(only))
        .collect();
    if faults.is_empty() {
        let text = format!("there is no fault with \"{only}\" in its name");
        return Err(CrashError::Usage(text));
    }
    let report = bad_disk::run(&arguments.common.plan(), &faults, &mut say)?;
    let sentence = format!("{} faults, {}", report.faults.len(), report.tally);
    tell(arguments.common.json, &report.tally, &report, &sentence)?;
    Ok(report.tally.is_clean())
}

/// What was found, and the report.
fn tell(
    is_json: bool,
    tally: &Tally,
    report: &impl Serialize,
    sentence: &str,
) -> Result<(), CrashError> {
    for finding in &tally.findings {
        say(&format!("found: {finding}"));
    }
    let json = serde_json::to_value(report)
        .map_err(|error| CrashError::Internal(format!("the report is no JSON: {error}")))?;
    print(is_json, &json, sentence);
    Ok(())
}

/// Progress, for whoever looks on. There is nowhere to complain that nobody does.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whoever closed the pipe does not want to read on.
fn print(is_json: bool, json: &Value, sentence: &str) {
    let text = match is_json {
        true => json.to_string(),
        false => sentence.to_owned(),
    };
    let _ = writeln!(std::io::stdout(), "{text}");
}
