//! Lists every device of a data directory, read from disk by the oracle.
//!
//! It compares what is stored with what was sent without trusting the server: the shards are read as the recount reads
//! them ([`muster_ingest::recount`]), some at a time, and every device is returned as stored, duplicates included.
//! The directory is only read. Memory: about 300 bytes per device of these shards. It verifies one property that no count
//! shows: the stored inventory of a device has the revision of its record.

use std::collections::BTreeSet;
use std::path::Path;

use muster_engine::model::ModelListing;
use muster_ingest::recount::{passes, read_shards};
use muster_wire::{Digest, Inventory, Owner};
use serde::Serialize;

use super::{OfflineError, open_read_only, tenant_names};

/// One device, as a line of `muster devices`. Names and units are those of `GET /devices`.
#[derive(Debug, Serialize)]
pub struct ListedDevice<'a> {
    /// Its tenant.
    pub tenant: &'a str,
    /// Its ID.
    pub id: String,
    /// Its shard.
    pub shard: u16,
    /// The `seq` of the last accepted check-in; 0 before the first.
    pub seq: u64,
    /// The digest of that check-in without its time of sending ([`muster_wire::CheckInRecord::digest`]).
    pub digest: Option<String>,
    /// The revision of the last accepted inventory; 0 before the first.
    pub inventory_revision: u32,
    /// The digest of the stored inventory.
    pub inventory_digest: Option<String>,
    /// From its inventory.
    pub owner: &'static str,
    /// From its inventory.
    pub tags: BTreeSet<&'a String>,
    /// The facet word of the last evaluation.
    pub facets: u64,
}

/// Calls `each` for every device of a directory that no server uses. An error of `each` ends the listing.
///
/// # Errors
/// If the directory cannot be opened or read, or `each` fails.
pub fn devices<E: From<OfflineError>>(
    directory: &Path,
    mut each: impl FnMut(&ListedDevice<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let store = open_read_only(directory).map_err(OfflineError::from)?;
    let view = store.view();
    let names = tenant_names(&view).map_err(OfflineError::from)?;
    let read = |pass| read_shards(&view, pass).map_err(OfflineError::from);
    for shards in passes(0..view.shards()).map(read) {
        let shards = shards?;
        let devices = shards.iter().flat_map(|(shard, model)| {
            let devices = model.devices();
            devices.map(move |device| (*shard, device))
        });
        for (shard, device) in devices {
            let stored = view
                .inventory(device.tenant, &device.device_id)
                .map_err(OfflineError::from)?;
            let Some(inventory) = inventory_of(&device, stored.as_deref()) else {
                let device = device.device_id;
                return Err(OfflineError::Inventory { shard, device }.into());
            };
            let inventory = inventory.as_ref();
            each(&ListedDevice {
                tenant: names.get(&device.tenant).map_or("", String::as_str),
                id: device.device_id.to_string(),
                shard: shard.0,
                seq: device.last.map_or(0, |check_in| check_in.seq()),
                digest: device.last.map(|check_in| check_in.digest().to_string()),
                inventory_revision: device.inventory_revision,
                inventory_digest: stored.map(|bytes| Digest::of(&bytes).to_string()),
                owner: inventory
                    .map_or(Owner::Unknown, |stored| stored.owner)
                    .name(),
                tags: inventory
                    .into_iter()
                    .flat_map(|stored| &stored.tags)
                    .collect(),
                facets: device.facets.word().0,
            })?;
        }
    }
    Ok(())
}

/// Decodes the stored inventory of a device, if it has one; `None` if that is not what its record refers to.
fn inventory_of(device: &ModelListing<'_>, stored: Option<&[u8]>) -> Option<Option<Inventory>> {
    let Some(bytes) = stored else {
        return (device.inventory_revision == 0).then_some(None);
    };
    let inventory = Inventory::from_bytes(bytes).ok()?;
    let is_of_device =
        inventory.device_id == device.device_id && inventory.revision == device.inventory_revision;
    is_of_device.then_some(Some(inventory))
}
