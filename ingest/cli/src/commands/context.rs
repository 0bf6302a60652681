//! `muster context`: the servers that an operator works with, and the token for each.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::api_client::ApiClient;
use crate::contexts::{self, ApiUrl, Context, ContextError, ContextName, Contexts, Secret};
use crate::exit::Failure;
use crate::output;
use crate::rows::{self, FormatArgument};

/// A token is not read any further.
const INPUT_BYTES_MAX: u64 = 64 << 10;

/// The context of a command.
#[derive(Debug, Args)]
pub(super) struct ContextArgument {
    /// The context to use instead of the current one.
    #[arg(long, value_name = "NAME")]
    context: Option<ContextName>,
}

impl ContextArgument {
    /// A client of the server of the context.
    pub(super) fn client(&self) -> Result<ApiClient, Failure> {
        let context = contexts::resolve(self.context.as_ref())?;
        let server = context.server.as_str();
        Ok(ApiClient::new(server, &context.ca, context.token.reveal())?)
    }
}

/// The commands of `muster context`.
#[derive(Debug, Subcommand)]
pub(super) enum ContextCommand {
    /// Add a context, or replace the one with this name.
    ///
    /// The first one becomes the current context. The token is copied; the file of the authority is not.
    Add(AddArguments),
    /// List the contexts.
    List(ListArguments),
    /// Make a context the current one, which commands use.
    Use(NameArgument),
    /// Show a context, without its token.
    Show(ShowArguments),
    /// Remove a context.
    Remove(NameArgument),
}

/// The arguments of `muster context add`.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The name of the context.
    #[arg(value_name = "NAME")]
    name: ContextName,
    /// The URL of the operators' API (api.address of the server): its host must be a name of the certificate.
    #[arg(long, value_name = "URL")]
    server: ApiUrl,
    /// The authority that issued the certificate of the server, PEM; after `muster pki init` this is ca.pem.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    #[command(flatten)]
    token: TokenArguments,
}

/// Where the token of a context comes from. Never an argument, because other users of the machine can see those.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct TokenArguments {
    /// Read the token from this file.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Read the token from standard input.
    #[arg(long)]
    token_stdin: bool,
}

/// The arguments of `muster context list`.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    format: FormatArgument,
}

/// The name of a context.
#[derive(Debug, Args)]
pub(super) struct NameArgument {
    /// The name of the context.
    #[arg(value_name = "NAME")]
    name: ContextName,
}

/// The arguments of `muster context show`.
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The name of the context, by default of the current one.
    #[arg(value_name = "NAME")]
    name: Option<ContextName>,
    #[command(flatten)]
    format: FormatArgument,
}

pub(super) fn run(command: ContextCommand) -> Result<(), Failure> {
    match command {
        ContextCommand::Add(arguments) => add(arguments),
        ContextCommand::List(arguments) => list(&arguments),
        ContextCommand::Use(argument) => choose(argument.name),
        ContextCommand::Show(arguments) => show(&arguments),
        ContextCommand::Remove(argument) => remove(&argument.name),
    }
}

fn add(arguments: AddArguments) -> Result<(), Failure> {
    let AddArguments {
        name,
        server,
        ca,
        token,
    } = arguments;
    // Commands run in any directory.
    let ca = std::path::absolute(&ca)
        .map_err(|error| Failure::File(format!("cannot find {}: {error}", ca.display())))?;
    let token = match &token.token_file {
        Some(file) => contexts::secret_of(file)?,
        None => secret_of_input()?,
    };
    let context = Context { server, ca, token };
    // What could never work is not added.
    ApiClient::new(context.server.as_str(), &context.ca, context.token.reveal())?;
    let mut contexts = Contexts::load()?;
    contexts.current.get_or_insert_with(|| name.clone());
    let replaced = contexts.contexts.insert(name.clone(), context).is_some();
    contexts.save()?;
    let what = if replaced { "replaced" } else { "added" };
    output::print(&format!("context {} {what}", name.as_str()))
}

fn secret_of_input() -> Result<Secret, Failure> {
    let mut text = String::new();
    let input = std::io::stdin().lock().take(INPUT_BYTES_MAX);
    let read = { input }.read_to_string(&mut text);
    read.map_err(|error| Failure::File(format!("cannot read standard input: {error}")))?;
    let secret = Secret::try_from(text);
    secret.map_err(|problem| Failure::Usage(format!("standard input: {problem}")))
}

/// A context as others may see it.
fn shown(contexts: &Contexts, name: &ContextName, context: &Context) -> Value {
    json!({
        "name": name,
        "current": contexts.current.as_ref() == Some(name),
        "server": context.server,
        "ca": context.ca.to_string_lossy(),
    })
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let contexts = Contexts::load()?;
    let all = contexts.contexts.iter();
    let all: Vec<_> = all
        .map(|(name, context)| shown(&contexts, name, context))
        .collect();
    let columns = ["name", "current", "server", "ca"];
    rows::list(arguments.format.output, &columns, &all)
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let contexts = Contexts::load()?;
    let (name, context) = contexts.named(arguments.name.as_ref())?;
    let columns = ["name", "current", "server", "ca"].map(str::to_owned);
    let document = shown(&contexts, name, context);
    rows::document(arguments.format.output, &columns, &document)
}

fn choose(name: ContextName) -> Result<(), Failure> {
    let mut contexts = Contexts::load()?;
    contexts.named(Some(&name))?;
    output::print(&format!("context {} is in use", name.as_str()))?;
    contexts.current = Some(name);
    Ok(contexts.save()?)
}

fn remove(name: &ContextName) -> Result<(), Failure> {
    let mut contexts = Contexts::load()?;
    if contexts.contexts.remove(name).is_none() {
        let name = name.as_str();
        return Err(ContextError::Usage(format!("there is no context {name}")).into());
    }
    if contexts.current.as_ref() == Some(name) {
        contexts.current = None;
    }
    contexts.save()?;
    output::print(&format!("context {} removed", name.as_str()))
}
