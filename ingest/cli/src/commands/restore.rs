//! `muster restore`: makes a data directory of a backup, and shows its recount.

use std::path::PathBuf;

use clap::Args;
use muster_ingest::open_files;
use muster_store::RestoringError;

use super::recount;
use crate::exit::Failure;
use crate::offline::restore::{self, RestoreError};

/// What `muster restore` is told.
#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The backup. It is only read.
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The data directory to make, which must be missing or empty, or left by a restore that was cut short. No
    /// mount point and no link: the copy is made beside it and then takes its name.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Print the recount of the data directory as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RestoreArguments) -> Result<(), Failure> {
    open_files::require(open_files::of_command())?;
    let recount = restore::restore(&arguments.backup, &arguments.data_dir).map_err(failure)?;
    recount::finish_offline(recount::report(&recount)?, arguments.json)
}

fn failure(error: RestoreError) -> Failure {
    let text = error.to_string();
    match error {
        RestoreError::Differs { .. } => Failure::Difference(text),
        RestoreError::Io { .. } | RestoreError::Taken(RestoringError::Io { .. }) => {
            Failure::Internal(text)
        }
        RestoreError::Offline(_)
        | RestoreError::Taken(_)
        | RestoreError::Irreplaceable { .. }
        | RestoreError::Overlap { .. }
        | RestoreError::Unfinished { .. }
        | RestoreError::NotAFile { .. } => Failure::DataDirectory(text),
    }
}
