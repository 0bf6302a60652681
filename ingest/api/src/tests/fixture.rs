//! The endpoint with a fake backend that returns constants or a given error.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use muster_control::{
    AccessRecord, Actor, Change, Command, ControlPlane, DeviceAction, Effect, Entry, Handling, Key,
    ObjectId, PinnedHead, Precondition, Refusal, Rights, Scope, Sight,
};
use muster_engine::{
    ColdRecord, Compliance, DeviceRecord, Facets, PolicySet, Revision, SensorState, SequenceReset,
    ShardId, SlotIndex, StaleDevice, TenantIndex, TenantPolicy, ThreatSetting, Threshold,
    Timestamp,
};
use muster_wire::{DeviceId, Flags, Inventory, ManagementAgent, Owner, Platform, Risk};
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    AccessCounters, Answer as Answering, Api, ApiError, AuditVerification, Backend, Caller, Cell,
    Changed, Changes, Clock, ClockMove, ClockStep, ConnectionCounters, DateQuery, Dated,
    DatedDevices, Device, DeviceChange, Difference, GraphOptions, LinkSecret, Matches, Position,
    Readiness, Recount, ServerNames, Session, Sessions, Timeouts, TooOld, router,
};

pub(super) const DEVICE: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// The id of every new object.
pub(super) const POLICY: &str = "7a0b1c2d-0000-4000-8000-0000000000aa";

/// A backend with two tenants, a device and three sessions.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) readiness: Readiness,
    /// The error of every fallible method.
    pub(super) failure: Option<fn() -> ApiError>,
    pub(super) policy: PolicySet,
    /// Whether it takes changes, which it carries out in memory.
    pub(super) takes_changes: bool,
    pub(super) control: Mutex<(ControlPlane, Vec<Entry>)>,
    /// Whether its device is removed.
    pub(super) removed: AtomicBool,
    /// The devices of the first tenant, by position.
    pub(super) fleet: Vec<Device>,
    /// What is counted.
    pub(super) cells: Vec<Cell>,
    pub(super) access_counters: AccessCounters,
    /// The feed of arrivals of the first tenant.
    pub(super) arrivals: Mutex<Vec<DeviceId>>,
    /// New names of devices.
    pub(super) renamed: Mutex<Vec<(DeviceId, String)>>,
}

/// The options of an API of this name, without issuers.
pub(crate) fn graph_options(name: &str) -> GraphOptions {
    GraphOptions {
        names: ServerNames {
            own: vec![name.to_owned()],
            default: name.to_owned(),
        },
        link_secret: LinkSecret([7; 32]),
        issuers: Arc::default(),
        name_bytes_max: 1 << 20,
    }
}

impl Default for Fake {
    fn default() -> Self {
        let mut strict = TenantPolicy::with_threshold(Threshold::Medium);
        strict.secure_by_default = true;
        strict.change_platform(Platform::Ios, |rules| rules.blocked_on_missing = true);
        Self {
            readiness: Readiness {
                phase: "serving",
                is_serving: true,
                poisoned: None,
                audit_drift: 0,
            },
            failure: None,
            policy: PolicySet::new(
                Revision(4),
                vec![TenantPolicy::with_threshold(Threshold::Medium), strict],
            ),
            takes_changes: true,
            control: Mutex::new(two_tenants()),
            removed: AtomicBool::new(false),
            fleet: vec![device()],
            cells: cells(),
            access_counters: AccessCounters::default(),
            arrivals: Mutex::default(),
            renamed: Mutex::default(),
        }
    }
}

impl Fake {
    /// The devices of the first tenant with their positions.
    fn placed(&self, tenant: TenantIndex) -> impl Iterator<Item = (Position, &Device)> {
        let fleet = self.fleet.iter().filter(move |_| tenant == TenantIndex(0));
        fleet.zip(0..).map(|(device, slot)| {
            let slot = SlotIndex(slot);
            let shard = ShardId(0);
            (Position { shard, slot }, device)
        })
    }

    /// Gives a device a new name.
    pub(super) fn rename(&self, device: DeviceId, name: &str) {
        let mut renamed = self.renamed.lock().unwrap();
        renamed.push((device, name.to_owned()));
    }

    /// A device with its current name.
    fn current(&self, device: &Device) -> Device {
        let mut device = device.clone();
        for (id, name) in &*self.renamed.lock().unwrap() {
            if let Some(inventory) = &mut device.inventory
                && *id == device.record.device_id
            {
                inventory.device_name.clone_from(name);
            }
        }
        device
    }

