//! A server without a listener: an empty store, two fake shards with constant replies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;
use muster_control::{Actor, Change, Command, ControlPlane, Handling, Key, Precondition, Rights};
use muster_engine::{
    ColdRecord, DeviceRecord, Facets, PolicySet, ProfileId, Revision, Sequence, SequenceReset,
    ShardId, ShardMap, SlotIndex, TenantIndex, TenantPolicy, Threshold, Timestamp, Transition,
};
use muster_store::{Store, StoreConfig};
use muster_wire::DeviceId;
use tempfile::TempDir;

use crate::backend::{Context, Deadlines, ServerBackend};
use crate::clock::{self, SteeredTime};
use crate::control_plane::{Admission, ControlLog, ControlService};
use crate::metrics::{Metrics, latency_histogram};
use crate::net::{ServedTenants, SessionRegistry};
use crate::phase::{Phase, PhaseSwitch};
use crate::route::{BufferPool, RouteTable, ThreadMap, inbox};
use crate::shard::writer::WriterReport;
use crate::shard::{
    CellCount, Control, DatedSlice, DeviceKey, DeviceView, RecountPoint, ShardReport, ThreadReport,
};
use crate::view::View;

pub(super) const SHARDS: u16 = 2;

/// The indexes of the tenants demo and other, which were created with the revisions 1 and 2.
const TENANTS: [TenantIndex; 2] = [TenantIndex(0), TenantIndex(1)];

pub(super) const DEVICE: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// The behaviour of a fake shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    /// Replies to every query.
    Answers,
    /// Keeps queries without a reply: a stuck disk.
    Silent,
    /// Drops queries: a poisoned store.
    Drops,
    /// Its channel is full.
    Full,
    /// Has ended.
    Gone,
}

impl Conduct {
    /// Every way not to reply.
    pub(super) const WITHOUT_REPLY: [Self; 4] = [Self::Silent, Self::Drops, Self::Full, Self::Gone];
}

/// A backend with its fake shards.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) backend: ServerBackend,
    pub(super) served: Arc<ServedTenants>,
    /// Receivers of the full channels; the threads of the other shards own theirs.
    _full: Vec<Receiver<Control>>,
    _directory: TempDir,
}

impl Server {
    pub(super) fn new() -> Self {
        Self::with(&[Conduct::Answers; SHARDS as usize])
    }

    pub(super) fn with(conducts: &[Conduct]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig::new(directory.path()).with_shards(SHARDS);
        let store = Store::open(&config).unwrap();
        let (inboxes, _): (Vec<_>, Vec<_>) = conducts.iter().map(|_| inbox(4, 1)).unzip();
        let mut full = Vec::new();
        let controls = conducts.iter().enumerate().map(|(shard, conduct)| {
            let (control, questions) = bounded(2);
            start(shard, *conduct, &control, questions, &mut full);
            control
        });
        let controls: Vec<_> = controls.collect();
        let store = Arc::new(store);
        let shards = controls.clone();
        for name in ["demo", "other"] {
            create_tenant(&store, name);
        }
        let log = ControlLog::replay(&store).unwrap();
        let phase = PhaseSwitch::default();
        phase.advance(Phase::Serving);
        let routes = Arc::new(RouteTable {
            map: ThreadMap::new(ShardMap::new(SHARDS), conducts.len() as u16),
            inboxes: inboxes.into(),
            pool: BufferPool::new(1),
        });
        let served = ["demo", "other"].map(str::to_owned);
        let served = Arc::new(ServedTenants::new(served.into_iter().zip(TENANTS)));
        let admission = Admission {
            served: Arc::clone(&served),
            routes: Arc::clone(&routes),
            phase: phase.clone(),
            tenants_max: 3,
        };
        let control = ControlService::new(Arc::clone(&store), shards, log, policy(), admission);
        let context = Context {
            phase,
            metrics: Arc::new(Metrics::default()),
            registry: Arc::new(SessionRegistry::default()),
            controls,
            routes,
            writer: Arc::new(Mutex::new(WriterReport::default())),
            view: Arc::new(view()),
            store,
            control: Arc::new(control),
            takes_changes: true,
            backup_directory: None,
            started_at: Timestamp::from_seconds(1_767_225_600),
            memory_bound_bytes: 1 << 30,
            issuers: Arc::default(),
            clock: Arc::new(SteeredTime::start(None, 0)),
        };
        let soon = Duration::from_millis(100);
        let deadlines = Deadlines {
            answer: soon,
            change: soon,
            scrape: soon,
        };
        Self {
            backend: ServerBackend::with_deadlines(context, deadlines),
            served,
            _full: full,
            _directory: directory,
        }
    }

