//! `muster counts`: the number of devices in each state.

use serde_json::{Map, Value, json};

use super::context::ContextArgument;
use crate::exit::Failure;
use crate::objects;
use crate::rows::{self, Format, FormatArgument};
use crate::{output, table};

/// The arguments of `muster counts`.
#[derive(Debug, clap::Args)]
pub(super) struct CountsArguments {
    /// Count by one or two dimensions, like complianceState,platform; an unknown one lists all.
    #[arg(long, value_name = "DIMENSIONS", value_delimiter = ',')]
    by: Vec<String>,
    #[command(flatten)]
    format: FormatArgument,
    #[command(flatten)]
    context: ContextArgument,
}

pub(super) fn run(arguments: &CountsArguments) -> Result<(), Failure> {
    let client = arguments.context.client()?;
    let format = arguments.format.output;
    let path = objects::path("muster/counts");
    if !arguments.by.is_empty() {
        let by = objects::encoded(&arguments.by.join(","));
        let reply = client.get(&format!("{path}?by={by}"))?;
        let table = reply.value.get("value").and_then(Value::as_array);
        let table = table.ok_or_else(|| client.unexpected("\"value\" is missing"))?;
        let mut columns: Vec<_> = arguments.by.iter().map(String::as_str).collect();
        if let Some(Value::Object(row)) = table.first() {
            columns = row.keys().map(String::as_str).collect();
        }
        return rows::list(format, &columns, table);
    }
    let reply = client.get(&path)?;
    let Value::Object(counts) = &reply.value else {
        return Err(client.unexpected("it is not an object").into());
    };
    match format {
        Format::Table => output::print(&table::counts(counts)),
        Format::Json => rows::document(format, &[], &reply.value),
        Format::Csv | Format::Ndjson => {
            rows::list(format, &["group", "value", "count"], &flat(counts))
        }
    }
}

/// Every count as a row.
fn flat(counts: &Map<String, Value>) -> Vec<Value> {
    let mut rows = Vec::new();
    for (group, value) in counts {
        match value {
            Value::Object(members) => {
                let members = members.iter();
                rows.extend(
                    members.map(
                        |(value, count)| json!({"group": group, "value": value, "count": count}),
                    ),
                );
            }
            Value::Number(count) => {
                rows.push(json!({"group": group, "value": null, "count": count}));
            }
            // An annotation is not a count.
            _ => (),
        }
    }
    rows
}
