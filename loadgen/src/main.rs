//! The binary `muster-loadgen`: arguments in, a report out, an exit code.
#![forbid(unsafe_code)]

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::Parser;
use muster_loadgen::{
    ceiling,
    cli::{Cli, Command, CompareArguments, KneeArguments, OutputArguments, RateArguments},
    compare::{self, Comparison},
    error::{EXIT_DIFFERENCE, RunError},
    handshake_flood, hdr, html, knee, non_reading, rate,
    report::Report,
    run, scenario,
};
use muster_testkit::clock;
use serde_json::Value;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => show(run::run(&arguments), &arguments.output),
        Command::Scenario(scenario) => show(scenario::run(&scenario), &scenario.common().output),
        Command::Compare(arguments) => {
            let comparison = compare_runs(&arguments);
            tell(
                arguments.json,
                comparison.map(|comparison| (comparison.to_json(), comparison.to_text())),
            )
        }
        Command::Knee(arguments) => find_knee(&arguments),
        Command::Ceiling(arguments) => {
            let ceiling = ceiling::measure(&arguments);
            tell(
                arguments.json,
                ceiling.map(|ceiling| (ceiling.to_json(), ceiling.to_text())),
            )
        }
        Command::Rate(arguments) => measure_rate(&arguments),
        Command::HandshakeFlood(arguments) => {
            let result = handshake_flood::run(&arguments);
            tell(
                arguments.json,
                result.map(|result| (result.to_json(), result.to_text())),
            )
        }
        Command::NonReading(arguments) => {
            let result = non_reading::run(&arguments);
            tell(
                arguments.json,
                result.map(|result| (result.to_json(), result.to_text())),
            )
        }
    }
}

fn compare_runs(arguments: &CompareArguments) -> Result<Comparison, RunError> {
    let comparison = compare::run(arguments)?;
    if let Some(path) = &arguments.report {
        html::write_file(path, &html::comparison(&comparison))?;
    }
    Ok(comparison)
}

/// A result without a verdict, as an object or as a sentence.
fn tell(is_json: bool, result: Result<(Value, String), RunError>) -> ExitCode {
    done(result.and_then(|(json, text)| {
        print(&if is_json {
            format!("{json}\n")
        } else {
            format!("{text}\n")
        })
    }))
}

fn done(result: Result<(), RunError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &RunError) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "muster-loadgen: {}", error.line());
    error.exit_code().into()
}

/// The report of a run, and the files that were asked for.
fn show(report: Result<Report, RunError>, output: &OutputArguments) -> ExitCode {
    match report {
        Ok(report) => put(&report, &report.to_json(), || report.to_text(), output),
        Err(error) => fail(&error),
    }
}

fn find_knee(arguments: &KneeArguments) -> ExitCode {
    match knee::find(arguments) {
        Ok(knee) => {
            let text = || format!("{}\n", knee.to_text());
            put(&knee.report, &knee.to_json(), text, &arguments.output)
        }
        Err(error) => fail(&error),
    }
}

/// Prints and writes what was asked for; the verdict is the exit code.
fn put(
    report: &Report,
    json: &Value,
    text: impl FnOnce() -> String,
    output: &OutputArguments,
) -> ExitCode {
    if let Err(error) = write_files(report, json, output) {
        return fail(&error);
    }
    let printed = done(print(&if output.json {
        format!("{json}\n")
    } else {
        text()
    }));
    if report.is_wrong() {
        EXIT_DIFFERENCE.into()
    } else {
        printed
    }
}

fn write_files(report: &Report, json: &Value, output: &OutputArguments) -> Result<(), RunError> {
    if let Some(path) = &output.hdr {
        let measured = &report.measured;
        hdr::write_file(path, measured.started, measured.series.samples())?;
    }
    match &output.report {
        Some(path) => html::write_file(path, &html::run(json)),
        None => Ok(()),
    }
}

fn measure_rate(arguments: &RateArguments) -> ExitCode {
    let rate = rate::measure(arguments, clock::since_epoch);
    let seconds = rate.elapsed.as_secs_f64();
    let per_second = rate.check_ins as f64 / seconds / 1e6;
    done(print(&format!(
        "{} check-ins in {seconds:.3} s: {per_second:.2} M/s\n",
        rate.check_ins
    )))
}

/// Prints a result; a closed pipe is not an error, a full disk is.
fn print(text: &str) -> Result<(), RunError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(RunError::Internal(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