    /// Records what was done to a device.
    fn note(&self, caller: Caller, tenant: TenantIndex, device: DeviceId, action: DeviceAction) {
        let change = Change::Device { device, action };
        drop(self.change(caller, tenant, change));
    }

    fn answer<T: Send + 'static>(&self, answer: T) -> Answering<'_, T> {
        let answer = match self.failure {
            Some(failure) => Err(failure()),
            None => Ok(answer),
        };
        Box::pin(std::future::ready(answer))
    }
}

impl Backend for Fake {
    fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    fn policy(&self) -> Arc<PolicySet> {
        Arc::new(self.policy.clone())
    }

    fn control(&self) -> Arc<ControlPlane> {
        Arc::new(self.control.lock().unwrap().0.clone())
    }

    fn takes_changes(&self) -> bool {
        self.takes_changes
    }

    fn new_object_id(&self) -> ObjectId {
        POLICY.parse().unwrap()
    }

    fn change(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        change: Change,
    ) -> Answering<'_, Changed> {
        let command = Command {
            actor: caller.actor,
            address: caller.address,
            at: Timestamp::from_seconds(1_767_225_600),
            tenant,
            expected: caller.expected,
            rights: caller.rights,
            handling: caller.handling,
            change,
        };
        let mut control = self.control.lock().unwrap();
        let (plane, log) = &mut *control;
        let devices = match plane.decide(&command) {
            Ok(entry)
                if entry.key == Key::Tenant
                    && matches!(entry.effect, Effect::Deleted { .. })
                    && entry.tenant == TenantIndex(0) =>
            {
                let error = ApiError::TenantHasDevices { devices: 6 };
                return Box::pin(std::future::ready(Err(error)));
            }
            Ok(entry) if !unknown(&entry.effect).is_empty() => {
                let unknown = ApiError::UnknownDevices(unknown(&entry.effect));
                return Box::pin(std::future::ready(Err(unknown)));
            }
            Ok(entry) => {
                plane.apply(&entry).unwrap();
                log.push(entry);
                7
            }
            Err(Refusal::Unchanged) => 0,
            Err(refusal) => {
                return Box::pin(std::future::ready(Err(ApiError::Refused(refusal))));
            }
        };
        let control = Arc::new(plane.clone());
        self.answer(Changed { control, devices })
    }

    fn record(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        record: AccessRecord,
    ) -> Answering<'_, ()> {
        drop(self.change(caller, tenant, Change::Access(record)));
        self.answer(())
    }

    fn access_counters(&self) -> &AccessCounters {
        &self.access_counters
    }

    fn changes(
        &self,
        scope: Scope,
        before: Option<Revision>,
        limit: usize,
    ) -> Answering<'_, Changes> {
        let control = self.control.lock().unwrap();
        let is_listed = |entry: &&Entry| {
            let is_in_scope = match scope {
                Scope::Tenants => {
                    entry.key == Key::Tenant && !matches!(entry.effect, Effect::Access(_))
                }
                Scope::Tenant(tenant) => entry.tenant == tenant,
                Scope::Object(tenant, key) => (entry.tenant, entry.key) == (tenant, key),
            };
            is_in_scope && before.is_none_or(|before| entry.revision < before)
        };
        let all: Vec<Entry> = control.1.iter().rev().filter(is_listed).cloned().collect();
        if let Scope::Object(tenant, key) = scope
            && !matches!(key, Key::Device(_))
            && control.0.object(tenant, key).is_none()
            && !control.1.iter().any(|entry| entry.key == key)
        {
            let unknown = ApiError::Refused(Refusal::Unknown { key });
            return Box::pin(std::future::ready(Err(unknown)));
        }
        let has_more = all.len() > limit;
        let listed = all.into_iter().take(limit).collect();
        self.answer(Changes { listed, has_more })
    }

    fn verify_audit(&self, pin: Option<PinnedHead>) -> Answering<'_, AuditVerification> {
        let control = self.control.lock().unwrap();
        let chain = control.0.chain();
        let problem = pin.filter(|pin| *pin != chain.pin());
        self.answer(AuditVerification {
            verified: problem.is_none(),
            entries: chain.entries(),
            head: chain.pin().to_string(),
            problem: problem.map(|pin| format!("{pin} is not the head")),
        })
    }

    fn cells(&self, tenant: Option<TenantIndex>) -> Vec<Cell> {
        let cells = self.cells.iter().cloned();
        cells
            .filter(|cell| tenant.is_none_or(|tenant| tenant == cell.tenant))
            .collect()
    }

    fn cells_seen(&self, tenant: TenantIndex, sight: Sight) -> Answering<'_, Vec<Cell>> {
        let seen = self.placed(tenant).map(|(_, device)| device);
        let seen = seen.filter(|device| sight.has(&device.targets));
        let cells = seen.map(|device| Cell {
            tenant,
            facets: device.facets,
            count: 1,
        });
        self.answer(cells.collect())
    }

    fn scan(
        &self,
        tenant: TenantIndex,
        sight: Option<Sight>,
        from: Position,
        limit: usize,
        matches: Matches,
    ) -> Answering<'_, Vec<Position>> {
        let found = self
            .placed(tenant)
            .filter(|(_, device)| {
                sight
                    .as_ref()
                    .is_none_or(|sight| sight.has(&device.targets))
            })
            .filter(|(position, device)| *position >= from && matches(device.facets.word()));
        let found = found.map(|(position, _)| position);
        self.answer(found.take(limit).collect())
    }

    fn rows(
        &self,
        tenant: TenantIndex,
        positions: Vec<Position>,
    ) -> Answering<'_, Vec<(Position, Device)>> {
        let known = self.placed(tenant);
        let known = known.filter(|(position, _)| positions.contains(position));
        self.answer(
            known
                .map(|(position, device)| (position, self.current(device)))
                .collect(),
        )
    }

    fn devices_by_id(&self, tenant: TenantIndex, ids: Vec<DeviceId>) -> Answering<'_, Vec<Device>> {
        let known = self.placed(tenant);
        let known = known.filter(|(_, device)| ids.contains(&device.record.device_id));
        self.answer(known.map(|(_, device)| self.current(device)).collect())
    }

    fn matching(
        &self,
        tenant: TenantIndex,
        ids: Vec<DeviceId>,
        matches: Matches,
    ) -> Answering<'_, Vec<Device>> {
        let known: Vec<_> = self.placed(tenant).map(|(_, device)| device).collect();
        let found = ids.into_iter().filter_map(|id| {
            let mut known = known.iter();
            known.find(|device| device.record.device_id == id && matches(device.facets.word()))
        });
        let found: Vec<Device> = found.map(|device| self.current(device)).collect();
        self.answer(found)
    }

    fn by_date(&self, tenant: TenantIndex, query: DateQuery) -> Answering<'_, DatedDevices> {
        let mut found: Vec<_> = self
            .placed(tenant)
            .map(|(position, device)| Dated {
                key: query.key(&device.record, &device.cold),
                device_id: device.record.device_id,
                position,
            })
            .filter(|dated| query.wants(dated, None, 0))
            .filter(|dated| {
                (query.matches)(self.fleet[dated.position.slot.0 as usize].facets.word())
            })
            .collect();
        found.sort_unstable();
        let count = found.len() as u64;
        found.truncate(query.limit);
        let device = |dated: Dated| self.fleet[dated.position.slot.0 as usize].clone();
        self.answer(DatedDevices {
            first: found.into_iter().map(device).collect(),
            count,
        })
    }

    fn arrivals_head(&self, _: TenantIndex) -> u64 {
        self.arrivals.lock().unwrap().len() as u64
    }

    fn arrivals_since(
        &self,
        _: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld> {
        let arrivals = self.arrivals.lock().unwrap();
        let arrived = (0..).zip(arrivals.iter()).skip(position as usize);
        let arrived = arrived.map(|(position, device_id)| DeviceChange {
            position,
            device_id: *device_id,
            before: None,
            after: None,
            at: 0,
        });
        Ok(arrived.take(limit).collect())
    }

    fn changes_head(&self, _: TenantIndex) -> u64 {
        1
    }

    fn changes_since(
        &self,
        tenant: TenantIndex,
        position: u64,
        limit: usize,
    ) -> Result<Vec<DeviceChange>, TooOld> {
        let device = device();
        let change = DeviceChange {
            position: 0,
            device_id: device.record.device_id,
            before: None,
            after: Some(device.facets.word()),
            at: device.record.last_check_in,
        };
        match position {
            0 if tenant == TenantIndex(0) => Ok([change].into_iter().take(limit).collect()),
            1 => Ok(Vec::new()),
            _ => Err(TooOld),
        }
    }

    fn device(&self, tenant: TenantIndex, device_id: DeviceId) -> Answering<'_, Option<Device>> {
        let mut known = self.placed(tenant);
        let known = known.find(|(_, device)| device.record.device_id == device_id);
        self.answer(known.map(|(_, device)| device.clone()))
    }

    fn stale_devices(&self) -> Answering<'_, Vec<StaleDevice>> {
        let device = |number, since| StaleDevice {
            tenant: TenantIndex(number),
            device_id: DEVICE.parse().unwrap(),
            seq: 42,
            since,
        };
        self.answer(vec![device(0, 1_767_230_000), device(1, 1)])
    }

    fn reset_sequence(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answering<'_, Option<SequenceReset>> {
        let is_known = tenant == TenantIndex(0) && device_id == DEVICE.parse().unwrap();
        let numbers = SequenceReset {
            seq_before: u64::MAX,
            seq: 1_767_229_200_000,
            inventory_revision_before: 3,
            inventory_revision: 3,
        };
        if is_known {
            let action = DeviceAction::ResetSequence(numbers);
            self.note(caller, tenant, device_id, action);
        }
        self.answer(is_known.then_some(numbers))
    }

    fn remove_device(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answering<'_, Option<bool>> {
        let mut fleet = self.placed(tenant);
        let is_known = fleet.any(|(_, device)| device.record.device_id == device_id);
        let is_new = is_known && !self.removed.swap(true, Ordering::Relaxed);
        if is_new {
            self.note(caller, tenant, device_id, DeviceAction::Remove);
        }
        self.answer(is_known.then_some(is_new))
    }

    fn restore_device(
        &self,
        caller: Caller,
        tenant: TenantIndex,
        device_id: DeviceId,
    ) -> Answering<'_, Option<bool>> {
        let is_known = tenant == TenantIndex(0) && device_id == DEVICE.parse().unwrap();
        let was_removed = is_known && self.removed.swap(false, Ordering::Relaxed);
        if was_removed {
            self.note(caller, tenant, device_id, DeviceAction::Restore);
        }
        self.answer(is_known.then_some(was_removed))
    }

    fn sessions(&self, limit: usize) -> Sessions {
        Sessions {
            listed: (0..3).take(limit).map(session).collect(),
            total: 3,
        }
    }

    fn recount(&self) -> Answering<'_, Recount> {
        self.answer(Recount {
            verified: false,
            devices: 7,
            cells: 2,
            differing_cells: 1,
            differences: vec![Difference {
                tenant: "demo".to_owned(),
                facets: at_risk().word().0,
                counted_on_disk: 2,
                counter: 3,
            }],
            view_drift: 0,
        })
    }

    fn back_up(&self, directory: PathBuf) -> Answering<'_, PathBuf> {
        self.answer(PathBuf::from("/backups").join(directory))
    }

    fn clock(&self) -> Clock {
        Clock {
            time: Timestamp::from_seconds(1_767_225_600),
            wall: Timestamp::from_seconds(1_767_916_800),
            step: Some(ClockStep {
                ms: 691_200_000,
                follows_in_ms: 229_001,
            }),
        }
    }

    fn confirm_clock(&self) -> Result<ClockMove, ApiError> {
        if let Some(failure) = self.failure {
            return Err(failure());
        }
        let Clock { time, wall, .. } = self.clock();
        Ok(ClockMove {
            before: time,
            after: wall,
        })
    }

    fn metrics(&self, _: Arc<ConnectionCounters>) -> Answering<'_, String> {
        self.answer("# EOF\n".to_owned())
    }
}