    /// The text of a scrape.
    pub(super) async fn scrape(&self) -> String {
        self.backend.scrape(Arc::default()).await.unwrap()
    }
}

fn start(
    shard: usize,
    conduct: Conduct,
    control: &Sender<Control>,
    questions: Receiver<Control>,
    full: &mut Vec<Receiver<Control>>,
) {
    match conduct {
        Conduct::Gone => drop(questions),
        Conduct::Full => {
            while control.try_send(Control::Drain).is_ok() {}
            full.push(questions);
        }
        _ => drop(std::thread::spawn(move || run(shard, conduct, &questions))),
    }
}

/// Ends when the backend, which owns the sender, is dropped.
fn run(shard: usize, conduct: Conduct, questions: &Receiver<Control>) {
    let mut kept = Vec::new();
    for control in questions {
        match conduct {
            Conduct::Answers => answer(shard, control),
            Conduct::Silent => kept.push(control),
            _ => drop(control),
        }
    }
}

fn answer(shard: usize, control: Control) {
    match control {
        Control::Device {
            tenant,
            device_id,
            reply,
        } => {
            let known = tenant == TenantIndex(0) && device_id == self::device_id();
            drop(reply.send(known.then(|| Box::new(device()))));
        }
        Control::Devices {
            tenant,
            keys,
            reply,
        } => {
            let known = |key: &DeviceKey| match key {
                DeviceKey::Id(id) => tenant == TenantIndex(0) && *id == device_id(),
                // Every slot has a device.
                DeviceKey::At(position) => usize::from(position.shard) == shard,
            };
            let keys = keys.iter().enumerate().filter(|(_, key)| known(key));
            let found = keys.map(|(index, key)| {
                let mut found = device();
                if let DeviceKey::At(position) = key {
                    found.record.seq = position.slot.0.into();
                }
                (index, found)
            });
            drop(reply.send(found.collect()));
        }
        Control::Unknown {
            tenant,
            mut devices,
            reply,
        } => {
            let known = |device: &DeviceId| tenant == TenantIndex(0) && *device == device_id();
            devices.retain(|device| !known(device));
            drop(reply.send(devices));
        }
        Control::Dated { reply, .. } => drop(reply.send(DatedSlice::default())),
        Control::Stale(reply) => drop(reply.send(Vec::new())),
        Control::ResetSequence {
            tenant,
            device_id,
            reply,
        } => {
            let known = tenant == TenantIndex(0) && device_id == self::device_id();
            let _ = reply.send(known.then_some(RESET));
        }
        Control::Targets { reply, .. } => drop(reply.send(0)),
        Control::Remove {
            tenant,
            device_id,
            reply,
        } => {
            let known = tenant == TenantIndex(0) && device_id == self::device_id();
            let _ = reply.send(known.then_some(true));
        }
        // As if every device was never removed.
        Control::Restore { reply, .. } => drop(reply.send(Some(false))),
        Control::Report(reply) => drop(reply.send(Box::new(report(shard)))),
        Control::Recount(reply) => {
            let (release, released) = bounded(1);
            // The store is empty, so the counters of shard 0 match it, but not the view, and those of shard 1 match the
            // view only.
            let cells = if shard == 0 { Vec::new() } else { cells(shard) };
            drop(reply.send(RecountPoint { cells, release }));

            let _ = released.recv();
        }
        Control::Tick(reply) => reply.send(()).unwrap_or_default(),
        Control::Policy { reply, .. } => drop(reply.map(|reply| reply.send(1 + shard as u32))),
        Control::Drain => (),
    }
}

