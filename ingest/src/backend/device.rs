//! Looks up devices: the records in the shards that own them, the inventory in the store.

use std::sync::Arc;

use muster_api::{ApiError, Device};
use muster_engine::TenantIndex;
use muster_wire::{DeviceId, Inventory};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::ServerBackend;
use crate::shard::Control;

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
        Ok(Some(Device {
            record: view.record,
            cold: view.cold,
            facets: view.facets,
            stale_since: view.stale_since,
            targets: view.targets,
            inventory,
        }))
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
        let read = spawn_blocking(move || store.inventory(tenant, &device_id));
        let read = timeout(self.deadlines.answer, read)
            .await
            .map_err(|_| ApiError::Timeout {
                what: "the store".to_owned(),
            })?;
        let stored = read
            .map_err(|error| ApiError::Internal(error.to_string()))?
            .map_err(|error| ApiError::StoreUnreadable(error.to_string()))?;
        let read = stored
            .map(|bytes| Inventory::from_bytes(&bytes))
            .transpose();
        read.map_err(|error| {
            ApiError::StoreUnreadable(format!("inventory of {device_id}: {error}"))
        })
    }
}
