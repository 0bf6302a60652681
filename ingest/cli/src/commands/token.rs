//! `muster token`: tokens for the operators' API: made, listed and revoked.
//!
//! Through the API with the token of an administrator. The first one is made on the machine of the server: with
//! `--data-dir` in a directory that no server uses, or with `--server` through the operations endpoint, which must allow
//! changes.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use muster_api::{TokenRequest, VALID_DAYS_DEFAULT, VALID_DAYS_MAX};
use muster_wire::TenantName;
use serde_json::{Value, json};

use super::context::ContextArgument;
use super::objects as commands;
use crate::exit::Failure;
use crate::objects::{self, QueryArguments};
use crate::offline::token::{self, TokenError};
use crate::ops_client::{OpsClient, ServerUrl};
use crate::output;
use crate::resources::TOKENS;
use crate::rows::FormatArgument;

/// The commands of `muster token`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print its secret, which is shown only now.
    ///
    /// Whoever has the secret may do what the role allows. It is printed on standard output, or written to a new file
    /// that only its owner can read.
    Create(CreateArguments),
    /// List the tokens, without their secrets.
    List(ListArguments),
    /// Revoke a token: the next request with it is refused.
    Revoke(RevokeArguments),
}

/// The arguments of `muster token list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    query: QueryArguments,
    #[command(flatten)]
    format: FormatArgument,
    #[command(flatten)]
    context: ContextArgument,
}

/// The arguments of `muster token revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct RevokeArguments {
    /// The id of the token, or its name.
    #[arg(value_name = "ID|NAME")]
    token: String,
    #[command(flatten)]
    context: ContextArgument,
}

/// The arguments of `muster token create`.
#[derive(Debug, clap::Args)]
pub(super) struct CreateArguments {
    /// The tenant, the only one that the holder sees. Through the API it is that of the context.
    #[arg(long, value_name = "T", requires = "place")]
    tenant: Option<TenantName>,
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
    #[arg(
        long,
        value_name = "DIRECTORY",
        group = "place",
        requires = "tenant",
        conflicts_with = "context"
    )]
    data_dir: Option<PathBuf>,
    /// The operations endpoint of a server on this machine (ops.address), which needs no token.
    #[arg(
        long,
        value_name = "HOST:PORT",
        group = "place",
        requires = "tenant",
        conflicts_with = "context"
    )]
    server: Option<ServerUrl>,
    #[command(flatten)]
    context: ContextArgument,
}

pub(super) fn run(command: &TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(arguments) => create(arguments),
        TokenCommand::List(arguments) => {
            let client = arguments.context.client()?;
            commands::list(&client, &TOKENS, &arguments.query, arguments.format.output)
        }
        TokenCommand::Revoke(arguments) => {
            let client = arguments.context.client()?;
            commands::remove(&client, &TOKENS, &arguments.token, "revoked")
        }
    }
}

fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let secret = match (&arguments.tenant, &arguments.data_dir, &arguments.server) {
        (Some(tenant), Some(directory), _) => offline(arguments, directory, tenant)?,
        (Some(tenant), None, Some(server)) => of_endpoint(arguments, server, tenant)?,
        _ => of_api(arguments)?,
    };
    match &arguments.out {
        Some(file) => write(file, &secret),
        None => output::print(&secret),
    }
}

/// What a request for a token has.
fn wanted(arguments: &CreateArguments) -> Value {
    json!({
        "displayName": arguments.name,
        "role": arguments.role,
        "validDays": arguments.days,
    })
}

fn of_api(arguments: &CreateArguments) -> Result<String, Failure> {
    let client = arguments.context.client()?;
    let created = client.post(&objects::path(TOKENS.path), &wanted(arguments), &[])?;
    let secret = created.value["secret"].as_str().map(str::to_owned);
    secret.ok_or_else(|| client.unexpected("it has no secret").into())
}

fn offline(
    arguments: &CreateArguments,
    directory: &Path,
    tenant: &TenantName,
) -> Result<String, Failure> {
    let request = TokenRequest {
        name: &arguments.name,
        role: &arguments.role,
        valid_days: arguments.days,
    };
    token::create(directory, tenant, &request).map_err(|error| match error {
        TokenError::Invalid(_) | TokenError::Refused(_) => Failure::Usage(error.to_string()),
        error => Failure::DataDirectory(error.to_string()),
    })
}

fn of_endpoint(
    arguments: &CreateArguments,
    server: &ServerUrl,
    tenant: &TenantName,
) -> Result<String, Failure> {
    let client = OpsClient::new(server);
    let answer = client.post_json(&format!("/tenants/{tenant}/tokens"), &wanted(arguments))?;
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
