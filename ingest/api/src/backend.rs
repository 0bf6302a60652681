//! What the endpoint requires of the server: the only path from a request to devices, shards and store.
//!
//! Implemented by the server, and by a fake in the tests. Every answer is an owned value. The implementation bounds the
//! duration and the number of concurrent queries, and returns an [`ApiError`] otherwise.

mod caller;
mod dates;
mod feed;

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use muster_control::{
    AccessRecord, Change, ControlPlane, Entry, ObjectId, PinnedHead, Scope, Sight,
};
use muster_engine::{
    ColdRecord, DeviceRecord, FacetWord, Facets, PolicySet, Revision, SequenceReset, ShardId,
    SlotIndex, StaleDevice, TargetId, TenantIndex, Timestamp,
};
use muster_wire::{DeviceId, Identity, Inventory};
use serde::Serialize;

use crate::access_counters::AccessCounters;
use crate::connections::ConnectionCounters;
use crate::error::ApiError;

pub use self::caller::Caller;
pub use dates::{Date, DateQuery, Dated, DatedDevices};
pub use feed::{DeviceChange, TooOld};

/// A future with the answer of the server.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// The server, as the endpoint sees it.
pub trait Backend: Debug + Send + Sync {
    /// The readiness of the server.
    fn readiness(&self) -> Readiness;

    /// The policy set in force.
    fn policy(&self) -> Arc<PolicySet>;

    /// The objects of all tenants as of the last change that is durable.
    fn control(&self) -> Arc<ControlPlane>;

    /// Whether the configuration allows changes through this endpoint, which has no authentication.
    fn takes_changes(&self) -> bool;

    /// An id that no object has.
    fn new_object_id(&self) -> ObjectId;

    /// Carries out a change. It is durable and in force in every shard when this returns. Changes run one at a time.
    /// Devices that become members of a group must exist, and a tenant that is deleted may have no devices. The tenant
    /// is ignored if the change creates one.
    fn change(&self, caller: Caller, tenant: TenantIndex, change: Change) -> Answer<'_, Changed>;

    /// Appends the record of an access to the control log. It is durable when this returns, and does not wait for a
    /// change to be in force.
    fn record(&self, caller: Caller, tenant: TenantIndex, record: AccessRecord) -> Answer<'_, ()>;

    /// What the API counts of refused requests and unrecorded accesses.
    fn access_counters(&self) -> &AccessCounters;

    /// The newest changes, newest first, at most `limit`; only those before a revision if one is given. An object or
    /// device that never existed is refused.
    fn changes(&self, scope: Scope, before: Option<Revision>, limit: usize) -> Answer<'_, Changes>;

    /// Compares the whole control log on disk with its hash chain, with what the server has in memory, and with a pin
    /// if there is one. One verification runs at a time.
    fn verify_audit(&self, pin: Option<PinnedHead>) -> Answer<'_, AuditVerification>;

    /// The cells of one tenant or of all, each once, in no order: the counts of everything that is acknowledged.
    fn cells(&self, tenant: Option<TenantIndex>) -> Vec<Cell>;

    /// The cells of the devices of a tenant that are seen, each once, in no order. The cost is that of a scan.
    fn cells_seen(&self, tenant: TenantIndex, sight: Sight) -> Answer<'_, Vec<Cell>>;

    /// The positions of the devices of a tenant that are seen (`None`: all) and whose facets match, in ascending order
    /// from `from` on, at most `limit`.
    /// The next page is from [`Position::next`] of the last one on: a device keeps its position for life, so pages
    /// neither repeat nor miss one that matches all the time. The cost is that of a scan of all devices, about 2 ms per
    /// million, if few of them match.
    fn scan(
        &self,
        tenant: TenantIndex,
        sight: Option<Sight>,
        from: Position,
        limit: usize,
        matches: Matches,
    ) -> Answer<'_, Vec<Position>>;

    /// The devices at these positions, at most [`ROWS_MAX`], in their order, with their inventories. Those that are
    /// gone, removed or of another tenant are left out; those that are listed may have changed since the scan.
    fn rows(
        &self,
        tenant: TenantIndex,
        positions: Vec<Position>,
    ) -> Answer<'_, Vec<(Position, Device)>>;

