//! A server without a front door: an empty store, two shards that answer from constants.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use crossbeam::channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;
use muster_engine::{
    Cohort, Compliance, DeviceRecord, Facets, PolicySet, Revision, SensorState, Sequence, ShardMap,
    TenantIndex, TenantPolicy, ThreatSetting, Timestamp,
};
use muster_store::{Store, StoreConfig};
use muster_wire::{DeviceId, Flags, ManagementAgent, Owner, Platform, Risk};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::clock;
use crate::metrics::{Metrics, latency_histogram};
use crate::net::SessionRegistry;
use crate::ops::{Deadlines, Ops, OpsContext, router};
use crate::phase::{Phase, PhaseSwitch};
use crate::route::{BufferPool, RouteTable, inbox};
use crate::shard::writer::WriterReport;
use crate::shard::{CellCount, Control, DeviceView, RecountPoint, ShardReport};

pub(super) const SHARDS: u16 = 2;
pub(super) const DEVICE: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// How a shard behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conduct {
    /// Answers everything.
    Answers,
    /// Keeps questions and says nothing: a stuck disk.
    Silent,
    /// Drops questions: a poisoned store.
    Drops,
    /// Takes no question.
    Full,
    /// Has ended.
    Gone,
}

/// The endpoint and what stands behind it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) context: Arc<OpsContext>,
    /// The ends of channels that are full; other shards have taken theirs along.
    _full: Vec<Receiver<Control>>,
    _directory: TempDir,
}

/// An answer of the endpoint.
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
        let phase = PhaseSwitch::default();
        phase.advance(Phase::Serving);
        let context = Arc::new(OpsContext {
            phase,
            metrics: Arc::new(Metrics::default()),
            registry: Arc::new(SessionRegistry::default()),
            controls: controls.collect(),
            routes: Arc::new(RouteTable {
                map: ShardMap::new(conducts.len() as u16),
                inboxes: inboxes.into(),
                pool: BufferPool::new(1),
            }),
            writer: Arc::new(Mutex::new(WriterReport::default())),
            store: Arc::new(store),
            policy: Arc::new(policy()),
            backup_directory: None,
            tenants: vec!["demo".to_owned(), "other".to_owned()],
            started_at: Timestamp::from_seconds(1_767_225_600),
            memory_bound_bytes: 1 << 30,
        });
        let soon = Duration::from_millis(100);
        let deadlines = Deadlines {
            request: soon,
            taking: soon,
            answer: soon,
            scrape: soon,
        };
        let bound = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let router = router(Arc::new(Ops::new(Arc::clone(&context), bound, deadlines)));
        Self {
            router,
            context,
            _full: full,
            _directory: directory,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path)).await
    }

    pub(super) async fn post(&self, path: &str) -> Answer {
        self.send(request("POST", path)).await
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

/// Ends with the endpoint, which holds the other end of the channel.
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
        Control::Cells(reply) => drop(reply.send(cells(shard))),
        Control::Device {
            tenant,
            device_id,
            reply,
        } => {
            let known = tenant == TenantIndex(0) && device_id == self::device_id();
            drop(reply.send(known.then(|| Box::new(device()))));
        }
        Control::Report(reply) => drop(reply.send(Box::new(report(shard)))),
        Control::Recount(reply) => {
            let (release, released) = bounded(1);
            // The store is empty, so shard 0 agrees with it and shard 1 does not.
            let cells = if shard == 0 { Vec::new() } else { cells(shard) };
            drop(reply.send(RecountPoint {
                sequence: Sequence(0),
                cells,
                release,
            }));
            let _ = released.recv();
        }
        Control::Policy(_) | Control::Drain => (),
    }
}

pub(super) fn device_id() -> DeviceId {
    DEVICE.parse().unwrap()
}

/// A registered Windows device at high risk under the threshold medium.
pub(super) fn at_risk() -> Facets {
    Facets {
        platform: Platform::Windows,
        management_agent: ManagementAgent::Mdm,
        onboarded: true,
        ever_onboarded: true,
        risk: Risk::High,
        registered: true,
        sensor: SensorState::Active,
        compliance: Compliance::Noncompliant,
        threat_setting: ThreatSetting::NonCompliant,
        ..Facets::default()
    }
}

/// Both shards have a cell in common; shard 1 has one of the other tenant too.
fn cells(shard: usize) -> Vec<CellCount> {
    let cohort = Cohort::new(Owner::Company, ["floor".to_owned()]);
    let mut cells = vec![CellCount {
        tenant: TenantIndex(0),
        cohort,
        facets: at_risk(),
        count: 3,
    }];
    if shard == 1 {
        let (cohort, facets) = (Cohort::default(), Facets::default());
        cells.push(CellCount {
            tenant: TenantIndex(1),
            cohort,
            facets,
            count: 2,
        });
    }
    cells
}

fn device() -> DeviceView {
    let record = DeviceRecord {
        device_id: device_id(),
        seq: 42,
        boot_id: 7,
        payload: 0xab,
        first_seen: 1_767_225_600,
        last_check_in: 1_767_229_200,
        last_contact: 1_767_229_200,
        last_telemetry: 1_767_229_200,
        flags: Flags::SENSOR_RUNNING.union(Flags::REGISTERED),
        ..DeviceRecord::default()
    };
    let cohort = Cohort::new(Owner::Company, ["floor".to_owned()]);
    DeviceView {
        record,
        cohort,
        facets: at_risk(),
    }
}

fn report(shard: usize) -> ShardReport {
    let mut latencies = latency_histogram();
    latencies.record(1_500_000).unwrap();
    let mut batch_check_ins = Histogram::new_with_max(1 << 24, 2).unwrap();
    batch_check_ins.record(100).unwrap();
    ShardReport {
        devices: 5 + shard as u32,
        cells: 2,
        sequence: Sequence(9),
        revision: Revision(4),
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

fn policy() -> PolicySet {
    let mut strict = TenantPolicy::default();
    strict.secure_by_default = true;
    strict.set_blocked_on_missing(Platform::Ios, true);
    PolicySet::new(Revision(4), vec![TenantPolicy::default(), strict])
}

/// Any free port of the loopback address.
pub(super) fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}
