//! The command line. Exit codes: 0 done, 1 a bench failed or costs more than accepted, 2 wrong usage.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::Loops;
use crate::capacity;
use crate::guard;
use crate::machine::Machine;
use crate::parts::{self, Plan, Size};
use crate::report::Report;

/// What the parts of Muster cost: on this machine, and in instructions.
#[derive(Debug, Parser)]
#[command(name = "muster-benches", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure each part alone: decode, apply, journal, QUIC (stream, requests, handshakes), disk.
    Parts(PartsArguments),
    /// Measure the limits of the machine, Muster, and its peers, in rounds of one run.
    Capacity(CapacityArguments),
    /// Count the instructions of fixed work with valgrind, and fail if there are more than accepted.
    Guard(GuardArguments),
    /// One case of the guard, as it runs under valgrind.
    #[command(hide = true)]
    Count {
        /// Its name.
        case: String,
    },
}

#[derive(Debug, Args)]
struct GuardArguments {
    /// Take the counts of now as the new baseline.
    #[arg(long)]
    accept: bool,
    /// The file of the baseline.
    #[arg(long, value_name = "FILE", default_value = guard::BASELINE)]
    baseline: PathBuf,
}

#[derive(Debug, Args)]
struct CapacityArguments {
    /// Small sizes, one round: shows that everything works, within a minute.
    #[arg(long)]
    quick: bool,
    /// One JSON object alone; without it, it is the last line after the tables.
    #[arg(long)]
    json: bool,
    /// How often everything is measured.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Only this section; may be given several times. What is not measured is null.
    #[arg(long, value_name = "SECTION")]
    only: Vec<capacity::Section>,
    /// Where the data directories are made (and removed). [default: TMPDIR, or /var/tmp]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Where muster, muster-loadgen and muster-peers are. [default: beside this program]
    #[arg(long, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PartsArguments {
    /// A small size of every bench: shows that it works, in less than 20 seconds.
    #[arg(long)]
    quick: bool,
    /// One JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Runs of every bench.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: Option<u32>,
    /// Only the benches whose part has this name; may be given several times.
    #[arg(long, value_name = "PART")]
    only: Vec<parts::Name>,
    /// Where the data directories are made (and removed); the disk under it is what is measured.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Runs the program.
pub fn run(loops: Loops) -> ExitCode {
    let done = match Cli::parse().command {
        Command::Parts(arguments) => run_parts(arguments),
        Command::Capacity(arguments) => run_capacity(arguments),
        Command::Guard(arguments) => run_guard(&arguments),
        Command::Count { case } => guard::count(&case, loops).and_then(print),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("muster-benches: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a result; a closed pipe is not an error, a full disk is.
fn print(result: impl Display) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{result}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error; a closed pipe is not an error.
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn run_guard(arguments: &GuardArguments) -> anyhow::Result<()> {
    print(guard::run(&arguments.baseline, arguments.accept)?)
}

fn run_capacity(arguments: CapacityArguments) -> anyhow::Result<()> {
    let beside = || anyhow::Ok(std::env::current_exe()?.with_file_name(""));
    let programs = arguments.programs.map_or_else(beside, Ok)?;
    let mut plan = capacity::Plan::new(size(arguments.quick), programs);
    plan.rounds = arguments.rounds.unwrap_or(plan.rounds);
    plan.directory = arguments.directory.unwrap_or(plan.directory);
    if !arguments.only.is_empty() {
        plan.only = arguments.only;
    }
    let outcome = capacity::run(&plan, &mut log)?;
    if !arguments.json {
        print(&outcome)?;
    }
    print(outcome.json())
}

const fn size(is_quick: bool) -> Size {
    if is_quick { Size::Quick } else { Size::Full }
}

fn run_parts(arguments: PartsArguments) -> anyhow::Result<()> {
    let mut plan = Plan::new(size(arguments.quick));
    plan.repeats = arguments.repeats.unwrap_or(plan.repeats);
    plan.directory = arguments.directory.unwrap_or(plan.directory);
    if !arguments.only.is_empty() {
        plan.only = arguments.only;
    }
    let machine = Machine::read();
    let rows = parts::run(&plan)?;
    let report = Report::new(&plan, machine, rows);
    if arguments.json {
        print(report.json())
    } else {
        print(report)
    }
}