    /// The devices with these ids, at most [`ROWS_MAX`], in their order, with their inventories. Unknown ones are left
    /// out.
    fn devices_by_id(&self, tenant: TenantIndex, ids: Vec<DeviceId>) -> Answer<'_, Vec<Device>>;

    /// The devices with these ids whose facets match, at most [`ROWS_MAX`], in their order, with their inventories. Unknown
    /// and removed ones are left out. Of those that do not match, no inventory is read.
    fn matching(
        &self,
        tenant: TenantIndex,
        ids: Vec<DeviceId>,
        matches: Matches,
    ) -> Answer<'_, Vec<Device>>;

    /// The devices of a tenant that come first by a date of their records. The cost is that of a pass over all records of
    /// the server on their shard threads, about 8 ms per million, in slices between check-ins.
    fn by_date(&self, tenant: TenantIndex, query: DateQuery) -> Answer<'_, DatedDevices>;

    /// The position that the next arrival of a device of this tenant will have.
    fn arrivals_head(&self, tenant: TenantIndex) -> u64;

    /// Up to `limit` arrivals of devices of a tenant from a position on: those that are new or restored, or have a new
    /// inventory. A part of [`Backend::changes_since`] that other changes do not evict, with positions of its own.
    ///
    /// # Errors
    /// The feed no longer has that position.
    fn arrivals_since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld>;

    /// The position that the next change of a device of this tenant will have.
    fn changes_head(&self, tenant: TenantIndex) -> u64;

    /// Up to `limit` changes of devices of a tenant from a position on, in the order in which they became durable.
    ///
    /// # Errors
    /// The feed no longer has that position, or it is from an earlier run of the server.
    fn changes_since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld>;

    /// One device with its inventory; `None` for an unknown device.
    fn device(&self, tenant: TenantIndex, device_id: DeviceId) -> Answer<'_, Option<Device>>;

    /// The devices whose check-ins are stale, as far as the server remembers them.
    fn stale_devices(&self) -> Answer<'_, Vec<StaleDevice>>;

    /// Resets the numbers of a device to the clock; `None` for an unknown device. The reset and the entry about it are
    /// durable when this returns.
    fn reset_sequence(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answer<'_, Option<SequenceReset>>;

    /// Removes a device, which is no longer counted and whose check-ins are rejected. Returns whether it was not removed
    /// before; `None` for an unknown device. The removal and the entry about it are durable when this returns.
    fn remove_device(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answer<'_, Option<bool>>;

    /// Restores a removed device. Returns whether it was removed; `None` for an unknown device. The restoration and the
    /// entry about it are durable when this returns.
    fn restore_device(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answer<'_, Option<bool>>;

    /// The oldest sessions, at most `limit`, and the number of all sessions.
    fn sessions(&self, limit: usize) -> Sessions;

    /// Recounts every device from disk. One recount runs at a time.
    fn recount(&self) -> Answer<'_, Recount>;

    /// Backs up the store to `directory`, which must be in the directory for backups. Returns the path of the backup.
    /// One backup runs at a time.
    fn back_up(&self, directory: PathBuf) -> Answer<'_, PathBuf>;

    /// The service time.
    fn clock(&self) -> Clock;

    /// Lets the service time follow the step of the wall clock at once.
    ///
    /// # Errors
    /// No step is pending.
    fn confirm_clock(&self) -> Result<ClockMove, ApiError>;

    /// The numbers of the whole server as OpenMetrics text.
    fn metrics(&self, endpoint: Arc<ConnectionCounters>) -> Answer<'_, String>;
}

/// The result of a change.
#[derive(Clone, Debug)]
pub struct Changed {
    /// All objects as of the change.
    pub control: Arc<ControlPlane>,
    /// Number of devices whose state changed.
    pub devices: u64,
}

/// A part of the changes of a tenant.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Newest first.
    pub listed: Vec<Entry>,
    /// Whether older ones exist.
    pub has_more: bool,
}

/// The readiness of the server.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// The name of its phase.
    pub phase: &'static str,
    /// Whether it accepts check-ins.
    pub is_serving: bool,
    /// The reason why the store is poisoned, if it is.
    pub poisoned: Option<String>,
    /// Maximum drift that an audit has found since the start, in devices; must be 0.
    pub audit_drift: u64,
}

/// Maximum number of devices that [`Backend::rows`], [`Backend::devices_by_id`] and [`Backend::matching`] look up at once:
/// their shard threads answer in one batch, beside check-ins.
pub const ROWS_MAX: usize = 1_000;

/// Whether a device with these facets is wanted. Called for every device that is scanned.
pub type Matches = Box<dyn Fn(FacetWord) -> bool + Send + Sync>;

/// Where a device is, for as long as it exists; lists are in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Its shard.
    pub shard: ShardId,
    /// Its slot there.
    pub slot: SlotIndex,
}

