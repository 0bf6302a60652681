//! A server that combines the client's scripted server with the engine's model, and answers the operators' requests
//! from the model.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use muster_client::testing::{Action, FakeServer, Outcome, ReceivedFrame, Script, TestPki};
use muster_engine::{
    Counts, PolicySet, Revision, TenantIndex, TenantPolicy, Threshold, Timestamp,
    model::{Answer, Model},
};
use muster_wire::{CheckInRecord, FrameKind, Inventory};
use serde_json::{Map, Value, json};

/// The tenants, with the same rules.
const TENANTS: [&str; 2] = ["demo", "loud"];

const NOW: Timestamp = Timestamp::from_seconds(1_750_000_000);

/// What is wrong with the server's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InjectedFault {
    /// Nothing.
    None,
    /// One cell has one device too many.
    ExtraDevice,
}

pub(crate) struct ModelServer {
    directory: tempfile::TempDir,
    server: FakeServer,
    ops: SocketAddr,
    /// Runs the server's tasks. The last field, so that it is dropped last.
    _runtime: tokio::runtime::Runtime,
}

impl ModelServer {
    /// Starts a server; the directory has certificates of gateways and of three devices.
    pub(crate) fn start(actions: &[Action], fault: InjectedFault) -> Self {
        let pki = TestPki::new();
        let directory = tempfile::tempdir().expect("a directory can be made");
        let write = |name: &str, text: &str| {
            fs::write(directory.path().join(name), text).expect("files can be written");
        };
        write("ca.pem", pki.ca_pem());
        for name in ["one", "two"] {
            write(
                &format!("{name}.pem"),
                &pki.identity(&format!("muster://demo/gateway/{name}")),
            );
        }
        write("loud.pem", &pki.identity("muster://loud/gateway/one"));
        for number in 1..=3 {
            let device = format!("00000000-0000-4000-8000-00000000000{number}");
            let identity = pki.identity(&format!("muster://demo/device/{device}"));
            write(&format!("{device}.pem"), &identity);
        }

        let model = Arc::new(Mutex::new(Model::default()));
        let shared = Arc::clone(&model);
        let outcome = Arc::new(move |frame: &ReceivedFrame| evaluate(frame, &shared));
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        let server = {
            let _context = runtime.enter();
            FakeServer::start(
                &pki,
                Script {
                    outcome,
                    ..Script::new(actions)
                },
            )
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let ops = listener.local_addr().expect("it is bound");
        // Ends with the process; nextest runs each test in its own process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.expect("a connection"), &model, fault);
            }
        });
        Self {
            directory,
            server,
            ops,
            _runtime: runtime,
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn ops(&self) -> String {
        format!("http://{}", self.ops)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.directory().join("ca.pem")
    }
}

fn policy() -> PolicySet {
    PolicySet::new(
        Revision(1),
        vec![TenantPolicy::with_threshold(Threshold::Medium); TENANTS.len()],
    )
}

/// The tenant in the client's certificate.
fn tenant_of(frame: &ReceivedFrame) -> TenantIndex {
    let is_in_certificate = |tenant: &str| {
        let uri = format!("muster://{tenant}/");
        let mut windows = frame.certificate.windows(uri.len());
        windows.any(|bytes| bytes == uri.as_bytes())
    };
    let index = TENANTS.iter().position(|tenant| is_in_certificate(tenant));
    TenantIndex(index.expect("a tenant with a certificate") as u16)
}

fn evaluate(frame: &ReceivedFrame, model: &Mutex<Model>) -> Outcome {
    let mut model = model.lock().unwrap_or_else(PoisonError::into_inner);
    let policy = policy();
    let mut outcome = Outcome::default();
    let mut count = |answer| match answer {
        Answer::Accepted => outcome.accepted += 1,
        Answer::Duplicate => outcome.duplicate += 1,
        Answer::Stale => outcome.stale += 1,
        Answer::SeqAhead => panic!("no seq is ahead of the clock"),
        Answer::DeviceRemoved => panic!("no device is removed"),
        Answer::UnknownDevice => panic!("the tenant creates devices"),
    };
    if frame.kind == FrameKind::Inventory {
        let inventory = Inventory::from_bytes(&frame.inventory).expect("a valid inventory");
        count(model.inventory(&policy, tenant_of(frame), &inventory, NOW));
    }
    let tenant = tenant_of(frame);
    for bytes in &frame.check_ins {
        let record = CheckInRecord::validate(bytes).expect("a valid check-in");
        count(model.check_in(&policy, tenant, &record, NOW));
    }
    outcome
}

fn answer(mut stream: TcpStream, model: &Mutex<Model>, fault: InjectedFault) {
    let mut request = String::new();
    let mut lines = BufReader::new(&stream);
    lines.read_line(&mut request).expect("a request line");
    let mut header = String::new();
    while lines.read_line(&mut header).expect("a header") > 2 {
        header.clear();
    }
    let path = request
        .split(['/', '?'])
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let tenant = TenantIndex(u16::from(request.contains("tenant=loud")));
    let model = model.lock().unwrap_or_else(PoisonError::into_inner);
    let body = match path.as_str() {
        "policy" => policy_json(),
        "counts" => counts_json(&model, tenant),
        "cells" => cells_json(&model, tenant, fault),
        other => panic!("unexpected request for {other}"),
    };
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("the answer can be sent");
}

/// The answer for [`policy`].
fn policy_json() -> Value {
    let for_each = |value: Value| {
        let platforms = ["windows", "iOS", "android", "androidEnterprise"];
        json!(
            platforms
                .map(|platform| (platform, value.clone()))
                .into_iter()
                .collect::<HashMap<_, _>>()
        )
    };
    json!({
        "tenant": "demo",
        "revision": 1,
        "secure_by_default": false,
        "auto_create_devices": true,
        "policy_assigned": for_each(true.into()),
        "thresholds": for_each("medium".into()),
        "connector": for_each("enabled".into()),
        "blocked_on_missing_partner_data": for_each(false.into()),
        "device_requirements": {},
    })
}

fn counts_json(model: &Model, tenant: TenantIndex) -> Value {
    let mut counts = Counts::default();
    for ((cell_tenant, facets), count) in model.cells(&policy(), NOW) {
        if cell_tenant != tenant {
            continue;
        }
        counts.add(&facets, count);
    }
    let mut object = Map::new();
    object.insert("tenant".to_owned(), TENANTS[usize::from(tenant.0)].into());
    for (name, number) in counts.totals() {
        object.insert(name.to_owned(), number.into());
    }
    for (name, members) in counts.groups() {
        object.insert(
            name.to_owned(),
            json!(members.into_iter().collect::<HashMap<_, _>>()),
        );
    }
    json!({"tenants": [object], "total": {}})
}

fn cells_json(model: &Model, tenant: TenantIndex, fault: InjectedFault) -> Value {
    let mut excess = u64::from(fault == InjectedFault::ExtraDevice);
    let cells = model
        .cells(&policy(), NOW)
        .into_iter()
        .filter(|((cell_tenant, _), _)| *cell_tenant == tenant)
        .map(|((_, facets), count)| {
            json!({
                "tenant": TENANTS[usize::from(tenant.0)],
                "facets": facets.word().0,
                "count": count + std::mem::take(&mut excess),
            })
        });
    json!({"cells": cells.collect::<Vec<_>>()})
}
