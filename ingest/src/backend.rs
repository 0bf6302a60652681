//! The backend of the operations endpoint.
//!
//! Runs on the ops runtime. It reads published atomics, queries shard threads over their control channels, and reads the store
//! on blocking threads. Bounded: every query has a deadline; one recount, one backup and one read of the store's
//! statistics run at a time. Routes and documents are in `muster-api`.

mod backup;
mod change;
mod dates;
mod device;
mod device_actions;
mod metrics;
mod recount;
mod shards;
mod verification;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam::channel::Sender;
use muster_api::{
    AccessCounters, Answer, ApiError, AuditVerification, Backend, Caller, Cell, Changed, Changes,
    Clock, ClockMove, ClockStep, ConnectionCounters, DateQuery, DatedDevices, Device, DeviceChange,
    IssuerCounters, Matches, Position, Readiness, Recount, Session, Sessions, TooOld,
};
use muster_control::{AccessRecord, Change, ControlPlane, ObjectId, PinnedHead, Scope, Sight};
use muster_engine::{PolicySet, Revision, SequenceReset, StaleDevice, TenantIndex, Timestamp};
use muster_store::Store;
use muster_wire::DeviceId;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

pub use self::change::new_object_id;
use crate::clock::steering::Followed;
use crate::clock::{ClockState, SteeredTime};
use crate::control_plane::ControlService;
use crate::metrics::Metrics;
use crate::net::{SessionInfo, SessionRegistry};
use crate::phase::{Phase, PhaseSwitch};
use crate::route::RouteTable;
use crate::shard::Control;
use crate::shard::writer::WriterReport;
use crate::view::View;

/// The state that the backend reads; created once by the server.
#[derive(Debug)]
pub(crate) struct Context {
    /// The phase of the server.
    pub(crate) phase: PhaseSwitch,
    /// Counters of the front door and its sessions.
    pub(crate) metrics: Arc<Metrics>,
    /// Open sessions.
    pub(crate) registry: Arc<SessionRegistry>,
    /// The thread map, and the depth of the inboxes.
    pub(crate) routes: Arc<RouteTable>,
    /// The control channels, by thread.
    pub(crate) controls: Vec<Sender<Control>>,
    /// The statistics that the writer last published.
    pub(crate) writer: Arc<Mutex<WriterReport>>,
    /// What queries about many devices are answered from.
    pub(crate) view: Arc<View>,
    /// The store: inventories, snapshots, statistics.
    pub(crate) store: Arc<Store>,
    /// Objects of tenants and the policy set that follows from them.
    pub(crate) control: Arc<ControlService>,
    /// Whether objects may be changed here.
    pub(crate) takes_changes: bool,
    /// The directory of backups; `None` disables them.
    pub(crate) backup_directory: Option<PathBuf>,
    /// When the process started.
    pub(crate) started_at: Timestamp,
    /// The memory bound of the configuration.
    pub(crate) memory_bound_bytes: u64,
    /// What is counted about the issuers of tokens.
    pub(crate) issuers: Arc<IssuerCounters>,
    /// The service time.
    pub(crate) clock: Arc<SteeredTime>,
}

/// Timeouts of waiting for shards and the store.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// For the answer to a request.
    answer: Duration,
    /// For a change: every shard evaluates all its devices.
    change: Duration,
    /// For the values of a scrape, which succeeds without them.
    scrape: Duration,
}

/// A commit takes milliseconds. If it takes seconds, the disk is stuck, and the response must say so.
const DEADLINES: Deadlines = Deadlines {
    answer: Duration::from_secs(5),
    change: Duration::from_secs(30),
    scrape: Duration::from_secs(2),
};

/// The backend of the running server.
#[derive(Debug)]
pub(crate) struct ServerBackend {
    context: Arc<Context>,
    deadlines: Deadlines,
    /// Locked during a recount: it takes the memory of some shards, so only one runs at a time.
    recounting: Arc<tokio::sync::Mutex<()>>,
    /// Locked during a backup: two would only compete for the disk.
    backing_up: Arc<tokio::sync::Mutex<()>>,
    /// What the API counts.
    access_counters: Arc<AccessCounters>,
    /// Locked during a verification of the control log: each reads all of it.
    verifying: Arc<tokio::sync::Mutex<()>>,
    /// Acquired to read the store's statistics: on a stuck disk, scrapes must not accumulate threads.
    reading_store: Arc<Semaphore>,
}

impl ServerBackend {
    pub(crate) fn new(context: Context) -> Self {
        Self::with_deadlines(context, DEADLINES)
    }

    fn with_deadlines(context: Context, deadlines: Deadlines) -> Self {
        Self {
            context: Arc::new(context),
            deadlines,
            recounting: Arc::default(),
            backing_up: Arc::default(),
            access_counters: Arc::default(),
            verifying: Arc::default(),
            reading_store: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Backend for ServerBackend {
    fn readiness(&self) -> Readiness {
        let phase = self.context.phase.get();
        let poisoned = self.context.store.health().poisoned();
        Readiness {
            phase: phase.name(),
            is_serving: phase == Phase::Serving,
            poisoned: poisoned
                .filter(|_| phase == Phase::Poisoned)
                .map(|reason| reason.as_str().to_owned()),
            audit_drift: self.context.metrics.audit_drift.get(),
        }
    }

    fn policy(&self) -> Arc<PolicySet> {
        self.context.control.policy()
    }

    fn control(&self) -> Arc<ControlPlane> {
        self.context.control.plane()
    }

    fn takes_changes(&self) -> bool {
        self.context.takes_changes
    }

    fn new_object_id(&self) -> ObjectId {
        new_object_id()
    }

    fn change(&self, caller: Caller, tenant: TenantIndex, change: Change) -> Answer<'_, Changed> {
        Box::pin(self.carry_out(caller, tenant, change))
    }

    fn record(&self, caller: Caller, tenant: TenantIndex, record: AccessRecord) -> Answer<'_, ()> {
        Box::pin(self.record_access(caller, tenant, record))
    }

    fn access_counters(&self) -> &AccessCounters {
        &self.access_counters
    }

    fn changes(&self, scope: Scope, before: Option<Revision>, limit: usize) -> Answer<'_, Changes> {
        Box::pin(self.list_changes(scope, before, limit))
    }

