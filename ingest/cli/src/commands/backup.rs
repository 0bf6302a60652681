//! `muster backup`: has a running server copy its store, and recounts the copy.
//!
//! The server makes the copy while it serves; this process counts it, so that a recount costs the server no
//! memory. A copy that cannot be verified stays where it is, for whoever looks into it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::recount;
use crate::exit::Failure;
use crate::ops_client::{OpsClient, ServerArgument};

/// What `muster backup` is told.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The backup to make: a name, or a path directly in the server's store.backup_directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[command(flatten)]
    server: ServerArgument,
    /// Print the recount of the backup as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &BackupArguments) -> Result<(), Failure> {
    let client = OpsClient::new(&arguments.server.server);
    let body = json!({ "directory": arguments.directory.to_string_lossy() });
    let answer = client.back_up(&body)?;
    let made = answer.value.get("directory").and_then(Value::as_str);
    let made = made.ok_or_else(|| client.not_understood("it does not say where the backup is"))?;
    let mut report = recount::report(&recount::offline(Path::new(made))?)?;
    report.insert("backup".to_owned(), made.into());
    recount::finish_offline(report, arguments.json)
}