/// The ids of the devices that may become members.
pub(super) fn known_devices() -> Vec<String> {
    let tail = &DEVICE[8..];
    let others = (1..8).map(|number| format!("{number:08x}{tail}"));
    std::iter::once(DEVICE.to_owned()).chain(others).collect()
}

/// The new members that do not exist.
fn unknown(effect: &Effect) -> Vec<DeviceId> {
    let Effect::MembersAdded(members) = effect else {
        return Vec::new();
    };
    let known = known_devices();
    let is_known = |member: &DeviceId| known.contains(&member.to_string());
    let unknown = members.iter().filter(|member| !is_known(member));
    unknown.copied().collect()
}

/// The tenants demo and other, which were created with the revisions 1 and 2.
pub(super) fn two_tenants() -> (ControlPlane, Vec<Entry>) {
    let mut plane = ControlPlane::default();
    let mut log = Vec::new();
    for name in ["demo", "other"] {
        let command = Command {
            actor: Actor::Local,
            address: None,
            at: Timestamp::from_seconds(1_767_225_600),
            tenant: TenantIndex(0),
            expected: Precondition::Nothing,
            rights: Rights::local(),
            handling: Handling::Strict,
            change: Change::Create {
                key: Key::Tenant,
                properties: [("name".to_owned(), name.into())].into_iter().collect(),
            },
        };
        let entry = plane.decide(&command).unwrap();
        plane.apply(&entry).unwrap();
        log.push(entry);
    }
    (plane, log)
}

