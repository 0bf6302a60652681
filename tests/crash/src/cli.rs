//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::run::RunOptions;

const AFTER_HELP: &str = "\
Exit codes: 0 nothing was lost and every count was right, 1 internal error, 2 wrong usage, 7 a check found something
wrong: the last lines say what, where the files are, and how to reproduce it.";

/// Kills Muster servers under load and checks that nothing acknowledged is lost.
#[derive(Debug, Parser)]
#[command(name = "muster-crash", version, after_help = AFTER_HELP)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Kill servers at random times, check what they leave on disk, and restart them.
    Run(RunArguments),
    /// Let a server kill itself at each kill point in turn (needs the binary muster-failpoints).
    Points(PointsArguments),
    /// Run servers on a disk that is full, fails or hangs, and check how they respond (needs FUSE).
    BadDisk(BadDiskArguments),
    /// Mount an in-memory disk whose log syncs hang on command (needs FUSE). Commands on standard input, one per
    /// line: hang, waiting, resume, end.
    Disk(DiskArguments),
}

/// Options that `run`, `points` and `bad-disk` share.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct CommonArguments {
    /// Binary of the server.
    #[arg(long, value_name = "FILE")]
    pub server: PathBuf,
    /// Seed of settings, fleets and terminations.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..1 << 48))]
    pub seed: u64,
    /// Create the scratch directory in this directory. [default: TMPDIR, or /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// Keep all data directories.
    #[arg(long)]
    pub keep: bool,
    /// Print a JSON object on standard output instead of a sentence.
    #[arg(long)]
    pub json: bool,
}

/// The options of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArguments {
    /// Number of servers to kill.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub cycles: u64,
    /// Stop after this many minutes, even if cycles remain.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub minutes: Option<u64>,
    /// Disk backend of the data directories: the file system as it is, or a disk that loses unsynced data when a
    /// server terminates (needs FUSE, and root or fusermount3).
    #[arg(long, value_enum, default_value_t = DiskKind::Plain)]
    pub disk: DiskKind,
    /// Restore older copies of the data directory, to show that the checks can fail: the run must exit with code 7.
    #[arg(long, conflicts_with = "disk")]
    pub sabotage: bool,
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// The disk backend of data directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DiskKind {
    /// The file system as it is.
    Plain,
    /// A disk that loses power.
    PowerLoss,
    /// A disk that loses power and whose syncs make nothing durable: the run must exit with code 7.
    Lying,
}

/// The options of `points`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct PointsArguments {
    /// Visit only kill points whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Visits of each kill point, each after another number of passes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub visits: u64,
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// The options of `bad-disk`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct BadDiskArguments {
    /// Inject only faults whose name contains this text (full, writeLog, syncLog, hangingSync ...).
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Shared options.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// The options of `disk`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct DiskArguments {
    /// Existing directory to mount the disk on.
    #[arg(long, value_name = "DIR")]
    pub at: PathBuf,
}

impl DiskKind {
    /// The command-line option that selects it, with a leading space; nothing for the default.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::PowerLoss => " --disk power-loss",
            Self::Lying => " --disk lying",
        }
    }
}

impl RunArguments {
    /// The options of the run.
    pub fn run_options(&self) -> RunOptions {
        RunOptions {
            cycles: self.cycles,
            time_max: self
                .minutes
                .map(|minutes| Duration::from_secs(60 * minutes)),
            ..self.common.run_options()
        }
    }
}

impl CommonArguments {
    /// The options of a run without a limit.
    pub fn run_options(&self) -> RunOptions {
        RunOptions {
            server: self.server.clone(),
            scratch: self.scratch.clone().unwrap_or_else(default_scratch),
            cycles: u64::MAX,
            time_max: None,
            seed: self.seed,
            keep: self.keep,
        }
    }
}

/// /var/tmp rather than /tmp, which is often in memory, because syncs must reach a disk.
fn default_scratch() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_run_requires_only_a_server() {
        let parse =
            |arguments: &[&str]| Cli::try_parse_from([&["muster-crash"], arguments].concat());
        assert!(parse(&["run"]).is_err());
        let Command::Run(run) = parse(&["run", "--server", "muster"]).unwrap().command else {
            panic!("the subcommand is run")
        };
        let options = run.run_options();
        assert_eq!(
            (options.cycles, options.seed, options.time_max),
            (50, 1, None)
        );
        for wrong in [["--cycles", "0"], ["--seed", "281474976710656"]] {
            assert!(parse(&[&["run", "--server", "muster"], &wrong[..]].concat()).is_err());
        }
    }
}
