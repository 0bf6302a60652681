//! What the endpoint asks of the server: the only way from a request to devices, shards and store.
//!
//! Implemented by the server, and by a fake in the tests. Every answer is a small owned value. The server bounds each
//! question in time and in number; a question it does not answer is an [`ApiError`].

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use muster_engine::{Cohort, DeviceRecord, Facets, PolicySet, TenantIndex, Timestamp};
use muster_wire::{DeviceId, Identity, Inventory};
use serde::Serialize;

use crate::connections::ConnectionCounters;
use crate::error::ApiError;

/// An answer that takes a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// The server, as the endpoint sees it.
pub trait Backend: Debug + Send + Sync {
    /// What the server is doing, and whether that is well.
    fn readiness(&self) -> Readiness;

    /// The names of all tenants by index; also of those that are no longer configured.
    fn tenants(&self) -> &[String];

    /// The rules in force.
    fn policy(&self) -> &PolicySet;

    /// Every cell with devices in it, shard by shard: two shards may have the same cell.
    fn cells(&self) -> Answer<'_, Vec<Cell>>;

    /// One device with its inventory; `None` for an unknown device.
    fn device(&self, tenant: TenantIndex, device_id: DeviceId) -> Answer<'_, Option<Device>>;

    /// The oldest sessions, at most `limit`, and how many there are.
    fn sessions(&self, limit: usize) -> Sessions;

    /// Counts every device again from disk. One recount runs at a time.
    fn recount(&self) -> Answer<'_, Recount>;

    /// Copies the store into `directory`, which must be one that backups may be made in. Returns where the copy is.
    /// One backup runs at a time.
    fn back_up(&self, directory: PathBuf) -> Answer<'_, PathBuf>;

    /// The numbers of the whole server as OpenMetrics text.
    fn metrics(&self, endpoint: Arc<ConnectionCounters>) -> Answer<'_, String>;
}

/// What the server is doing, and whether that is well.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// The word for what it is doing.
    pub phase: &'static str,
    /// Whether it takes check-ins.
    pub is_serving: bool,
    /// Why nothing is acknowledged any more, if a write has failed.
    pub poisoned: Option<String>,
    /// The most devices by which an audit has found counters wrong since the start; must be 0.
    pub audit_drift: u64,
}

/// Devices that share tenant, cohort and facets.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Whose devices.
    pub tenant: TenantIndex,
    /// Their owner and tags.
    pub cohort: Cohort,
    /// Their facets.
    pub facets: Facets,
    /// How many.
    pub count: u64,
}

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its record.
    pub record: DeviceRecord,
    /// Its owner and tags.
    pub cohort: Cohort,
    /// Its facets.
    pub facets: Facets,
    /// What it last reported of itself.
    pub inventory: Option<Inventory>,
}

/// The sessions that are listed, and all that there are.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Oldest first.
    pub listed: Vec<Session>,
    /// How many there are, those that are not listed included.
    pub total: usize,
}

/// One connected device or gateway.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its number since the start.
    pub id: u64,
    /// Who it is.
    pub identity: Identity,
    /// From where.
    pub remote: SocketAddr,
    /// Since when.
    pub connected_at: Timestamp,
    /// Records read.
    pub records_received: u64,
    /// Records acknowledged as durable.
    pub records_acknowledged: u64,
    /// Frames read and not acknowledged.
    pub frames_in_flight: u64,
}

/// What a recount found, as API and CLI show it.
#[derive(Clone, Debug, Serialize)]
pub struct Recount {
    /// Whether every cell has the same number on both sides.
    pub verified: bool,
    /// Devices counted on disk.
    pub devices: u64,
    /// Cells counted on disk.
    pub cells: usize,
    /// Cells whose numbers differ.
    pub differing_cells: u64,
    /// The first of those.
    pub differences: Vec<Difference>,
}

/// A cell whose counter is not what is on disk.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Whose devices.
    pub tenant: String,
    /// Their facets.
    pub facets: u32,
    /// How many are on disk.
    pub counted_on_disk: u64,
    /// How many the counter says.
    pub counter: u64,
}
