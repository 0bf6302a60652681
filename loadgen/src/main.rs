//! The binary `muster-loadgen`: arguments in, a report out, an exit code.
#![forbid(unsafe_code)]

use std::{io::Write, process::ExitCode};

use clap::Parser;
use muster_loadgen::{
    cli::{Cli, Command, RateArguments, RunArguments},
    clock, deaf,
    error::{EXIT_DIFFERENCE, RunError},
    knock, rate, run,
};
use serde_json::Value;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => run_fleet(&arguments),
        Command::Rate(arguments) => measure_rate(&arguments),
        Command::Knock(arguments) => {
            let knocks = knock::knock(&arguments);
            tell(
                arguments.json,
                knocks.map(|knocks| (knocks.to_json(), knocks.to_text())),
            )
        }
        Command::Deaf(arguments) => {
            let crowd = deaf::run(&arguments);
            tell(
                arguments.json,
                crowd.map(|crowd| (crowd.to_json(), crowd.to_text())),
            )
        }
    }
}

/// A result without a verdict, as an object or as a sentence.
fn tell(is_json: bool, result: Result<(Value, String), RunError>) -> ExitCode {
    match result {
        Ok((json, _)) if is_json => print(&format!("{json}\n")),
        Ok((_, text)) => print(&format!("{text}\n")),
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

fn fail(error: &RunError) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "muster-loadgen: {}", error.line());
    error.exit_code().into()
}

fn run_fleet(arguments: &RunArguments) -> ExitCode {
    let report = match run::run(arguments) {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let text = if arguments.json {
        format!("{}\n", report.to_json())
    } else {
        report.to_text()
    };
    print(&text);
    if report.is_wrong() {
        EXIT_DIFFERENCE.into()
    } else {
        ExitCode::SUCCESS
    }
}

fn measure_rate(arguments: &RateArguments) -> ExitCode {
    let rate = rate::measure(arguments, clock::since_epoch);
    let seconds = rate.elapsed.as_secs_f64();
    let per_second = rate.check_ins as f64 / seconds / 1e6;
    print(&format!(
        "{} check-ins in {seconds:.3} s: {per_second:.2} M/s\n",
        rate.check_ins
    ));
    ExitCode::SUCCESS
}

/// Whoever closed the pipe does not want to read on.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
