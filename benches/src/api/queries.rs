//! The queries that are measured, and their latencies over a few connections.

use std::time::Duration;

use anyhow::{Context, ensure};
use muster_ingest::clock;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::client::{Connection, Target};
use crate::latencies::Latencies;

/// Connections that send queries at the same time.
pub(super) const CONNECTIONS: usize = 4;

/// Requests of a query at least, whatever they take: below that, a 99th percentile is the maximum.
const REQUESTS_MIN: usize = 100;

/// A query, and what its response must contain: a wrong answer must not count as a fast one.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    /// Paths that the requests take in turn.
    pub(super) paths: Vec<String>,
    pub(super) rows: Rows,
}

/// The rows that a response must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// It is not a list.
    NoList,
    /// This number.
    Exactly(usize),
    /// At least one.
    Some,
}

/// The latencies of a query.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) latencies: Latencies,
    pub(super) per_second: f64,
}

const DEVICES: &str = "/v1.0/deviceManagement/managedDevices";

/// The queries of a fleet of `devices`, `rare` of which have facets that no other device has.
pub(super) fn all(devices: u64, rare: u64, ids: &[String]) -> Vec<Query> {
    let name = |number: u64| format!("device-{number:07}");
    let list = |query: &str| vec![format!("{DEVICES}?{query}")];
    let names: Vec<_> = (0..64).map(|one| name(one * 7919 % devices)).collect();
    // The first five of seven digits: a hundred devices, if there are as many.
    let prefixes = names.iter().map(|name| &name[..name.len() - 2]);
    let rare_filter =
        "operatingSystem eq 'Windows' and partnerReportedThreatState eq 'compromised'";
    let top = |rows: u64| Rows::Exactly(devices.min(rows) as usize);
    let query = |name, paths, rows| Query { name, paths, rows };
    vec![
        query("counts", counts(), Rows::NoList),
        query(
            "list by facets, many match, by name",
            list("$filter=complianceState eq 'noncompliant'&$orderby=deviceName&$top=100"),
            Rows::Some,
        ),
        query(
            "list by facets, 1 in 100,000 match, by name",
            list(&format!("$filter={rare_filter}&$orderby=deviceName&$top=100")),
            Rows::Exactly(rare.min(100) as usize),
        ),
        query(
            "list by facets, many match, no order",
            list("$filter=operatingSystem eq 'Windows'&$top=100"),
            Rows::Some,
        ),
        query(
            "list with this name",
            names
                .iter()
                .map(|name| format!("{DEVICES}?$filter=deviceName eq '{name}'"))
                .collect(),
            Rows::Exactly(1),
        ),
        query(
            "list of names with this beginning, by name",
            prefixes
                .map(|prefix| {
                    format!("{DEVICES}?$filter=startswith(deviceName,'{prefix}')&$orderby=deviceName&$top=100")
                })
                .collect(),
            Rows::Some,
        ),
        query("list by name", list("$orderby=deviceName&$top=100"), top(100)),
        query(
            "list by name, descending",
            list("$orderby=deviceName desc&$top=100"),
            top(100),
        ),
        query(
            "list by last check-in",
            list("$orderby=lastSyncDateTime&$top=100"),
            top(100),
        ),
        query(
            "list by facets, by last check-in, descending",
            list("$filter=complianceState eq 'noncompliant'&$orderby=lastSyncDateTime desc&$top=100"),
            Rows::Some,
        ),
        query(
            "list of devices without a check-in since 2020",
            list("$filter=lastSyncDateTime ge 1990-01-01T00:00:00Z and lastSyncDateTime le 2020-01-01T00:00:00Z"),
            Rows::Exactly(0),
        ),
        query(
            "one device",
            ids.iter().map(|id| format!("{DEVICES}/{id}")).collect(),
            Rows::NoList,
        ),
        query("page of 1,000", list("$top=1000"), top(1_000)),
    ]
}

