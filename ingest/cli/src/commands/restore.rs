//! `muster restore`: restores a backup to a data directory, and prints its recount.

use std::path::PathBuf;

use clap::Args;
use muster_ingest::open_files;
use muster_store::RestoringError;

use super::recount;
use crate::exit::Failure;
use crate::offline::restore::{self, RestoreError};

/// The arguments of `muster restore`.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The backup. It is only read.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The data directory to create. It must be missing or empty, or left by an interrupted restore, and not a mount
    /// point or a symbolic link: the copy is created beside it and then renamed.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Print the recount of the data directory as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RestoreArguments) -> Result<(), Failure> {
    open_files::require(open_files::max_of_command())?;
    let recount = restore::restore(&arguments.backup, &arguments.data_dir).map_err(failure)?;
    recount::finish_offline(recount::report(&recount)?, arguments.json)
}

fn failure(error: RestoreError) -> Failure {
    let text = error.to_string();
    match error {
        RestoreError::Differs { .. } => Failure::Difference(text),
        RestoreError::Io { .. } | RestoreError::Taken(RestoringError::Io { .. }) => {
            Failure::File(text)
        }
        RestoreError::Offline(_)
        | RestoreError::Missing { .. }
        | RestoreError::Taken(_)
        | RestoreError::Irreplaceable { .. }
        | RestoreError::Overlap { .. }
        | RestoreError::Unfinished { .. }
        | RestoreError::NotAFile { .. } => Failure::DataDirectory(text),
    }
}
