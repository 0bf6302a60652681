//! The command line: what can be asked of `muster`, and who answers.
//!
//! Thin on purpose: a command reads its arguments, calls the component that knows, and prints. Data goes
//! to standard output, everything else to standard error, so that a pipe gets data only.

mod backup;
mod check;
mod counts;
mod device;
mod devices;
mod pki;
mod recount;
mod restore;
mod serve;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::exit::Failure;

/// What follows the help of `muster`: the exit codes, for those who write scripts.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 internal, 2 usage, 3 configuration invalid, 4 certificate or key \
unusable, 5 address in use, 6 data directory refused, 7 verification found a difference, 8 server not reachable, \
9 limit of the system too low.";

/// Takes the roll call of device fleets.
#[derive(Debug, Parser)]
#[command(name = "muster", version, about, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until it is told to stop.
    Serve(serve::ServeArguments),
    /// Make certificates: for trying things out, and for tests.
    #[command(subcommand)]
    Pki(pki::PkiCommand),
    /// Show how many devices are in which state.
    Counts(counts::CountsArguments),
    /// Show one device.
    Device(device::DeviceArguments),
    /// List every device in a data directory that no server uses, one JSON object a line.
    Devices(devices::DevicesArguments),
    /// Count every device again, independently, and compare with the counts the server keeps.
    Recount(recount::RecountArguments),
    /// Have a running server copy its store while it serves, and recount the copy.
    ///
    /// Fast and nearly free of space where store.backup_directory is on the file system of the data directory: files are
    /// linked. On another file system every byte is copied, and until that is done the server deletes none of its
    /// files, so its data directory grows by all that it writes meanwhile. Who stops waiting does not stop the copy.
    Backup(backup::BackupArguments),
    /// Make a data directory of a backup, recounted before and after.
    Restore(restore::RestoreArguments),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say "ok", or everything that is wrong.
    Check(ConfigFile),
    /// Print the effective configuration: every key, defaults included.
    Print(ConfigFile),
}

/// Which configuration.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs one command.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Pki(command) => pki::run(&command),
        Command::Counts(arguments) => counts::run(&arguments),
        Command::Device(arguments) => device::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Recount(arguments) => recount::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Config(ConfigCommand::Check(file)) => check::check(&file.config),
        Command::Config(ConfigCommand::Print(file)) => check::print(&file.config),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Arguments;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
