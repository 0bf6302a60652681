//! `muster counts`: the number of devices in each state.

use muster_wire::TenantName;
use serde_json::{Map, Value};

use crate::exit::Failure;
use crate::ops_client::{OpsClient, ServerArgument};
use crate::{output, table};

/// The arguments of `muster counts`.
#[derive(Debug, clap::Args)]
pub(super) struct CountsArguments {
    #[command(flatten)]
    server: ServerArgument,
    /// Show only this tenant.
    #[arg(long, value_name = "T")]
    tenant: Option<TenantName>,
    /// Print the server's JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &CountsArguments) -> Result<(), Failure> {
    let client = OpsClient::new(&arguments.server.server);
    // A tenant name needs no URL encoding.
    let path = match &arguments.tenant {
        Some(tenant) => format!("/counts?tenant={tenant}"),
        None => "/counts".to_owned(),
    };
    let answer = client.get(&path)?;
    if arguments.json {
        return output::print(&answer.text);
    }
    let holders =
        holders(&answer.value).ok_or_else(|| client.unexpected("\"tenants\" is missing"))?;
    output::print(&table::counts(&holders))
}

/// The counts by tenant, and the total unless there is exactly one tenant.
fn holders(answer: &Value) -> Option<Vec<(String, &Map<String, Value>)>> {
    let mut holders = Vec::new();
    for tenant in answer.get("tenants")?.as_array()? {
        let counts = tenant.as_object()?;
        holders.push((counts.get("tenant")?.as_str()?.to_owned(), counts));
    }
    if holders.len() != 1
        && let Some(total) = answer.get("total")
    {
        holders.push(("total".to_owned(), total.as_object()?));
    }
    Some(holders)
}
