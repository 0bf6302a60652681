//! The command line. Exit codes: 0 done, 1 a peer failed, 2 wrong usage, 7 a peer holds something else
//! than the model.

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
use crate::search::{self, Plan};

/// A peer whose states or counts are wrong; the same code as that of `muster-loadgen`.
const WRONG: u8 = 7;

/// Threads for the connections: the peer needs cores too.
const THREADS: usize = 2;

/// Redis, PostgreSQL and NATS JetStream at Muster's job.
#[derive(Debug, Parser)]
#[command(name = "muster-peers", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Search the best setting of each peer, measure it, verify it.
    Run(RunArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    Redis,
    Postgres,
    Nats,
    All,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Devices of the fleet.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    devices: u64,
    /// Check-ins of a run.
    #[arg(long, value_name = "M", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    check_ins: u64,
    /// Which peer.
    #[arg(long, value_enum, default_value_t = Choice::All)]
    peer: Choice,
    /// Seconds that each peer may be sent check-ins, all its runs together.
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=36_000))]
    seconds_max: u64,
    /// Runs with the best setting.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Another seed is another fleet.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// A small job, one setting, one run: shows that it works, its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Search nothing: take this candidate of one peer, as an earlier run found it.
    #[arg(long, value_name = "WAY:CONNECTIONS:CHECK_INS:IN_FLIGHT")]
    setting: Option<String>,
    /// Where the data directories are made (and removed); the disk under it is what is measured.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Runs the program.
pub fn run() -> ExitCode {
    let Command::Run(arguments) = Cli::parse().command;
    match run_peers(&arguments).and_then(|report| show(&report, arguments.json)) {
        Ok(code) => code,
        Err(error) => {
            // A failed write has nowhere to be reported.
            let _ = writeln!(std::io::stderr(), "muster-peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the report and gives the exit code of its verdict.
fn show(report: &Report, is_json: bool) -> anyhow::Result<ExitCode> {
    if is_json {
        print(report.json())?;
    } else {
        print(report)?;
    }
    Ok(if report.verified() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(WRONG)
    })
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

fn run_peers(arguments: &RunArguments) -> anyhow::Result<Report> {
    let mut size = Size {
        devices: arguments.devices,
        check_ins: arguments.check_ins,
        seed: arguments.seed,
    };
    let mut plan = Plan {
        peers: match arguments.peer {
            Choice::Redis => vec![Name::Redis],
            Choice::Postgres => vec![Name::Postgres],
            Choice::Nats => vec![Name::Nats],
            Choice::All => Name::ALL.to_vec(),
        },
        setting: arguments.setting.clone(),
        repeats: arguments.repeats,
        sending: Duration::from_secs(arguments.seconds_max),
        quick: arguments.quick,
        directory: arguments
            .directory
            .clone()
            .unwrap_or_else(std::env::temp_dir),
    };
    if plan.setting.is_some() && plan.peers.len() > 1 {
        bail!("--setting goes with one peer: name it with --peer");
    }
    if arguments.quick {
        size.devices = size.devices.min(2_000);
        size.check_ins = size.check_ins.min(20_000);
        plan.repeats = 1;
    }
    let machine = crate::process::machine();
    let job = Job::new(size);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .context("the threads of the client")?;
    let rows = runtime.block_on(search::run(&plan, &job))?;
    Ok(Report::new(machine, size, rows))
}
