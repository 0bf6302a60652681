//! Every device of a data directory, read from disk by the oracle's rules.
//!
//! For whoever wants to compare what is stored with what was sent, without trusting the server: the
//! shards are read as the recount reads them ([`muster_ingest::recount`]), one after the other, and every
//! device is handed out as it is found, twice if it is there twice. The directory is only read.
//! Costs about 300 bytes for each device of one shard. It judges one thing, which no count shows: that the stored
//! inventory of a device is the one whose revision, owner and tags its record has.

use std::path::Path;

use muster_engine::model::ModelListing;
use muster_engine::{Cohort, ShardId};
use muster_ingest::clock;
use muster_ingest::recount::read_shard;
use muster_wire::{Digest, Inventory};
use serde::Serialize;

use super::{OfflineError, open_read_only, tenant_names};

/// One device, as a line of `muster devices`. Words and units are those of `GET /devices`.
#[derive(Debug, Serialize)]
pub struct ListedDevice<'a> {
    /// Its tenant.
    pub tenant: &'a str,
    /// The device.
    pub id: String,
    /// The shard that has it.
    pub shard: u16,
    /// The last accepted check-in; 0 before the first.
    pub seq: u64,
    /// What that check-in said, without the time of sending ([`muster_wire::CheckInRecord::digest`]).
    pub digest: Option<String>,
    /// The last accepted inventory; 0 before the first.
    pub inventory_revision: u32,
    /// Of the bytes of the stored inventory.
    pub inventory_digest: Option<String>,
    /// From its inventory.
    pub owner: &'static str,
    /// From its inventory.
    pub tags: &'a [String],
    /// The facet word, as last judged.
    pub facets: u32,
}

/// Hands every device of a directory that no server uses to `each`, which may end the listing.
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
    for shard in (0..view.shards()).map(ShardId) {
        let model = read_shard(&view, shard, clock::wall()).map_err(OfflineError::from)?;
        for device in model.devices() {
            let inventory = view
                .inventory(device.tenant, &device.device_id)
                .map_err(OfflineError::from)?;
            if !is_inventory_of(&device, inventory.as_deref()) {
                let device = device.device_id;
                return Err(OfflineError::Inventory { shard, device }.into());
            }
            each(&ListedDevice {
                tenant: names.get(&device.tenant).map_or("", String::as_str),
                id: device.device_id.to_string(),
                shard: shard.0,
                seq: device.last.map_or(0, |check_in| check_in.seq()),
                digest: device.last.map(|check_in| check_in.digest().to_string()),
                inventory_revision: device.inventory_revision,
                inventory_digest: inventory.map(|bytes| Digest::of(&bytes).to_string()),
                owner: device.cohort.owner().name(),
                tags: device.cohort.tags(),
                facets: device.facets.word().0,
            })?;
        }
    }
    Ok(())
}

/// Whether these bytes, or none, are what a device has counted as its inventory.
fn is_inventory_of(device: &ModelListing<'_>, stored: Option<&[u8]>) -> bool {
    let Some(bytes) = stored else {
        return device.inventory_revision == 0;
    };
    Inventory::from_bytes(bytes).is_ok_and(|inventory| {
        inventory.device_id == device.device_id
            && inventory.revision == device.inventory_revision
            && Cohort::new(inventory.owner, inventory.tags) == *device.cohort
    })
}
