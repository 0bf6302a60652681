//! The binary `muster-loadgen`: parses arguments, prints a report, and returns an exit code.
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
        Command::Run(arguments) => output_run(run::run(&arguments), &arguments.output),
        Command::Scenario(scenario) => {
            output_run(scenario::run(&scenario), &scenario.common().output)
        }
        Command::Compare(arguments) => {
            let comparison = compare_runs(&arguments);
            print_result(
                arguments.json,
                comparison.map(|comparison| (comparison.to_json(), comparison.to_text())),
            )
        }
        Command::Knee(arguments) => find_knee(&arguments),
        Command::Ceiling(arguments) => {
            let ceiling = ceiling::measure(&arguments);
            print_result(
                arguments.json,
                ceiling.map(|ceiling| (ceiling.to_json(), ceiling.to_text())),
            )
        }
        Command::Rate(arguments) => measure_rate(&arguments),
        Command::HandshakeFlood(arguments) => {
            let result = handshake_flood::run(&arguments);
            print_result(
                arguments.json,
                result.map(|result| (result.to_json(), result.to_text())),
            )
        }
        Command::NonReading(arguments) => {
            let result = non_reading::run(&arguments);
            print_result(
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

/// Prints a result without a verdict, as a JSON object or as text.
fn print_result(is_json: bool, result: Result<(Value, String), RunError>) -> ExitCode {
    exit_code(result.and_then(|(json, text)| {
        print(&if is_json {
            format!("{json}\n")
        } else {
            format!("{text}\n")
        })
    }))
}

fn exit_code(result: Result<(), RunError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &RunError) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "muster-loadgen: {}", error.line());
    error.exit_code().into()
}

/// Outputs the report of a run.
fn output_run(report: Result<Report, RunError>, output: &OutputArguments) -> ExitCode {
    match report {
        Ok(report) => output_report(&report, &report.to_json(), || report.to_text(), output),
        Err(error) => fail(&error),
    }
}

fn find_knee(arguments: &KneeArguments) -> ExitCode {
    match knee::find(arguments) {
        Ok(knee) => {
            let text = || format!("{}\n", knee.to_text());
            output_report(&knee.report, &knee.to_json(), text, &arguments.output)
        }
        Err(error) => fail(&error),
    }
}

/// Writes the requested files and prints the report. The exit code is the verdict.
fn output_report(
    report: &Report,
    json: &Value,
    text: impl FnOnce() -> String,
    output: &OutputArguments,
) -> ExitCode {
    if let Err(error) = write_files(report, json, output) {
        return fail(&error);
    }
    let printed = exit_code(print(&if output.json {
        format!("{json}\n")
    } else {
        text()
    }));
    if report.has_differences() {
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
    exit_code(print(&format!(
        "{} check-ins in {seconds:.3} s: {per_second:.2} M/s\n",
        rate.check_ins
    )))
}

/// Prints a result. A closed pipe is not an error, but a full disk is.
fn print(text: &str) -> Result<(), RunError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(RunError::Internal(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