/// The endpoint with a backend.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) router: Router,
}

/// A response of the endpoint.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn code(&self) -> String {
        let answer = self.json();
        assert!(
            answer["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{answer}"
        );
        answer["code"].as_str().unwrap().to_owned()
    }
}

impl Server {
    pub(super) fn new() -> Self {
        Self::over(Fake::default())
    }

    pub(super) fn over(backend: Fake) -> Self {
        let soon = Duration::from_millis(100);
        let api = Api {
            backend: Arc::new(backend),
            connections: Arc::default(),
            bound: IpAddr::V4(Ipv4Addr::LOCALHOST),
            timeouts: Timeouts {
                request: soon,
                response: soon,
            },
        };
        Self {
            router: router(Arc::new(api)),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path)).await
    }

    pub(super) async fn post(&self, path: &str, body: &'static str) -> Answer {
        self.send(request("POST", path).map(|_| body.into())).await
    }

    /// Sends a change with a body.
    pub(super) async fn change(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = Body::from(body.to_string());
        self.send(request(method, path).map(|_| body)).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        let text = String::from_utf8(text).unwrap();
        Answer {
            status: head.status,
            headers: head.headers,
            text,
        }
    }
}

pub(super) fn request(method: &str, path: &str) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:7441");
    request.body(Body::empty()).unwrap()
}

