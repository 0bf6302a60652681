//! `muster backup`: requests a backup of a running server, and recounts it.
//!
//! The server makes the backup; this process recounts it, so that the recount takes no memory of the server. A backup
//! that cannot be verified is kept for investigation.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::recount;
use crate::exit::Failure;
use crate::ops_client::{OpsClient, ServerArgument};

/// The arguments of `muster backup`.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The backup to create: a name, or a path directly in the server's store.backup_directory.
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
    let backup = answer.value.get("directory").and_then(Value::as_str);
    let backup = backup.ok_or_else(|| client.unexpected("\"directory\" is missing"))?;
    let mut report = recount::report(&recount::offline(Path::new(backup))?)?;
    report.insert("backup".to_owned(), backup.into());
    recount::finish_offline(report, arguments.json)
}