impl Position {
    /// The first position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self.slot.0.checked_add(1) {
            Some(slot) => Self {
                slot: SlotIndex(slot),
                ..self
            },
            None => Self {
                shard: ShardId(self.shard.0.saturating_add(1)),
                slot: SlotIndex(0),
            },
        }
    }
}

/// Devices that share tenant and facets.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The tenant of the devices.
    pub tenant: TenantIndex,
    /// Their facets.
    pub facets: Facets,
    /// Number of devices.
    pub count: u64,
}

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its record.
    pub record: DeviceRecord,
    /// Its cold record.
    pub cold: ColdRecord,
    /// Its facets.
    pub facets: Facets,
    /// Since when its check-ins are stale, in seconds; `None` if its last one was accepted.
    pub stale_since: Option<u32>,
    /// What it is a member of, as policies see it.
    pub targets: Vec<TargetId>,
    /// Its last accepted inventory.
    pub inventory: Option<Inventory>,
}

/// The service time, and the wall clock that it follows.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The service time: what devices are evaluated and stamped by.
    pub time: Timestamp,
    /// The wall clock of the machine.
    pub wall: Timestamp,
    /// The step of the wall clock that the service time has not followed yet.
    pub step: Option<ClockStep>,
}

/// A step of the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct ClockStep {
    /// The wall clock minus the service time, in milliseconds.
    pub ms: i64,
    /// How long it must still last until the service time follows it, in milliseconds.
    pub follows_in_ms: u64,
}

/// The service time before and after it followed a step.
#[derive(Clone, Copy, Debug)]
pub struct ClockMove {
    /// Before.
    pub before: Timestamp,
    /// After.
    pub after: Timestamp,
}

/// A limited list of sessions, and their total number.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// The listed sessions, oldest first.
    pub listed: Vec<Session>,
    /// Number of all sessions.
    pub total: usize,
}

/// The session of one device or gateway.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its number, counted since the server started.
    pub id: u64,
    /// The identity of the client.
    pub identity: Identity,
    /// The address of the client.
    pub remote: SocketAddr,
    /// When the session opened.
    pub connected_at: Timestamp,
    /// Records read.
    pub records_received: u64,
    /// Records acknowledged as durable.
    pub records_acknowledged: u64,
    /// Frames read and not acknowledged.
    pub frames_in_flight: u64,
}

/// The result of a recount, as API and CLI show it.
#[derive(Clone, Debug, Serialize)]
pub struct Recount {
    /// Whether all counters match the devices on disk, and the view matches the counters.
    pub verified: bool,
    /// Devices counted on disk.
    pub devices: u64,
    /// Cells counted on disk.
    pub cells: usize,
    /// Number of cells that differ.
    pub differing_cells: u64,
    /// The first of these cells.
    pub differences: Vec<Difference>,
    /// Devices by which the counts and columns that queries are answered from differ from the counters; 0 offline.
    pub view_drift: u64,
}

/// The result of a verification of the control log, as API and CLI show it.
#[derive(Clone, Debug, Serialize)]
pub struct AuditVerification {
    /// Whether the log is what was written, as far as its hash chain and the pin can tell.
    pub verified: bool,
    /// Number of entries that were verified; those before the problem, if there is one.
    pub entries: u64,
    /// The revision and the hash of the last of them, to be kept as a pin.
    pub head: String,
    /// What is wrong, with the revision.
    pub problem: Option<String>,
}

/// A cell whose counter differs from the devices on disk.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The tenant of the devices.
    pub tenant: String,
    /// Their facets.
    pub facets: u64,
    /// Number of devices on disk.
    pub counted_on_disk: u64,
    /// Value of the counter.
    pub counter: u64,
}
