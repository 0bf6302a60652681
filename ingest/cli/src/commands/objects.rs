//! `muster get`, `describe` and `delete`: objects of any type, by id or name.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args, Command};

use super::context::ContextArgument;
use crate::api_client::ApiClient;
use crate::exit::Failure;
use crate::objects::{self, Found, QueryArguments};
use crate::output;
use crate::resources::{Access, Resource};
use crate::rows::{self, Format, FormatArgument, Rows};
use crate::table;

/// Parses the name of a type, and tells help and shells the names that there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypeParser;

impl TypedValueParser for TypeParser {
    type Value = &'static Resource;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        TypedValueParser::parse_ref(&Resource::named, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Resource::names().map(PossibleValue::new)))
    }
}

/// The arguments of `muster get`.
#[derive(Debug, Args)]
pub(super) struct GetArguments {
    /// The type of the objects, also in the singular, or by its name in Graph.
    #[arg(value_name = "TYPE", value_parser = TypeParser)]
    resource: &'static Resource,
    /// The id or the name of one object.
    #[arg(value_name = "ID|NAME", conflicts_with_all = ["filter", "search", "order_by", "top"])]
    object: Option<String>,
    #[command(flatten)]
    query: QueryArguments,
    #[command(flatten)]
    format: FormatArgument,
    #[command(flatten)]
    context: ContextArgument,
}

/// One object.
#[derive(Debug, Args)]
pub(super) struct ObjectArguments {
    /// The type of the object, as for `muster get`.
    #[arg(value_name = "TYPE", value_parser = TypeParser)]
    resource: &'static Resource,
    /// The id or the name of the object; the settings have neither.
    #[arg(value_name = "ID|NAME")]
    object: Option<String>,
    #[command(flatten)]
    context: ContextArgument,
}

pub(super) fn get(arguments: &GetArguments) -> Result<(), Failure> {
    let (client, resource) = (arguments.context.client()?, arguments.resource);
    let format = arguments.format.output;
    if arguments.object.is_none() && !matches!(resource.access, Access::Single { .. }) {
        return list(&client, resource, &arguments.query, format);
    }
    let found = one(&client, resource, arguments.object.as_deref())?;
    let columns = columns(resource, &arguments.query);
    match format {
        Format::Table => {
            let mut printed = Rows::begin(format, &columns)?;
            printed.page(&[found.document])?;
            printed.end()
        }
        format if arguments.query.select.is_empty() => {
            rows::document(format, &columns, &found.document)
        }
        format => {
            let selected = columns.iter().filter_map(|column| {
                let value = table::at(&found.document, column)?;
                Some((column.clone(), value.clone()))
            });
            rows::document(format, &columns, &selected.collect())
        }
    }
}

/// Lists objects page by page.
pub(super) fn list(
    client: &ApiClient,
    resource: &Resource,
    query: &QueryArguments,
    format: Format,
) -> Result<(), Failure> {
    let columns = columns(resource, query);
    // Only what is shown is asked for: a column is a property, or within one.
    let asked: Vec<_> = match (format.is_of_documents(), query.select.is_empty()) {
        (true, true) => Vec::new(),
        _ => {
            let properties = columns.iter().filter(|column| !column.starts_with('@'));
            let properties = properties.map(|column| column.split('.').next().unwrap_or(column));
            let mut properties: Vec<_> = properties.map(str::to_owned).collect();
            properties.dedup();
            properties
        }
    };
    let mut left = query.top.unwrap_or(u64::MAX);
    let mut printed: Option<Rows<'_>> = None;
    for page in client.pages(objects::path_of_list(resource, query, &asked)) {
        let mut page = page?;
        page.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= page.len() as u64;
        // A list that is refused prints nothing.
        let printed = match &mut printed {
            Some(printed) => printed,
            None => printed.insert(Rows::begin(format, &columns)?),
        };
        if !printed.page(&page)? || left == 0 {
            break;
        }
    }
    printed.map_or(Ok(()), Rows::end)
}

fn columns(resource: &Resource, query: &QueryArguments) -> Vec<String> {
    match query.select.as_slice() {
        [] => resource.column_names(),
        names => names.to_vec(),
    }
}

/// The object that a command names.
fn one(client: &ApiClient, resource: &Resource, object: Option<&str>) -> Result<Found, Failure> {
    match (resource.access, object) {
        (Access::Single { .. }, None) => objects::single(client, resource),
        (Access::Single { .. }, Some(_)) => Err(Failure::Usage(format!(
            "{} have no id and no name",
            resource.name
        ))),
        (_, Some(object)) => objects::find(client, resource, object),
        (_, None) => Err(Failure::Usage(format!(
            "which {}? Give its id or name",
            resource.singular
        ))),
    }
}

pub(super) fn describe(arguments: &ObjectArguments) -> Result<(), Failure> {
    let (client, resource) = (arguments.context.client()?, arguments.resource);
    let found = one(&client, resource, arguments.object.as_deref())?;
    rows::document(Format::Table, &[], &found.document)
}

pub(super) fn delete(arguments: &ObjectArguments) -> Result<(), Failure> {
    let resource = arguments.resource;
    if let Access::Single { .. } = resource.access {
        return Err(Failure::Usage(format!(
            "{} cannot be deleted",
            resource.name
        )));
    }
    let Some(object) = &arguments.object else {
        return Err(Failure::Usage(format!(
            "which {}? Give its id or name",
            resource.singular
        )));
    };
    remove(&arguments.context.client()?, resource, object, "deleted")
}

/// Deletes one object, and says what was done.
pub(super) fn remove(
    client: &ApiClient,
    resource: &Resource,
    object: &str,
    done: &str,
) -> Result<(), Failure> {
    let found = objects::find(client, resource, object)?;
    client.delete(&objects::path_of(resource, &found.id))?;
    output::print(&line(resource, &found, done))
}

/// What was done to an object, as a line.
pub(super) fn line(resource: &Resource, found: &Found, done: &str) -> String {
    let label = resource.label.and_then(|label| found.document.get(label));
    let name = label.and_then(|label| label.as_str());
    let name = name.map(|name| format!(" \"{}\"", crate::printable::printable(name)));
    let name = name.unwrap_or_default();
    match resource.access {
        Access::Single { .. } => format!("{} {done}", resource.name),
        Access::ById | Access::InList => {
            format!("{} {}{name} {done}", resource.singular, found.id)
        }
    }
}