    fn verify_audit(&self, pin: Option<PinnedHead>) -> Answer<'_, AuditVerification> {
        Box::pin(self.verify(pin))
    }

    fn cells(&self, tenant: Option<TenantIndex>) -> Vec<Cell> {
        self.context.view.cells(tenant)
    }

    fn cells_seen(&self, tenant: TenantIndex, sight: Sight) -> Answer<'_, Vec<Cell>> {
        let view = Arc::clone(&self.context.view);
        let scan = spawn_blocking(move || view.cells_seen(tenant, &sight));
        Box::pin(async {
            scan.await
                .map_err(|error| ApiError::Internal(error.to_string()))
        })
    }

    fn scan(
        &self,
        tenant: TenantIndex,
        sight: Option<Sight>,
        from: Position,
        limit: usize,
        matches: Matches,
    ) -> Answer<'_, Vec<Position>> {
        let view = Arc::clone(&self.context.view);
        // Not on the ops runtime, which has one thread and other requests.
        let scan = spawn_blocking(move || view.scan(tenant, sight.as_ref(), from, limit, matches));
        Box::pin(async {
            scan.await
                .map_err(|error| ApiError::Internal(error.to_string()))
        })
    }

    fn rows(
        &self,
        tenant: TenantIndex,
        positions: Vec<Position>,
    ) -> Answer<'_, Vec<(Position, Device)>> {
        Box::pin(self.devices_at(tenant, positions))
    }

    fn devices_by_id(&self, tenant: TenantIndex, ids: Vec<DeviceId>) -> Answer<'_, Vec<Device>> {
        Box::pin(self.devices_with(tenant, ids))
    }

    fn matching(
        &self,
        tenant: TenantIndex,
        ids: Vec<DeviceId>,
        matches: Matches,
    ) -> Answer<'_, Vec<Device>> {
        Box::pin(self.devices_matching(tenant, ids, matches))
    }

    fn by_date(&self, tenant: TenantIndex, query: DateQuery) -> Answer<'_, DatedDevices> {
        Box::pin(self.first_by_date(tenant, query))
    }

    fn arrivals_head(&self, tenant: TenantIndex) -> u64 {
        self.context.view.arrivals_head(tenant)
    }

    fn arrivals_since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld> {
        self.context.view.arrivals_since(tenant, position, limit)
    }

    fn changes_head(&self, tenant: TenantIndex) -> u64 {
        self.context.view.changes_head(tenant)
    }

    fn changes_since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld> {
        self.context.view.changes_since(tenant, position, limit)
    }

    fn device(&self, tenant: TenantIndex, device_id: DeviceId) -> Answer<'_, Option<Device>> {
        Box::pin(self.find_device(tenant, device_id))
    }

    fn stale_devices(&self) -> Answer<'_, Vec<StaleDevice>> {
        Box::pin(async {
            let threads = self.query_all(Control::Stale).await?;
            Ok(threads.into_iter().flatten().collect())
        })
    }

    fn reset_sequence(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answer<'_, Option<SequenceReset>> {
        Box::pin(self.reset(caller, tenant, device_id))
    }

    fn remove_device(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answer<'_, Option<bool>> {
        Box::pin(self.remove(caller, tenant, device_id))
    }

    fn restore_device(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answer<'_, Option<bool>> {
        Box::pin(self.restore(caller, tenant, device_id))
    }

    fn sessions(&self, limit: usize) -> Sessions {
        let sessions = self.context.registry.list();
        Sessions {
            listed: sessions.iter().take(limit).map(|s| session(s)).collect(),
            total: sessions.len(),
        }
    }

    fn recount(&self) -> Answer<'_, Recount> {
        Box::pin(self.recount_shards())
    }

    fn back_up(&self, directory: PathBuf) -> Answer<'_, PathBuf> {
        Box::pin(async move { self.copy_store(&directory).await })
    }

    fn clock(&self) -> Clock {
        let ClockState { time, wall, step } = self.context.clock.state();
        Clock {
            time,
            wall,
            step: step.map(|step| ClockStep {
                ms: step.ms,
                follows_in_ms: step.follows_in_ms,
            }),
        }
    }

    fn confirm_clock(&self) -> Result<ClockMove, ApiError> {
        let followed = self.context.clock.confirm();
        let Followed { from, to } = followed.ok_or(ApiError::NoClockStep)?;
        Ok(ClockMove {
            before: from,
            after: to,
        })
    }

    fn metrics(&self, endpoint: Arc<ConnectionCounters>) -> Answer<'_, String> {
        Box::pin(self.scrape(endpoint))
    }
}

fn session(info: &SessionInfo) -> Session {
    Session {
        id: info.id,
        identity: info.identity.clone(),
        remote: info.remote,
        connected_at: info.connected_at,
        records_received: info.records_received.load(Ordering::Relaxed),
        records_acknowledged: info.records_acknowledged.load(Ordering::Relaxed),
        frames_in_flight: info.frames_in_flight.load(Ordering::Relaxed),
    }
}
