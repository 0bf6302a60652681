//! `muster device`: shows one device.

use muster_wire::{DeviceId, TenantName};

use crate::exit::Failure;
use crate::ops_client::{OpsClient, ServerArgument};
use crate::{output, table};

/// The arguments of `muster device`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceArguments {
    /// The ID of the device, a UUID.
    #[arg(value_name = "ID")]
    device: DeviceId,
    /// The tenant of the device.
    #[arg(long, value_name = "T")]
    tenant: TenantName,
    #[command(flatten)]
    server: ServerArgument,
    /// Print the server's JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &DeviceArguments) -> Result<(), Failure> {
    let client = OpsClient::new(&arguments.server.server);
    let answer = client.get(&format!(
        "/devices/{}/{}",
        arguments.tenant, arguments.device
    ))?;
    if arguments.json {
        return output::print(&answer.text);
    }
    let device = answer
        .value
        .as_object()
        .ok_or_else(|| client.unexpected("it is not an object"))?;
    output::print(&table::object(device))
}
