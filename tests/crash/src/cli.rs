//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::run::Plan;

const AFTER_HELP: &str = "\
Exit codes: 0 nothing was lost and every count was right, 1 internal, 2 usage, 7 something was wrong: the last
lines say what, where the files are, and how to see it again.";

/// Kills Muster servers under load and checks that nothing acknowledged is lost.
#[derive(Debug, Parser)]
#[command(name = "muster-crash", version, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Kill servers at random moments, check what they leave, start them again.
    Run(RunArguments),
    /// Let a server kill itself at every kill point in turn; needs the binary muster-failpoints.
    Points(PointsArguments),
    /// Let servers meet a disk that is full, fails or is stuck, and see what they do (FUSE).
    BadDisk(BadDiskArguments),
    /// Mount a disk in memory whose syncs hang when standard input says so: hang, waiting, go on, end (FUSE).
    Disk(DiskArguments),
}

/// What both need.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct CommonArguments {
    /// The server's binary.
    #[arg(long, value_name = "FILE")]
    pub server: PathBuf,
    /// Options, fleets and moments follow from it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..1 << 48))]
    pub seed: u64,
    /// Where to make a scratch directory. [default: TMPDIR, or /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Leave all data directories where they are.
    #[arg(long)]
    pub keep: bool,
    /// Print one JSON object on standard output instead of a sentence.
    #[arg(long)]
    pub json: bool,
}

/// The options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArguments {
    /// How often to kill.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub cycles: u64,
    /// Stop after so many minutes, whatever is left.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: Option<u64>,
    /// What data directories lie on: the file system as it is, or a disk that loses power at every end of a
    /// server and forgets what was not synced (FUSE; as root, or with fusermount3).
    #[arg(long, value_enum, default_value_t = DiskKind::Plain)]
    pub disk: DiskKind,
    /// Bring back an older copy of a data directory now and then: the run must end with exit code 7.
    #[arg(long, conflicts_with = "disk")]
    pub sabotage: bool,
    /// What every run is told.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// What data directories lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DiskKind {
    /// The file system as it is.
    Plain,
    /// A disk that loses power.
    Forgetful,
    /// The same, and its syncs make nothing durable: the run must end with exit code 7.
    Lying,
}

/// The options of `points`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct PointsArguments {
    /// Visit only points whose name has this in it.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// How often each point is visited, at another passing each time.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub visits: u64,
    /// What every run is told.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// The options of `bad-disk`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct BadDiskArguments {
    /// Only faults whose name has this in it (full, writeLog, syncLog, stuckSync ...).
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// What every run is told.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// The options of `disk`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct DiskArguments {
    /// The directory to mount it over, which exists.
    #[arg(long, value_name = "DIR")]
    pub at: PathBuf,
}

impl DiskKind {
    /// The option that asks for it, as it stands in a command line.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Forgetful => " --disk forgetful",
            Self::Lying => " --disk lying",
        }
    }
}

impl RunArguments {
    /// The plan of the run.
    pub fn plan(&self) -> Plan {
        Plan {
            cycles: self.cycles,
            time_max: self
                .minutes
                .map(|minutes| Duration::from_secs(60 * minutes)),
            ..self.common.plan()
        }
    }
}

impl CommonArguments {
    /// A plan without an end.
    pub fn plan(&self) -> Plan {
        Plan {
            server: self.server.clone(),
            scratch: self.scratch.clone().unwrap_or_else(scratch),
            cycles: u64::MAX,
            time_max: None,
            seed: self.seed,
            keep: self.keep,
        }
    }
}

/// What is synced must reach a disk, and /tmp often lies in memory.
fn scratch() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_run_needs_a_server_and_nothing_else() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["muster-crash"], words].concat());
        assert!(parse(&["run"]).is_err());
        let Command::Run(run) = parse(&["run", "--server", "muster"]).unwrap().command else {
            panic!("the words say run")
        };
        let plan = run.plan();
        assert_eq!((plan.cycles, plan.seed, plan.time_max), (50, 1, None));
        for wrong in [["--cycles", "0"], ["--seed", "281474976710656"]] {
            assert!(parse(&[&["run", "--server", "muster"], &wrong[..]].concat()).is_err());
        }
    }
}