/// Appends the creation of a tenant to the control log.
fn create_tenant(store: &Store, name: &str) {
    let mut plane = ControlPlane::clone(&ControlLog::replay(store).unwrap().plane);
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
    let appended = store.append_control(entry.revision, &plane.stored(&entry), None);
    appended.unwrap();
}

/// The policy set of two tenants without a change.
fn policy() -> Arc<PolicySet> {
    let tenants = vec![TenantPolicy::with_threshold(Threshold::Medium); 2];
    Arc::new(PolicySet::new(Revision::default(), tenants))
}

/// The answer to a reset of the known device.
pub(super) const RESET: SequenceReset = SequenceReset {
    seq_before: u64::MAX,
    seq: 7,
    inventory_revision_before: 3,
    inventory_revision: 3,
};

pub(super) fn device_id() -> DeviceId {
    DEVICE.parse().unwrap()
}

/// A view of the devices of [`cells`] of both shards, as they became durable.
fn view() -> View {
    let view = View::new(SHARDS, [], Timestamp::from_seconds(1_767_225_600));
    for shard in 0..SHARDS {
        let devices = cells(shard.into()).into_iter().flat_map(|cell| {
            let facets = cell.facets.word();
            (0..cell.count).map(move |_| (cell.tenant, facets))
        });
        let transitions = (0..)
            .zip(devices)
            .map(|(slot, (tenant, facets))| Transition {
                slot: SlotIndex(slot),
                device_id: device_id(),
                tenant,
                before: None,
                after: Some(facets),
                profile: ProfileId::default(),
                has_new_inventory: false,
            });
        let transitions: Vec<_> = transitions.collect();
        view.apply(ShardId(shard), &transitions, &[], Timestamp::default());
    }
    view
}

/// Both shards have one cell in common; shard 1 has another one, of the other tenant.
fn cells(shard: usize) -> Vec<CellCount> {
    let mut cells = vec![CellCount {
        tenant: TenantIndex(0),
        facets: Facets::default(),
        count: 3,
    }];
    if shard == 1 {
        cells.push(CellCount {
            tenant: TenantIndex(1),
            facets: Facets::default(),
            count: 2,
        });
    }
    cells
}

fn device() -> DeviceView {
    DeviceView {
        record: DeviceRecord {
            device_id: device_id(),
            seq: 42,
            ..DeviceRecord::default()
        },
        cold: ColdRecord::default(),
        facets: Facets::default(),
        stale_since: None,
        targets: Vec::new(),
    }
}

fn report(shard: usize) -> ThreadReport {
    let mut latencies = latency_histogram();
    latencies.record(1_500_000).unwrap();
    let mut batch_check_ins = Histogram::new_with_max(1 << 24, 2).unwrap();
    batch_check_ins.record(100).unwrap();
    ThreadReport {
        shards: vec![ShardReport {
            shard: ShardId(shard as u16),
            devices: 5 + shard as u32,
            removed: 1,
            slots: 8192,
            policy_pass: None,
            cells: vec![2, shard as u32],
            sequence: Sequence(9),
            revision: Revision(4),
        }],
        transitions: 6,
        batches: 8,
        checkpoints: 1,
        audit_rounds: 3,
        audit_devices: 15,
        audit_took: Duration::from_millis(2),
        audit_round_at: clock::stamp(),
        decode_to_inbox: latencies.clone(),
        inbox_to_apply: latencies,
        batch_check_ins,
    }
}
