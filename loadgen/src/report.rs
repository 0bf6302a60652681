//! What a run has shown: one JSON object, or tables for people.
//!
//! The JSON keys are a promise to scripts: none is removed or changes its meaning. Text from the
//! server is printed without control characters. What it does not do: judge; see `verify`.

use muster_wire::Rejection;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{driver::Measured, latency::Latency, ops::CountsObject, verify::Verdict};

mod table;

/// Differences that are shown, at most.
const DIFFERENCES_SHOWN: usize = 20;

/// How the run was set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `gateway` or `device`.
    pub mode: &'static str,
    /// The seed of the fleet.
    pub seed: u64,
    /// Devices that were to check in.
    pub devices: u64,
    /// Connections.
    pub connections: usize,
    /// Check-ins in a frame.
    pub frame: usize,
    /// Frames unacknowledged, at most, as asked for.
    pub window: u16,
    /// Check-ins a second that were asked for.
    pub rate: Option<f64>,
}

/// Everything a run has shown.
#[derive(Debug)]
pub struct Report {
    /// How it was set up.
    pub setup: Setup,
    /// What was measured.
    pub measured: Measured,
    /// The server's numbers after the run.
    pub counts: Option<CountsObject>,
    /// The comparison; `None` with `--no-verify`.
    pub verdict: Option<Verdict>,
    /// Resident bytes of the server before the run.
    pub server_rss_base_bytes: Option<u64>,
    /// Resident bytes of the server after the run.
    pub server_rss_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct LatencyJson {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    p9999: f64,
    max: f64,
}

impl From<&Latency> for LatencyJson {
    fn from(latency: &Latency) -> Self {
        Self {
            p50: latency.quantile_ms(0.5),
            p90: latency.quantile_ms(0.9),
            p99: latency.quantile_ms(0.99),
            p999: latency.quantile_ms(0.999),
            p9999: latency.quantile_ms(0.9999),
            max: latency.max_ms(),
        }
    }
}

impl Report {
    /// Whether the run was verified and everything is as predicted.
    pub fn is_verified(&self) -> bool {
        self.verdict.as_ref().is_some_and(Verdict::is_right)
    }

    /// Whether the run was verified and something differs.
    pub fn is_wrong(&self) -> bool {
        self.verdict
            .as_ref()
            .is_some_and(|verdict| !verdict.is_right())
    }

    /// Durable check-ins a second: acknowledged ones by the time to the last ack.
    pub fn check_ins_per_second(&self) -> f64 {
        if self.measured.seconds > 0.0 {
            self.measured.acked as f64 / self.measured.seconds
        } else {
            0.0
        }
    }

    /// Whether less than 99 % of the rate asked for was reached, so that the latencies are those of
    /// a queue that grows.
    pub fn is_saturated(&self) -> bool {
        self.setup.rate.is_some_and(|rate| {
            // The schedule ends one interval after its last frame, so short runs look slower.
            let check_ins = self.measured.acked as f64;
            let scheduled = (check_ins - self.setup.frame as f64).max(0.0) / rate;
            self.measured.seconds > scheduled / 0.99 + self.measured.latency.quantile_ms(0.5) / 1e3
        })
    }

    /// How the check-ins were answered: what the whole run was, less what came before them.
    pub fn answers(&self) -> [(&'static str, u64); 4] {
        let (all, before) = (&self.measured.progress, &self.measured.before);
        [
            ("accepted", all.accepted - before.accepted),
            ("duplicate", all.duplicate - before.duplicate),
            ("stale", all.stale - before.stale),
            ("rejected", all.rejected - before.rejected),
        ]
    }

    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        let Self {
            setup, measured, ..
        } = self;
        let progress = &measured.progress;
        let mut json = json!({
            "mode": setup.mode,
            "loop": if setup.rate.is_some() { "open" } else { "closed" },
            "seed": setup.seed,
            "devices": setup.devices,
            "connections": setup.connections,
            "frame": setup.frame,
            "window": setup.window,
            "offered_per_second": setup.rate,
            "check_ins_offered": measured.offered,
            "check_ins_sent": measured.sent,
            "check_ins_held_back": measured.held_back,
            "check_ins_acked": measured.acked,
            "check_ins_per_second": self.check_ins_per_second().round(),
            "seconds": measured.seconds,
            "inventories": measured.inventories,
            "frames_resent": progress.frames_resent,
            "reconnects": progress.connections - setup.connections as u64,
            "busy": progress.busy,
            "saturated": self.is_saturated(),
            "ack_latency_ms": LatencyJson::from(&measured.latency),
            "durability": "fsync",
            "server_rss_base_bytes": self.server_rss_base_bytes,
            "server_rss_bytes": self.server_rss_bytes,
            "verified": self.is_verified(),
            "cells": self.verdict.as_ref().map(|verdict| verdict.cells),
            "differences": self.verdict.as_ref().map(differences),
            "rejections": measured.rejections.iter().map(rejection).collect::<Vec<_>>(),
            "counts": self.counts,
        });
        for (name, count) in self.answers() {
            json[name] = count.into();
        }
        json
    }

    /// The tables for people.
    pub fn to_text(&self) -> String {
        table::text(self)
    }
}

fn differences(verdict: &Verdict) -> Value {
    let shown = verdict.differences.iter().chain(&verdict.cell_differences);
    let shown = shown.take(DIFFERENCES_SHOWN).map(|difference| {
        json!({
            "what": difference.what,
            "expected": difference.expected,
            "found": difference.found,
        })
    });
    json!({
        "counts": verdict.differences.len(),
        "cells": verdict.cell_differences.len(),
        "first": shown.collect::<Vec<_>>(),
    })
}

fn rejection(rejection: &Rejection) -> Value {
    json!({
        "device": rejection.device_id.to_string(),
        "seq": rejection.seq,
        "reason": reason_name(rejection),
    })
}

fn reason_name(rejection: &Rejection) -> &'static str {
    rejection.reason().map_or("unknown", |reason| reason.name())
}

#[cfg(test)]
mod tests;