/// A registered Windows device at high risk under the threshold medium.
pub(super) fn at_risk() -> Facets {
    Facets {
        platform: Platform::Windows,
        management_agent: ManagementAgent::Mdm,
        onboarded: true,
        risk: Risk::High,
        sensor: SensorState::Active,
        compliance: Compliance::Noncompliant,
        threat_setting: ThreatSetting::NonCompliant,
        ..Facets::default()
    }
}

/// A cell of each tenant.
fn cells() -> Vec<Cell> {
    let many = Cell {
        tenant: TenantIndex(0),
        facets: at_risk(),
        count: 6,
    };
    let other = Cell {
        tenant: TenantIndex(1),
        facets: Facets::default(),
        count: 2,
    };
    vec![other, many]
}

pub(crate) fn device() -> Device {
    Device {
        record: DeviceRecord {
            device_id: DEVICE.parse().unwrap(),
            seq: 42,
            boot_id: 7,
            payload: 0xab,
            last_check_in: 1_767_229_200,
            last_contact: 1_767_229_200,
            last_telemetry: 1_767_229_200,
            last_full_report: 1_767_225_600,
            flags: Flags::SENSOR_RUNNING
                | Flags::COMMAND_AND_CONTROL_OK
                | Flags::TELEMETRY_OK
                | Flags::REGISTERED,
            ..DeviceRecord::default()
        },
        cold: ColdRecord {
            inventory_revision: 3,
            first_seen: 1_767_225_600,
            removed_at: 0,
            ..ColdRecord::default()
        },
        facets: at_risk(),
        stale_since: Some(1_767_230_000),
        targets: Vec::new(),
        inventory: Some(inventory()),
    }
}

fn inventory() -> Inventory {
    Inventory {
        device_id: DEVICE.parse().unwrap(),
        revision: 3,
        os_version: 0,
        owner: Owner::Company,
        device_name: "till 4".to_owned(),
        os_name: String::new(),
        model: String::new(),
        manufacturer: String::new(),
        serial_number: String::new(),
        user_principal_name: String::new(),
        tags: vec!["floor".to_owned()],
    }
}

fn session(id: u64) -> Session {
    Session {
        id,
        identity: "muster://demo/gateway/gw-1".parse().unwrap(),
        remote: loopback(),
        connected_at: Timestamp::from_seconds(1_767_225_600),
        records_received: 5,
        records_acknowledged: 4,
        frames_in_flight: 1,
    }
}

/// Any free port of the loopback address.
pub(super) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
