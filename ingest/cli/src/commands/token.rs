//! `muster token`: makes a token for the operators' API, on the machine of the server.
//!
//! With `--data-dir` in a directory that no server uses, so that the first administrator needs no other; otherwise
//! through the operations endpoint, which must allow changes.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use muster_api::{TokenRequest, VALID_DAYS_DEFAULT, VALID_DAYS_MAX};
use muster_wire::TenantName;
use serde_json::json;

use crate::exit::Failure;
use crate::offline::token::{self, TokenError};
use crate::ops_client::{OpsClient, ServerArgument};
use crate::output;

/// The commands of `muster token`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print its secret, which is shown only now.
    ///
    /// Whoever has the secret may do what the role allows. It is printed on standard output, or written to a new file
    /// that only its owner can read.
    Create(CreateArguments),
}

/// The arguments of `muster token create`.
#[derive(Debug, clap::Args)]
pub(super) struct CreateArguments {
    /// The tenant, the only one that the holder sees.
    #[arg(long, value_name = "T")]
    tenant: TenantName,
    /// The name of the token, which is the actor in audit events.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What its holder may do: the name or id of a role definition.
    #[arg(long, value_name = "ROLE", default_value = "Administrator")]
    role: String,
    /// How many days it is valid.
    #[arg(long, value_name = "DAYS", default_value_t = VALID_DAYS_DEFAULT,
        value_parser = clap::value_parser!(u64).range(1..=VALID_DAYS_MAX))]
    days: u64,
    /// Write the secret to this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A data directory that no server uses. The tenant is created if it does not exist.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "server")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgument,
}

pub(super) fn run(command: &TokenCommand) -> Result<(), Failure> {
    let TokenCommand::Create(arguments) = command;
    let secret = match &arguments.data_dir {
        Some(directory) => offline(arguments, directory)?,
        None => online(arguments)?,
    };
    match &arguments.out {
        Some(file) => write(file, &secret),
        None => output::print(&secret),
    }
}

fn offline(arguments: &CreateArguments, directory: &Path) -> Result<String, Failure> {
    let request = TokenRequest {
        name: &arguments.name,
        role: &arguments.role,
        valid_days: arguments.days,
    };
    token::create(directory, &arguments.tenant, &request).map_err(|error| match error {
        TokenError::Invalid(_) | TokenError::Refused(_) => Failure::Usage(error.to_string()),
        error => Failure::DataDirectory(error.to_string()),
    })
}

fn online(arguments: &CreateArguments) -> Result<String, Failure> {
    let client = OpsClient::new(&arguments.server.server);
    let body = json!({
        "displayName": arguments.name,
        "role": arguments.role,
        "validDays": arguments.days,
    });
    let path = format!("/tenants/{}/tokens", arguments.tenant);
    let answer = client.post_json(&path, &body)?;
    let secret = answer.value["secret"].as_str().map(str::to_owned);
    secret.ok_or_else(|| client.unexpected("it has no secret").into())
}

/// Writes the secret to a new file that only its owner can read.
fn write(file: &Path, secret: &str) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut opened| writeln!(opened, "{secret}"));
    written.map_err(|error| Failure::File(format!("cannot write {}: {error}", file.display())))
}
