//! The command line of `muster`: its commands and arguments.
//!
//! Thin on purpose: a command parses its arguments, calls one component, and prints the result. Data goes to standard
//! output, everything else to standard error, so that a pipe carries data only.

mod apply;
mod audit;
mod backup;
mod check;
mod completions;
mod context;
mod counts;
mod devices;
mod export;
mod objects;
mod pki;
mod recount;
mod restore;
mod serve;
mod token;

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::{self, Failure};

/// Runs and operates a Muster server, which takes the check-ins of device fleets.
#[derive(Debug, Parser)]
#[command(name = "muster", version, about, after_help = exit::help())]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until a signal stops it.
    ///
    /// Prints one line on standard output once it serves: ready quic=ADDRESS ops=URL api=URL. The log goes to standard error.
    /// The server never waits for a reader of either: a line that cannot be written is dropped; dropped log lines are
    /// counted.
    ///
    /// SIGTERM, SIGINT, SIGQUIT and SIGHUP (also when the terminal closes) drain the server within shutdown.deadline:
    /// clients get Goodbye, shards checkpoint, and the exit code is 0. A second one aborts, unless it is SIGHUP. SIGHUP
    /// does not reload the configuration, and is ignored if it was ignored at the start (nohup). SIGUSR1 and SIGUSR2
    /// are ignored.
    Serve(serve::ServeArguments),
    /// Create certificates for evaluation and tests.
    #[command(subcommand)]
    Pki(pki::PkiCommand),
    /// Manage contexts: the servers that commands talk to through the operators' API, and the token for each.
    ///
    /// They are in $XDG_CONFIG_HOME/muster/contexts.toml, which only its owner can read. A command takes the context that
    /// --context names; otherwise, if MUSTER_SERVER is set, that server with MUSTER_CA and MUSTER_TOKEN or
    /// MUSTER_TOKEN_FILE; otherwise the context that MUSTER_CONTEXT names; otherwise the current one.
    #[command(subcommand)]
    Context(context::ContextCommand),
    /// List objects of a type, or show one as a row.
    Get(objects::GetArguments),
    /// Show one object with everything that it has.
    Describe(objects::ObjectArguments),
    /// Create or change objects as documents say.
    ///
    /// A document is of the object with its id, otherwise of the only one with its displayName, otherwise of a new one.
    /// Prints for each whether it was created, configured or unchanged. The first refusal ends the command.
    Apply(apply::ApplyArguments),
    /// Delete an object.
    Delete(objects::ObjectArguments),
    /// List, show, explain or delete devices.
    Devices(Box<devices::DevicesArguments>),
    /// Show the number of devices in each state.
    Counts(counts::CountsArguments),
    /// Write a report of all devices to a file.
    Export(export::ExportArguments),
    /// Read the audit events of a tenant.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Create, list and revoke tokens for the operators' API.
    #[command(subcommand)]
    Token(Box<token::TokenCommand>),
    /// Count all devices again from disk and compare the result with the server's counters.
    Recount(recount::RecountArguments),
    /// Back up the store of a running server, and recount the backup.
    ///
    /// If store.backup_directory is on the file system of the data directory, files are hard-linked: the backup is fast
    /// and at first takes almost no space. On another file system every byte is copied, and the server deletes none of
    /// its files until the copy is complete, so its data directory grows by everything it writes in the meantime.
    /// Interrupting this command does not stop the backup.
    Backup(backup::BackupArguments),
    /// Restore a backup to a data directory, and recount both.
    Restore(restore::RestoreArguments),
    /// Check or print a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the script with which a shell completes commands.
    Completions(completions::CompletionsArguments),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print "ok" and the memory bound, or every error.
    Check(ConfigFile),
    /// Print the effective configuration: every key, defaults included.
    Print(ConfigFile),
}

/// The configuration file of a command.
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
        Command::Context(command) => context::run(command),
        Command::Get(arguments) => objects::get(&arguments),
        Command::Describe(arguments) => objects::describe(&arguments),
        Command::Apply(arguments) => apply::run(&arguments),
        Command::Delete(arguments) => objects::delete(&arguments),
        Command::Devices(arguments) => devices::run(*arguments),
        Command::Counts(arguments) => counts::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Audit(command) => audit::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Recount(arguments) => recount::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::Config(ConfigCommand::Check(file)) => check::check(&file.config),
        Command::Config(ConfigCommand::Print(file)) => check::print(&file.config),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
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