/// Every count.
fn counts() -> Vec<String> {
    [
        "/beta/muster/counts",
        "/beta/muster/counts?by=complianceState,platform",
        "/v1.0/deviceManagement/managedDeviceOverview",
        "/v1.0/deviceManagement/deviceCompliancePolicyDeviceStateSummary",
        "/beta/deviceManagement/advancedThreatProtectionOnboardingStateSummary",
        "/v1.0/deviceManagement/managedDevices/$count?$filter=complianceState eq 'noncompliant'",
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Query {
    /// Sends one of its requests, and checks the response.
    pub(super) async fn ask(&self, connection: &mut Connection, turn: usize) -> anyhow::Result<()> {
        let path = &self.paths[turn % self.paths.len()];
        let body = connection.get(path).await?;
        if self.rows == Rows::NoList {
            return Ok(());
        }
        let document: Value = serde_json::from_slice(&body)?;
        let rows = document["value"]
            .as_array()
            .context("a list was expected")?;
        let is_right = match self.rows {
            Rows::Exactly(expected) => rows.len() == expected,
            _ => !rows.is_empty(),
        };
        ensure!(is_right, "{path}: {} rows, not {:?}", rows.len(), self.rows);
        Ok(())
    }

    /// Repeats it over all connections for this time.
    pub(super) async fn measure(
        &self,
        target: &Target,
        time: Duration,
    ) -> anyhow::Result<Measured> {
        let mut tasks = JoinSet::new();
        let began = clock::stamp();
        for task in 0..CONNECTIONS {
            let (query, target) = (self.clone(), target.clone());
            tasks.spawn(async move { query.repeat(&target, task, time).await });
        }
        let mut latencies = Latencies::default();
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done??);
        }
        let seconds = clock::stamp().since(began).as_secs_f64();
        Ok(Measured {
            name: self.name,
            per_second: latencies.count() as f64 / seconds,
            latencies,
        })
    }

    async fn repeat(
        &self,
        target: &Target,
        task: usize,
        time: Duration,
    ) -> anyhow::Result<Latencies> {
        let mut connection = target.connect().await?;
        // The first request of a connection is not measured.
        self.ask(&mut connection, task).await?;
        let (began, mut latencies) = (clock::stamp(), Latencies::default());
        let requests_min = REQUESTS_MIN / CONNECTIONS;
        // A query that takes seconds does not get its hundred requests.
        let time_max = time * 10;
        loop {
            let sent = clock::stamp();
            self.ask(&mut connection, task + latencies.count() * CONNECTIONS)
                .await?;
            let now = clock::stamp();
            latencies.add(now.since(sent));
            let (elapsed, is_enough) = (now.since(began), latencies.count() >= requests_min);
            if elapsed >= time && is_enough || elapsed >= time_max {
                return Ok(latencies);
            }
        }
    }
}

/// Sends `per_second` requests in an open loop, all queries in turn, for this time. Latencies run from when a request was
/// due. Returns them, and how many requests were answered in a second.
pub(super) async fn beside(
    queries: &[Query],
    target: &Target,
    per_second: u32,
    time: Duration,
) -> anyhow::Result<(Latencies, f64)> {
    let mut tasks = JoinSet::new();
    let began = clock::stamp();
    for task in 0..CONNECTIONS {
        let (queries, target) = (queries.to_vec(), target.clone());
        let every = Duration::from_secs_f64(CONNECTIONS as f64 / f64::from(per_second));
        tasks.spawn(async move {
            let mut connection = target.connect().await?;
            let mut latencies = Latencies::default();
            let mut due = interval(every);
            due.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for turn in 0.. {
                let at = due.tick().await;
                if clock::stamp().since(began) >= time {
                    break;
                }
                let query = &queries[(task + turn) % queries.len()];
                query.ask(&mut connection, turn).await?;
                latencies.add(at.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let answered = latencies.count() as f64 / clock::stamp().since(began).as_secs_f64();
    Ok((latencies, answered))
}
