//! `muster devices`: lists, shows, explains and deletes devices through the API; or lists those of a data directory.
//!
//! Of a data directory that no server uses, one JSON object per line, written as it is read, so that a listing of any
//! size takes the memory of one shard: for comparison with an external ledger.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use muster_ingest::open_files;
use serde_json::{Value, json};

use super::context::ContextArgument;
use super::objects as commands;
use crate::exit::Failure;
use crate::objects::{self, QueryArguments};
use crate::offline::{OfflineError, listing};
use crate::resources::DEVICES;
use crate::rows::{self, Format, FormatArgument};

/// The arguments of `muster devices`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DevicesArguments {
    #[command(subcommand)]
    command: Option<DevicesCommand>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Subcommand)]
enum DevicesCommand {
    /// List devices. Pages are read and printed one by one.
    List(ListArguments),
    /// Show one device.
    Show(ShowArguments),
    /// Explain the state of a device: the rows of the rules that decided it, with their facts.
    Why(ShowArguments),
    /// Delete a device: from now on it is in no count, and its check-ins are rejected.
    Delete(DeviceArgument),
}

/// The arguments of `muster devices list`.
#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    query: QueryArguments,
    #[command(flatten)]
    format: FormatArgument,
    #[command(flatten)]
    context: ContextArgument,
    /// List every device in a data directory that no server uses, one JSON object per line. It is only read.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["QueryArguments", "output", "context"])]
    data_dir: Option<PathBuf>,
}

/// The arguments of `muster devices show` and `why`.
#[derive(Debug, Args)]
struct ShowArguments {
    /// The id of the device, or its name.
    #[arg(value_name = "ID|NAME")]
    device: String,
    #[command(flatten)]
    format: FormatArgument,
    #[command(flatten)]
    context: ContextArgument,
}

/// The arguments of `muster devices delete`.
#[derive(Debug, Args)]
struct DeviceArgument {
    /// The id of the device, or its name.
    #[arg(value_name = "ID|NAME")]
    device: String,
    #[command(flatten)]
    context: ContextArgument,
}

pub(super) fn run(arguments: DevicesArguments) -> Result<(), Failure> {
    match arguments.command {
        None => list(&arguments.list),
        Some(DevicesCommand::List(arguments)) => list(&arguments),
        Some(DevicesCommand::Show(arguments)) => show(&arguments),
        Some(DevicesCommand::Why(arguments)) => why(&arguments),
        Some(DevicesCommand::Delete(argument)) => {
            let client = argument.context.client()?;
            commands::remove(&client, &DEVICES, &argument.device, "deleted")
        }
    }
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    if let Some(directory) = &arguments.data_dir {
        return offline(directory);
    }
    let client = arguments.context.client()?;
    commands::list(&client, &DEVICES, &arguments.query, arguments.format.output)
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let client = arguments.context.client()?;
    let found = objects::find(&client, &DEVICES, &arguments.device)?;
    let columns = DEVICES.column_names();
    rows::document(arguments.format.output, &columns, &found.document)
}

fn why(arguments: &ShowArguments) -> Result<(), Failure> {
    let client = arguments.context.client()?;
    let found = objects::find(&client, &DEVICES, &arguments.device)?;
    let path = format!("muster/devices/{}/why", objects::encoded(&found.id));
    let reply = client.get(&objects::path(&path))?;
    let reasons = reply.value.get("why").and_then(Value::as_array);
    let Some(reasons) = reasons else {
        return Err(client.unexpected("\"why\" is missing").into());
    };
    match arguments.format.output {
        Format::Json => rows::document(Format::Json, &[], &reply.value),
        format => {
            let all = reasons.iter().map(|reason| json!({ "reason": reason }));
            rows::list(format, &["reason"], &all.collect::<Vec<_>>())
        }
    }
}

/// Why a listing ended early.
#[derive(Debug)]
enum Ended {
    Unreadable(OfflineError),
    Output(io::Error),
}

impl From<OfflineError> for Ended {
    fn from(error: OfflineError) -> Self {
        Self::Unreadable(error)
    }
}

fn offline(directory: &Path) -> Result<(), Failure> {
    open_files::require(open_files::max_of_command())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let listed = listing::devices(directory, |device| {
        serde_json::to_writer(&mut out, device).map_err(|error| Ended::Output(error.into()))?;
        out.write_all(b"\n").map_err(Ended::Output)
    });
    match listed.and_then(|()| out.flush().map_err(Ended::Output)) {
        Ok(()) => Ok(()),
        Err(Ended::Unreadable(error)) => Err(Failure::DataDirectory(error.to_string())),
        // A closed pipe (as of `head`) is not an error.
        Err(Ended::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Ended::Output(error)) => Err(Failure::File(format!(
            "cannot write to standard output: {error}"
        ))),
    }
}
