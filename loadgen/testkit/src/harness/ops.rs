//! What operators see of a server over HTTP.

use std::collections::BTreeMap;

use muster_engine::TenantPolicy;
use muster_wire::DeviceId;
use serde_json::Value;

use super::before_deadline;
pub use crate::ops::Changed;
use crate::{objects, ops};

/// Numbers of devices by tenant and facet word.
pub type Cells = BTreeMap<(String, u64), u64>;

/// The operations endpoint of a server.
#[derive(Debug)]
pub struct Ops {
    /// `http://HOST:PORT`
    pub base: String,
    ops: ops::Ops,
}

impl Ops {
    /// The endpoint at `base` (`http://HOST:PORT`).
    pub fn new(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            ops: ops::Ops::new(base),
        }
    }

    /// Gets a path; returns the status and the body.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        self.ops.get(path).expect("the endpoint answers")
    }

    /// Posts without a body; returns status and body of the response.
    #[track_caller]
    pub fn post(&self, path: &str) -> (u16, String) {
        self.ops.post(path, "").expect("the endpoint answers")
    }

    /// Sends a change; returns the response and its body, `null` if that is empty.
    #[track_caller]
    pub fn change(
        &self,
        method: &str,
        path: &str,
        if_match: Option<&str>,
        body: &Value,
    ) -> (Changed, Value) {
        let changed = self.ops.change(method, path, if_match, &body.to_string());
        let changed = changed.expect("the endpoint answers");
        let body = match changed.text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).expect("the answer is JSON"),
        };
        (changed, body)
    }

    /// Creates tenants, unless they exist.
    #[track_caller]
    pub fn create_tenants(&self, names: &[&str]) {
        for name in names {
            objects::create_tenant(&self.ops, name).expect("the server allows changes");
        }
    }

    /// Whether all these tenants exist.
    #[track_caller]
    pub fn has_tenants(&self, names: &[&str]) -> bool {
        let exists = |name: &&str| self.get(&format!("/tenants/{name}")).0 == 200;
        names.iter().all(exists)
    }

    /// Changes the objects of a tenant so that these rules follow.
    #[track_caller]
    pub fn put_in_force(&self, tenant: &str, rules: &TenantPolicy) {
        objects::put_in_force(&self.ops, tenant, rules).expect("the server allows changes");
        let followed = ops::TenantOps::new(&self.base, tenant).policy();
        assert_eq!(&followed.expect("the endpoint answers"), rules);
    }

    /// Requires threat level medium of all devices of the tenants of the default settings.
    #[track_caller]
    pub fn require_medium(&self) {
        for tenant in ["contoso", "fabrikam"] {
            self.put_in_force(tenant, &objects::medium());
        }
    }

    /// Gets a path; returns the JSON of a response with status 200.
    #[track_caller]
    pub fn get_json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("the answer is JSON")
    }

    /// All cells.
    #[track_caller]
    pub fn cells(&self) -> Cells {
        let answer = self.get_json("/cells");
        let cells = answer["cells"].as_array().expect("a list of cells");
        let cells = cells.iter().map(|cell| {
            let tenant = cell["tenant"].as_str().expect("a string").to_owned();
            let word = cell["facets"].as_u64().expect("a facet word");
            ((tenant, word), cell["count"].as_u64().expect("a number"))
        });
        cells.collect()
    }

    /// The counts of all tenants together.
    #[track_caller]
    pub fn total(&self) -> Value {
        self.get_json("/counts")["total"].clone()
    }

    /// The rules of a tenant.
    #[track_caller]
    pub fn policy(&self, tenant: &str) -> Value {
        self.get_json(&format!("/policy?tenant={tenant}"))
    }

    /// One device, if it is known.
    #[track_caller]
    pub fn device(&self, tenant: &str, device: DeviceId) -> Option<Value> {
        let (status, body) = self.get(&format!("/devices/{tenant}/{device}"));
        assert!(matches!(status, 200 | 404), "{status}: {body}");
        (status == 200).then(|| serde_json::from_str(&body).expect("the answer is JSON"))
    }

    /// The seq of a device; 0 if the device is not known.
    #[track_caller]
    pub fn seq(&self, tenant: &str, device: DeviceId) -> u64 {
        self.device(tenant, device)
            .map_or(0, |device| device["seq"].as_u64().expect("a number"))
    }

    /// The number of sessions.
    #[track_caller]
    pub fn sessions(&self) -> u64 {
        self.metrics().get("muster_net_sessions") as u64
    }

    /// The current metrics.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200, "{text}");
        Metrics(text)
    }

    /// Waits until nothing is in flight and then asserts that everything offered is counted in exactly one of the
    /// accounts of docs/reference/METRICS.md.
    #[track_caller]
    pub fn accounts_add_up(&self) -> Metrics {
        let mut last = Vec::new();
        let balanced = before_deadline(|| {
            let metrics = self.metrics();
            let value = |family: &str| metrics.get(family);
            let (refused, failed) = (
                value("muster_net_refused_total"),
                value("muster_net_handshakes_failed_total"),
            );
            let (connections, open) = (
                value("muster_net_connections_total"),
                value("muster_net_connections_open"),
            );
            let before_hello = value("muster_net_connections_closed_before_hello_total");
            let unacknowledged = value("muster_session_records_unacknowledged_total");
            last = vec![
                (
                    value("muster_net_attempts_total"),
                    refused
                        + value("muster_net_retries_total")
                        + failed
                        + connections
                        + value("muster_net_handshakes"),
                ),
                (
                    connections,
                    value("muster_net_connections_closed_total") + open,
                ),
                (
                    connections,
                    before_hello + value("muster_net_sessions_opened_total") + open
                        - value("muster_net_sessions"),
                ),
                (
                    value("muster_session_records_received_total"),
                    value("muster_session_records_acknowledged_total") + unacknowledged,
                ),
            ];
            last.iter()
                .all(|(one, other)| one == other)
                .then_some(metrics)
        });
        balanced.unwrap_or_else(|| panic!("the accounts do not add up: {last:?}"))
    }

    /// Starts a recount; returns the status and the report.
    #[track_caller]
    pub fn recount(&self) -> (u16, Value) {
        let answer = self.ops.post("/recount", "");
        let (status, body) = answer.expect("the endpoint answers");
        (
            status,
            serde_json::from_str(&body).expect("the answer is JSON"),
        )
    }

    /// Starts a recount and asserts that it found no difference.
    #[track_caller]
    pub fn recount_is_verified(&self) {
        let (status, report) = self.recount();
        assert_eq!(
            (status, &report["verified"]),
            (200, &Value::Bool(true)),
            "{report:#}"
        );
    }
}

/// The result of one scrape.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    /// The value of a series, labels included, or the sum of a family that has labels.
    #[track_caller]
    pub fn get(&self, series: &str) -> f64 {
        let mut found = None;
        for line in self.0.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else {
                continue;
            };
            if name == series
                || name
                    .split_once('{')
                    .is_some_and(|(family, _)| family == series)
            {
                let value: f64 = value.parse().expect("a number");
                *found.get_or_insert(0.0) += value;
            }
        }
        found.unwrap_or_else(|| panic!("no series {series}"))
    }

    /// The values of all series of a family, by their label.
    pub fn by_label(&self, family: &str) -> BTreeMap<String, u64> {
        let lines = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix(family)?.strip_prefix('{'));
        let series = lines.filter_map(|line| {
            let (labels, value) = line.split_once("} ")?;
            let (_, label) = labels.split_once('=')?;
            Some((
                label.trim_matches('"').to_owned(),
                value.parse::<f64>().ok()? as u64,
            ))
        });
        series.collect()
    }
}
