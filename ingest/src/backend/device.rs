//! Looks up devices: the records in the shards that own them, inventories in the store. One query to each shard thread
//! that has any of them.

use std::sync::Arc;

use muster_api::{ApiError, Device, Matches, Position, ROWS_MAX};
use muster_engine::TenantIndex;
use muster_store::Store;
use muster_wire::{DeviceId, Inventory};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::ServerBackend;
use crate::shard::{Control, DeviceKey, DeviceView};

impl ServerBackend {
    pub(super) async fn find_device(
        &self,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Result<Option<Device>, ApiError> {
        let thread = self.context.routes.map.thread_of(&device_id);
        let query = |reply| Control::Device {
            tenant,
            device_id,
            reply,
        };
        let Some(view) = self.query(thread, query).await? else {
            return Ok(None);
        };
        let inventory = match view.cold.inventory_revision {
            0 => None,
            _ => self.inventory(tenant, device_id).await?,
        };
        Ok(Some(device(*view, inventory)))
    }

    /// The devices at some positions, in their order.
    pub(super) async fn devices_at(
        &self,
        tenant: TenantIndex,
        positions: Vec<Position>,
    ) -> Result<Vec<(Position, Device)>, ApiError> {
        let map = &self.context.routes.map;
        let known = positions.into_iter();
        let known = known.filter(|position| position.shard.0 < map.shards().shards());
        let known: Vec<_> = known.collect();
        let keys = known.iter().map(|position| {
            let thread = map.thread_of_shard(position.shard);
            (thread, DeviceKey::At(*position))
        });
        let found = self.find_devices(tenant, keys, |_| true).await?.into_iter();
        Ok(found
            .map(|(place, device)| (known[place], device))
            .collect())
    }

    /// The devices with some ids, in their order.
    pub(super) async fn devices_with(
        &self,
        tenant: TenantIndex,
        ids: Vec<DeviceId>,
    ) -> Result<Vec<Device>, ApiError> {
        let map = &self.context.routes.map;
        let keys = ids.into_iter();
        let keys = keys.map(|id| (map.thread_of(&id), DeviceKey::Id(id)));
        let found = self.find_devices(tenant, keys, |_| true).await?.into_iter();
        Ok(found.map(|(_, device)| device).collect())
    }

    /// The devices with some ids whose facets match and that are not removed, in their order.
    pub(super) async fn devices_matching(
        &self,
        tenant: TenantIndex,
        ids: Vec<DeviceId>,
        matches: Matches,
    ) -> Result<Vec<Device>, ApiError> {
        let map = &self.context.routes.map;
        let keys = ids.into_iter();
        let keys = keys.map(|id| (map.thread_of(&id), DeviceKey::Id(id)));
        let is_wanted =
            move |view: &DeviceView| !view.record.removed() && matches(view.record.facets);
        let found = self.find_devices(tenant, keys, is_wanted).await?;
        Ok(found.into_iter().map(|(_, device)| device).collect())
    }

    /// Those of some devices that exist and are wanted, each with its place among the keys, in the same order. The keys
    /// come with their thread.
    async fn find_devices(
        &self,
        tenant: TenantIndex,
        keys: impl Iterator<Item = (usize, DeviceKey)>,
        is_wanted: impl Fn(&DeviceView) -> bool,
    ) -> Result<Vec<(usize, Device)>, ApiError> {
        // The place of each key among all, by thread and there by index.
        let mut places = vec![Vec::new(); self.context.controls.len()];
        let mut by_thread = vec![Vec::new(); self.context.controls.len()];
        for (place, (thread, key)) in keys.enumerate() {
            if place == ROWS_MAX {
                return Err(ApiError::Internal(format!(
                    "more than {ROWS_MAX} devices at once"
                )));
            }
            places[thread].push(place);
            by_thread[thread].push(key);
        }
        let asked = by_thread.into_iter().enumerate();
        let asked = asked.filter(|(_, keys)| !keys.is_empty());
        let (threads, queries): (Vec<_>, Vec<_>) = asked
            .map(|(thread, keys)| {
                let query = move |reply| Control::Devices {
                    tenant,
                    keys,
                    reply,
                };
                (thread, (thread, query))
            })
            .unzip();
        let replies = self.query_some(queries.into_iter()).await?;
        let mut found: Vec<_> = threads
            .into_iter()
            .zip(replies)
            .flat_map(|(thread, reply)| {
                let places = &places[thread];
                let wanted = reply.into_iter().filter(|(_, view)| is_wanted(view));
                wanted.map(|(index, view)| (places[index], view))
            })
            .collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        self.with_inventories(tenant, found).await
    }

    /// Adds the inventories of devices, which are read on one blocking thread.
    pub(super) async fn with_inventories(
        &self,
        tenant: TenantIndex,
        found: Vec<(usize, DeviceView)>,
    ) -> Result<Vec<(usize, Device)>, ApiError> {
        let store = Arc::clone(&self.context.store);
        self.read_store(move || {
            let found = found.into_iter().map(|(place, view)| {
                let device_id = view.record.device_id;
                let inventory = match view.cold.inventory_revision {
                    0 => None,
                    _ => inventory(&store, tenant, device_id)?,
                };
                Ok((place, device(view, inventory)))
            });
            found.collect()
        })
        .await
    }

    /// Those of some devices that do not exist, in ascending order, with one query for each thread that would own any.
    pub(super) async fn unknown_devices(
        &self,
        tenant: TenantIndex,
        devices: Vec<DeviceId>,
    ) -> Result<Vec<DeviceId>, ApiError> {
        let mut by_thread = vec![Vec::new(); self.context.controls.len()];
        for device in devices {
            by_thread[self.context.routes.map.thread_of(&device)].push(device);
        }
        let asked = by_thread.into_iter().enumerate();
        let queries = asked
            .filter(|(_, devices)| !devices.is_empty())
            .map(|(thread, devices)| {
                let query = |reply| Control::Unknown {
                    tenant,
                    devices,
                    reply,
                };
                (thread, query)
            });
        let replies = self.query_some(queries).await?;
        let mut unknown: Vec<_> = replies.into_iter().flatten().collect();
        unknown.sort_unstable();
        Ok(unknown)
    }

    /// Reads the stored inventory on a blocking thread, as it may be on disk.
    async fn inventory(
        &self,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Result<Option<Inventory>, ApiError> {
        let store = Arc::clone(&self.context.store);
        self.read_store(move || inventory(&store, tenant, device_id))
            .await
    }

    /// Runs a read of the store on a blocking thread.
    async fn read_store<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let read = timeout(self.deadlines.answer, spawn_blocking(read)).await;
        let read = read.map_err(|_| ApiError::Timeout {
            what: "the store".to_owned(),
        })?;
        read.map_err(|error| ApiError::Internal(error.to_string()))?
    }
}

fn inventory(
    store: &Store,
    tenant: TenantIndex,
    device_id: DeviceId,
) -> Result<Option<Inventory>, ApiError> {
    let unreadable = |error: String| ApiError::StoreUnreadable(error);
    let stored = store.inventory(tenant, &device_id);
    let stored = stored.map_err(|error| unreadable(error.to_string()))?;
    let read = stored.map(|bytes| Inventory::from_bytes(&bytes));
    read.transpose()
        .map_err(|error| unreadable(format!("inventory of {device_id}: {error}")))
}

fn device(view: DeviceView, inventory: Option<Inventory>) -> Device {
    Device {
        record: view.record,
        cold: view.cold,
        facets: view.facets,
        stale_since: view.stale_since,
        targets: view.targets,
        inventory,
    }
}
