//! The command line. Exit codes: 0 success, 1 a peer failed, 2 wrong usage, 7 the states or counts of a peer are not
//! those of the model.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::job::{Job, Size};
use crate::peer::Name;
use crate::report::Report;
use crate::search::{self, SearchOptions};

/// The exit code if states or counts are wrong, as in `muster-loadgen`.
const EXIT_NOT_VERIFIED: u8 = 7;

/// Threads for the connections: few, because the peer needs the cores too.
const CLIENT_THREADS: usize = 2;

/// Redis, PostgreSQL and NATS JetStream at Muster's job.
#[derive(Debug, Parser)]
#[command(name = "muster-peers", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Search for the best setting of each peer, measure the peer with it, and verify its states and counts.
    Run(RunArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PeerChoice {
    Redis,
    Postgres,
    Nats,
    All,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Number of devices in the fleet.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    devices: u64,
    /// Number of check-ins per run.
    #[arg(long, value_name = "M", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    check_ins: u64,
    /// The peer to measure.
    #[arg(long, value_enum, default_value_t = PeerChoice::All)]
    peer: PeerChoice,
    /// Maximum time for sending check-ins to each peer, over all its runs.
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=36_000))]
    seconds_max: u64,
    /// Number of runs with the best setting.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Seed of the fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print a JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// A small job with one setting and one run: shows that everything works; its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Use this setting of one peer, from the report of an earlier run, instead of searching.
    #[arg(long, value_name = "WAY:CONNECTIONS:CHECK_INS:IN_FLIGHT")]
    setting: Option<String>,
    /// Directory for temporary data directories, whose disk is measured. [default: TMPDIR, or /tmp]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Runs the program.
pub fn run() -> ExitCode {
    let Command::Run(arguments) = Cli::parse().command;
    match run_peers(&arguments).and_then(|report| show(&report, arguments.json)) {
        Ok(code) => code,
        Err(error) => {
            // If standard error cannot be written, the error cannot be reported anywhere.
            let _ = writeln!(std::io::stderr(), "muster-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the report and returns the exit code.
fn show(report: &Report, is_json: bool) -> anyhow::Result<ExitCode> {
    if is_json {
        print(report.json())?;
    } else {
        print(report)?;
    }
    Ok(if report.verified() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_NOT_VERIFIED)
    })
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

fn run_peers(arguments: &RunArguments) -> anyhow::Result<Report> {
    let mut size = Size {
        devices: arguments.devices,
        check_ins: arguments.check_ins,
        seed: arguments.seed,
    };
    let mut options = SearchOptions {
        peers: match arguments.peer {
            PeerChoice::Redis => vec![Name::Redis],
            PeerChoice::Postgres => vec![Name::Postgres],
            PeerChoice::Nats => vec![Name::Nats],
            PeerChoice::All => Name::ALL.to_vec(),
        },
        setting: arguments.setting.clone(),
        repeats: arguments.repeats,
        sending_max: Duration::from_secs(arguments.seconds_max),
        quick: arguments.quick,
        directory: arguments
            .directory
            .clone()
            .unwrap_or_else(std::env::temp_dir),
    };
    if options.setting.is_some() && options.peers.len() > 1 {
        bail!("--setting applies to one peer: choose it with --peer");
    }
    if arguments.quick {
        size.devices = size.devices.min(2_000);
        size.check_ins = size.check_ins.min(20_000);
        options.repeats = 1;
    }
    let machine = crate::process::machine();
    let job = Job::new(size);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CLIENT_THREADS)
        .enable_all()
        .build()
        .context("cannot start the client threads")?;
    let rows = runtime.block_on(search::run(&options, &job))?;
    Ok(Report::new(machine, size, rows))
}
