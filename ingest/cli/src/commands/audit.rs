//! `muster audit`: who changed what, and when.

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
