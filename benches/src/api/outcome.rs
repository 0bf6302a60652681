//! The outcome as a table, and as one JSON object.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::export::Export;
use super::queries::{CONNECTIONS, Measured};
use crate::latencies::Latencies;
use crate::machine::Machine;
use crate::report::markdown;

/// The results of a run.
#[derive(Debug)]
pub struct Outcome {
    pub(super) machine: Machine,
    pub(super) load_after: String,
    pub(super) file_system: String,
    pub(super) devices: u64,
    pub(super) policies: usize,
    /// Check-ins a second that were asked for; `None` for as many as the server takes.
    pub(super) rate: Option<f64>,
    pub(super) time: Duration,
    pub(super) server_bytes: u64,
    pub(super) queries: Vec<Measured>,
    pub(super) exports: Vec<Export>,
    pub(super) beside: Beside,
}

/// Ingest without and with queries beside it.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) alone: f64,
    pub(super) with_queries: f64,
    /// Requests a second: asked for, and answered.
    pub(super) asked: u32,
    pub(super) answered: f64,
    pub(super) latencies: Latencies,
}

impl Beside {
    fn ratio(&self) -> f64 {
        self.with_queries / self.alone
    }
}

fn ms(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}

impl Outcome {
    /// The run as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let latency = |latencies: &Latencies| {
            let [p50, p99, max] = latencies.percentiles_us([50.0, 99.0, 100.0]).map(ms);
            json!({ "p50_ms": p50, "p99_ms": p99, "max_ms": max, "requests": latencies.count() })
        };
        let queries: Map<_, _> = self
            .queries
            .iter()
            .map(|query| (query.name.to_owned(), latency(&query.latencies)))
            .collect();
        let exports: Map<_, _> = self
            .exports
            .iter()
            .map(|export| {
                let value = json!({
                    "rows": export.rows,
                    "rows_per_second": export.rows_per_second().round(),
                    "memory_growth_bytes": export.growth_bytes,
                });
                (export.format.to_owned(), value)
            })
            .collect();
        json!({
            "commit": self.machine.commit,
            "machine": {
                "cpu": self.machine.cpu,
                "cores": self.machine.cores,
                "memory_gib": self.machine.memory_gib,
                "kernel": self.machine.kernel,
            },
            "conditions": {
                "load_before": self.machine.load,
                "load_after": self.load_after,
                "file_system": self.file_system,
                "both_ends_share_cores": true,
                "devices": self.devices,
                "policies": self.policies,
                "rate": self.rate,
                "connections": CONNECTIONS,
                "seconds_per_query": self.time.as_secs(),
            },
            "verified": true,
            "server_resident_bytes": self.server_bytes,
            "queries": queries,
            "exports": exports,
            "ingest": {
                "check_ins_per_second_alone": self.beside.alone.round(),
                "check_ins_per_second_beside_queries": self.beside.with_queries.round(),
                "ratio": self.beside.ratio(),
                "queries_per_second": self.beside.asked,
                "queries_answered_per_second": self.beside.answered,
                "latency": latency(&self.beside.latencies),
            },
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = self.machine.conditions(&self.file_system, &self.load_after);
        writeln!(out, "{conditions}")?;
        let rate = self.rate.map_or_else(
            || "as many check-ins as the server takes".to_owned(),
            |rate| format!("{rate:.0} check-ins a second"),
        );
        writeln!(
            out,
            "{} devices with inventories, {} policies, {rate}; {CONNECTIONS} connections, {} s for each query; both ends share the cores; the counts are verified by a recount\n",
            self.devices,
            self.policies,
            self.time.as_secs(),
        )?;
        let mut table = markdown([
            "query",
            "requests",
            "per second",
            "p50 ms",
            "p99 ms",
            "max ms",
        ]);
        for query in &self.queries {
            let [p50, p99, max] = query.latencies.percentiles_us([50.0, 99.0, 100.0]).map(ms);
            table.add_row([
                query.name.to_owned(),
                query.latencies.count().to_string(),
                format!("{:.0}", query.per_second),
                format!("{p50:.1}"),
                format!("{p99:.1}"),
                format!("{max:.1}"),
            ]);
        }
        writeln!(out, "{table}\n")?;
        let mut table = markdown(["export", "rows", "rows per second", "memory growth MiB"]);
        for export in &self.exports {
            table.add_row([
                export.format.to_owned(),
                export.rows.to_string(),
                format!("{:.0}", export.rows_per_second()),
                format!("{:.0}", export.growth_bytes as f64 / f64::from(1 << 20)),
            ]);
        }
        writeln!(out, "{table}\n")?;
        let beside = &self.beside;
        let [p50, p99] = beside.latencies.percentiles_us([50.0, 99.0]).map(ms);
        writeln!(
            out,
            "Ingest: {:.0} check-ins/s alone, {:.0} ({:.0} %) beside {:.0} of {} queries/s (p50 {p50:.1} ms, p99 {p99:.1} ms)",
            beside.alone,
            beside.with_queries,
            beside.ratio() * 100.0,
            beside.answered,
            beside.asked,
        )
    }
}
