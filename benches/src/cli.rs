//! The command line. Exit codes: 0 success, 1 a bench failed or exceeds its baseline, 2 wrong usage.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::Loops;
use crate::api::{self, ApiOptions};
use crate::capacity;
use crate::guard;
use crate::machine::Machine;
use crate::parts::{self, PartsOptions, Size};
use crate::report::Report;

/// Benchmarks of Muster: time per part, capacity of this machine, and instruction counts.
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
    /// Measure the limits of the machine, Muster and its peers, in rounds of one run.
    Capacity(CapacityArguments),
    /// Measure the operators' API over HTTPS while devices check in.
    Api(ApiArguments),
    /// Count the instructions of fixed work with valgrind and fail if a count exceeds the baseline.
    Guard(GuardArguments),
    /// Run one case of the guard; called under valgrind.
    #[command(hide = true)]
    Count {
        /// Name of the case.
        case: String,
    },
}

#[derive(Debug, Args)]
struct GuardArguments {
    /// Write the current counts to the baseline.
    #[arg(long)]
    accept: bool,
    /// File of the baseline.
    #[arg(long, value_name = "FILE", default_value = guard::BASELINE)]
    baseline: PathBuf,
}

#[derive(Debug, Args)]
struct CapacityArguments {
    /// Small sizes and one round: shows within a minute that everything works.
    #[arg(long)]
    quick: bool,
    /// Print only the JSON object; the default is tables and the object as the last line.
    #[arg(long)]
    json: bool,
    /// Number of rounds. [default: 3, or 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Run only this section; may be given several times. Fields of other sections are null.
    #[arg(long, value_name = "SECTION")]
    only: Vec<capacity::Section>,
    /// Directory for temporary data directories. [default: TMPDIR, or /var/tmp]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Directory with muster, muster-loadgen and muster-peers. [default: that of this program]
    #[arg(long, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ApiArguments {
    /// Devices of the fleet; all have an inventory.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=20_000_000))]
    devices: u64,
    /// Check-ins a second beside the queries. [default: as many as the server takes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Seconds for which each query is repeated.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print only the JSON object; the default is a table and the object as the last line.
    #[arg(long)]
    json: bool,
    /// Directory for temporary data directories. [default: TMPDIR, or /var/tmp]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Directory with muster and muster-loadgen. [default: that of this program]
    #[arg(long, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct PartsArguments {
    /// Small sizes: shows within 20 seconds that every bench works.
    #[arg(long)]
    quick: bool,
    /// Print a JSON object instead of the tables.
    #[arg(long)]
    json: bool,
    /// Number of runs of every bench. [default: 5, or 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: Option<u32>,
    /// Run only the benches of this part; may be given several times.
    #[arg(long, value_name = "PART")]
    only: Vec<parts::Name>,
    /// Directory for temporary data directories, whose disk is measured. [default: TMPDIR, or /tmp]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Runs the program.
pub fn run(loops: Loops) -> ExitCode {
    let result = match Cli::parse().command {
        Command::Parts(arguments) => run_parts(arguments),
        Command::Capacity(arguments) => run_capacity(arguments),
        Command::Api(arguments) => run_api(arguments),
        Command::Guard(arguments) => run_guard(&arguments),
        Command::Count { case } => guard::count(&case, loops).and_then(print),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(&format!("muster-benches: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints a result. A closed pipe is not an error; any other failed write is.
fn print(result: impl Display) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{result}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error; a failed write is ignored.
fn log(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn run_guard(arguments: &GuardArguments) -> anyhow::Result<()> {
    print(guard::run(&arguments.baseline, arguments.accept)?)
}

fn run_api(arguments: ApiArguments) -> anyhow::Result<()> {
    let outcome = api::run(
        &ApiOptions {
            devices: arguments.devices,
            rate: arguments.rate.map(f64::from),
            time: Duration::from_secs(arguments.seconds),
            directory: arguments.directory.unwrap_or_else(capacity::scratch),
            programs: programs(arguments.programs)?,
        },
        &mut log,
    )?;
    if !arguments.json {
        print(&outcome)?;
    }
    print(outcome.json())
}

/// The directory with the programs.
fn programs(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    match given {
        Some(directory) => Ok(directory),
        None => Ok(std::env::current_exe()?.with_file_name("")),
    }
}

fn run_capacity(arguments: CapacityArguments) -> anyhow::Result<()> {
    let programs = programs(arguments.programs)?;
    let mut options = capacity::CapacityOptions::new(size(arguments.quick), programs);
    options.rounds = arguments.rounds.unwrap_or(options.rounds);
    options.directory = arguments.directory.unwrap_or(options.directory);
    if !arguments.only.is_empty() {
        options.only = arguments.only;
    }
    let outcome = capacity::run(&options, &mut log)?;
    if !arguments.json {
        print(&outcome)?;
    }
    print(outcome.json())
}

const fn size(is_quick: bool) -> Size {
    if is_quick { Size::Quick } else { Size::Full }
}

fn run_parts(arguments: PartsArguments) -> anyhow::Result<()> {
    let mut options = PartsOptions::new(size(arguments.quick));
    options.repeats = arguments.repeats.unwrap_or(options.repeats);
    options.directory = arguments.directory.unwrap_or(options.directory);
    if !arguments.only.is_empty() {
        options.only = arguments.only;
    }
    let machine = Machine::read();
    let rows = parts::run(&options)?;
    let report = Report::new(&options, machine, rows);
    if arguments.json {
        print(report.json())
    } else {
        print(report)
    }
}
