//! `muster audit`: who changed what, and when; and whether the log is what was written.

mod verify;

use clap::{Args, Subcommand};

use super::context::ContextArgument;
use super::objects;
use crate::exit::Failure;
use crate::objects::QueryArguments;
use crate::resources::AUDIT_EVENTS;
use crate::rows::FormatArgument;

/// The commands of `muster audit`.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// List the changes of the tenant, newest first. Pages are read and printed one by one.
    List(ListArguments),
    /// Verify that no entry of the audit log was changed, removed, added or moved.
    ///
    /// Each entry has a hash over all entries before it. The head, which this prints, is that of the last entry. Keep
    /// it where the machine of the server cannot change it, and pass it later with --pin: only that shows whether
    /// entries at the end are missing, and whether all hashes were computed anew.
    Verify(verify::VerifyArguments),
}

/// The arguments of `muster audit list`.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    query: QueryArguments,
    #[command(flatten)]
    format: FormatArgument,
    #[command(flatten)]
    context: ContextArgument,
}

pub(super) fn run(command: &AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(arguments) => verify::run(arguments),
        AuditCommand::List(arguments) => {
            let client = arguments.context.client()?;
            objects::list(
                &client,
                &AUDIT_EVENTS,
                &arguments.query,
                arguments.format.output,
            )
        }
    }
}
