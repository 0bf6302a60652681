//! The binary `muster-simulate`: runs seeds and prints one line of JSON, and for a failure the command that
//! reproduces it.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use muster_simulate::injected_fault::InjectedFault;
use muster_simulate::seeds::{self, Failure, Report, RunOptions};
use muster_simulate::trace::Event;
use muster_simulate::world::Options;
use serde_json::json;

/// Exit code if a check failed or no seed ran.
const FAILED: u8 = 7;

/// Simulates the Muster server on one thread, with a simulated disk and clock, seed by seed.
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds; 1000 if neither --seeds nor --seconds is given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Start new seeds for this many seconds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Print every step, on one thread; use it with --seeds 1.
    #[arg(long)]
    trace: bool,
    /// Print only the JSON object at the end.
    #[arg(long)]
    json: bool,
    /// Inject a fault that some seed should find.
    #[arg(long, value_name = "FAULT")]
    inject: Option<InjectedFault>,
    /// Seeds to run in parallel; 0 means one per core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn print_event(number: u64, event: &Event) {
    print(format_args!("{number:>6} {event}"));
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = seeds::run(
        run_options(&arguments),
        Options {
            injected_fault: arguments.inject,
            on_event: arguments.trace.then_some(print_event as fn(u64, &Event)),
        },
    );
    if !arguments.json {
        for failure in &report.failures {
            print_failure(failure, arguments.inject);
        }
    }
    print(to_json(&report));
    if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

fn run_options(arguments: &Arguments) -> RunOptions {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    RunOptions {
        first_seed: arguments.seed,
        seeds_max: match (arguments.seeds, arguments.seconds) {
            (Some(seeds), _) => seeds,
            (None, Some(_)) => u64::MAX,
            (None, None) => 1000,
        },
        time_max: arguments.seconds.map(Duration::from_secs),
        threads: match arguments.threads {
            _ if arguments.trace => 1,
            0 => cores,
            threads => threads,
        },
    }
}

/// Prints a line. A write that fails is no error: the exit code has the result as well.
fn print(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn print_failure(failure: &Failure, injected_fault: Option<InjectedFault>) {
    let Failure {
        seed,
        violation,
        last_steps,
    } = failure;
    print(format_args!("seed {seed} failed: {violation}"));
    print("last steps:");
    for step in last_steps {
        print(step);
    }
    let inject = injected_fault
        .and_then(|fault| fault.to_possible_value())
        .map_or_else(String::new, |value| {
            format!(" --inject {}", value.get_name())
        });
    print(format_args!(
        "to reproduce: scripts/simulate --seed {seed} --seeds 1 --trace{inject}"
    ));
}

fn to_json(report: &Report) -> serde_json::Value {
    let summary = &report.summary;
    let failures: Vec<_> = report
        .failures
        .iter()
        .map(|failure| json!({"seed": failure.seed, "check": failure.violation.check}))
        .collect();
    json!({
        "seeds": report.seeds,
        "steps": summary.steps,
        "crashes": summary.crashes,
        "recoveries": summary.recoveries,
        "drains": summary.drains,
        "acked": summary.acked,
        "policy_revisions": summary.policy_revisions,
        "checkpoints": summary.checkpoints,
        "trims": summary.trims,
        "recounts": summary.recounts,
        "clock_steps": summary.clock_steps,
        "hash": format!("{:016x}", summary.hash),
        "failures": failures,
    })
}
