//! The report of a run: one JSON object, or text with tables.
//!
//! Scripts depend on the JSON keys. Text from the server is printed without control characters. What it does not do:
//! compare counts; see `verify`.

use muster_wire::Rejection;
use serde_json::{Map, Value, json};

use muster_testkit::{fleet::Shape, latency::Latency, ops::CountsObject, schedule::Timing};

use crate::{
    driver::{Load, Measurements},
    lateness::WAITING_SHARE_MIN,
    machine,
    profile::Profile,
    verify::Verdict,
};

mod samples;
mod table;

use samples::LatencyJson;
pub(crate) use table::grouped;

/// The maximum number of differences in a report.
const DIFFERENCES_SHOWN: usize = 20;

/// A phase of a run that is reported separately.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// The name.
    pub name: String,
    /// The start, in seconds after the start of the measured phase.
    pub from: f64,
    /// The end, in the same unit.
    pub until: f64,
    /// Check-ins offered per second, if the rate is constant.
    pub rate: Option<f64>,
}

impl Phase {
    /// The steps of a profile that has more than one.
    pub fn of_steps(profile: &Profile) -> Vec<Self> {
        let Profile::Steps(steps) = profile else {
            return Vec::new();
        };
        let mut until = 0.0;
        let phases = steps.iter().zip(1..).map(|(step, number)| {
            let from = until;
            until += step.seconds;
            let name = format!("step {number}");
            Self {
                name,
                from,
                until,
                rate: Some(step.rate),
            }
        });
        if steps.len() > 1 {
            phases.collect()
        } else {
            Vec::new()
        }
    }
}

/// The parameters of the run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `run`, or the name of a scenario.
    pub workload: &'static str,
    /// `gateway` or `device`.
    pub mode: &'static str,
    /// The behaviour of the fleet.
    pub shape: Shape,
    /// The number of devices.
    pub devices: u64,
    /// The number of connections.
    pub connections: usize,
    /// Check-ins per frame.
    pub frame: usize,
    /// The requested maximum number of unacknowledged frames.
    pub window: u16,
    /// The requested check-ins per second, if the rate is constant.
    pub rate: Option<f64>,
    /// The offered load.
    pub load: Load,
    /// The timing of a scenario.
    pub timing: Option<Timing>,
    /// The options of the workload.
    pub parameters: Map<String, Value>,
    /// Phases that are reported separately.
    pub phases: Vec<Phase>,
}

/// What limited the rate of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The server, or the network.
    Server,
    /// The generator: its threads were busy or were not scheduled.
    Generator,
}

impl Limit {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Generator => "generator",
        }
    }
}

/// The results of a run.
#[derive(Debug)]
pub struct Report {
    /// The parameters.
    pub setup: Setup,
    /// The measurements.
    pub measured: Measurements,
    /// The server's counts after the run.
    pub counts: Option<CountsObject>,
    /// The comparison of the counts; `None` with `--no-verify`.
    pub verdict: Option<Verdict>,
    /// Resident bytes of the server before the run.
    pub server_rss_base_bytes: Option<u64>,
    /// Resident bytes of the server after the run.
    pub server_rss_bytes: Option<u64>,
    /// Another tenant that sent at the same time, and its report.
    pub other: Option<(String, Box<Self>)>,
}

impl Report {
    /// Whether the run was verified and all counts match the expected counts.
    pub fn is_verified(&self) -> bool {
        self.verdict.as_ref().is_some_and(Verdict::matches)
    }

    /// Whether the run was verified and some counts differ.
    pub fn has_differences(&self) -> bool {
        self.verdict
            .as_ref()
            .is_some_and(|verdict| !verdict.matches())
    }

    /// Durable check-ins per second, until the last ack.
    pub fn check_ins_per_second(&self) -> f64 {
        if self.measured.seconds > 0.0 {
            self.measured.acked as f64 / self.measured.seconds
        } else {
            0.0
        }
    }

    /// All ack latencies.
    pub const fn latency(&self) -> &Latency {
        self.measured.series.latency()
    }

    /// The latencies of frames that were made after every device of their connection had checked in, so that the server
    /// knew all devices. `None` if there was no such frame.
    pub fn known_latency(&self) -> Option<Latency> {
        self.measured.series.known_latency()
    }

    /// The number of reconnects, not counting those of a reconnect storm.
    pub fn reconnects(&self) -> u64 {
        let times = if self.setup.load.reconnect_within.is_some() {
            2
        } else {
            1
        };
        let opened = times * self.setup.connections as u64;
        self.measured.progress.connections.saturating_sub(opened)
    }

    /// What limited the rate; `None` if everything offered was sent in time.
    pub fn limit(&self) -> Option<Limit> {
        let measured = &self.measured;
        if self.setup.load.reconnect_within.is_some() {
            return None;
        }
        if self.setup.load.profile == Profile::Closed {
            let total = measured.seconds * self.setup.connections as f64;
            let is_waiting = measured.waiting_seconds >= total * WAITING_SHARE_MIN;
            return Some(if is_waiting {
                Limit::Server
            } else {
                Limit::Generator
            });
        }
        if measured.late.is_generator_limited() {
            return Some(Limit::Generator);
        }
        (self.is_saturated() || measured.held_back > 0).then_some(Limit::Server)
    }

    /// Whether less than 99 % of the requested rate was reached. The latencies are then mostly waiting times in a
    /// growing queue.
    pub fn is_saturated(&self) -> bool {
        self.setup.rate.is_some_and(|rate| {
            // The schedule ends one interval after its last frame, so that short runs appear slower.
            let check_ins = self.measured.acked as f64;
            let scheduled = (check_ins - self.setup.frame as f64).max(0.0) / rate;
            self.measured.seconds > scheduled / 0.99 + self.latency().quantile_ms(0.5) / 1e3
        })
    }

    /// The answers to the measured check-ins: those of the whole run, minus those before the measured phase.
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
            "workload": setup.workload,
            "mode": setup.mode,
            "loop": if setup.load.profile == Profile::Closed { "closed" } else { "open" },
            "seed": setup.shape.seed,
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
            "check_ins_warm_up": measured.warm_up_check_ins,
            "frames_resent": progress.frames_resent,
            "reconnects": self.reconnects(),
            "busy": progress.busy,
            "saturated": self.is_saturated(),
            "ack_latency_ms": LatencyJson::from(self.latency()),
            "ack_latency_known_ms": self.known_latency().as_ref().map(LatencyJson::from),
            "warning": self.warning(),
            "limited_by": self.limit().map(Limit::name),
            "late_frames": {
                "frames": measured.late.frames,
                "by_server": measured.late.by_server,
                "by_generator": measured.late.by_generator,
            },
            "generator_delay_ms": LatencyJson::from(measured.series.generator_delay()),
            "waiting_for_server_seconds": measured.waiting_seconds,
            "generator_core_seconds": measured.generator_core_seconds,
            "server_core_seconds": measured.server_core_seconds,
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
        json["compress"] = setup.timing.map(|timing| timing.compress).into();
        json["parameters"] = self.parameters();
        json["machine"] = machine::describe();
        json["started_at_ms"] = (measured.started.as_millis() as u64).into();
        json["phases"] = samples::phases(self);
        json["latency_distribution"] = samples::distribution(self.latency());
        json["other_tenant"] = self
            .other
            .as_ref()
            .map(|(tenant, report)| report.as_other(tenant))
            .into();
        json["samples"] = samples::columns(&measured.series);
        json
    }

    /// A prominent warning if the generator was the limit.
    pub fn warning(&self) -> Option<String> {
        if self.limit() != Some(Limit::Generator) {
            return None;
        }
        let late = &self.measured.late;
        Some(if self.setup.load.profile == Profile::Closed {
            format!(
                "THE GENERATOR WAS THE LIMIT: connections waited for the server only {:.1} % of the time, so the \
                 server may take more.",
                self.measured.waiting_seconds * 100.0
                    / (self.measured.seconds * self.setup.connections as f64)
                        .max(f64::MIN_POSITIVE),
            )
        } else {
            format!(
                "THE GENERATOR WAS THE LIMIT: {} of {} frames were sent late because its threads were busy ({} because \
                 of the server), so the latencies depend more on the generator than on the server.",
                late.by_generator, late.frames, late.by_server,
            )
        })
    }

    /// The summary of this tenant in the report of the other tenant.
    fn as_other(&self, tenant: &str) -> Value {
        json!({
            "tenant": tenant,
            "check_ins_sent": self.measured.sent,
            "check_ins_acked": self.measured.acked,
            "check_ins_per_second": self.check_ins_per_second().round(),
            "ack_latency_ms": LatencyJson::from(self.latency()),
            "verified": self.is_verified(),
        })
    }

    /// All parameters. Two runs with equal parameters are the same workload.
    fn parameters(&self) -> Value {
        let Self { setup, .. } = self;
        let shape = &setup.shape;
        let mut all = json!({
            "as": setup.mode,
            "devices": setup.devices,
            "connections": setup.connections,
            "frame": setup.frame,
            "window": setup.window,
            "seed": shape.seed,
            "churn": shape.churn,
            "duplicates": shape.duplicates,
            "reorder": shape.reorder,
            "inventory": shape.inventory,
        });
        for (name, value) in &setup.parameters {
            all[name] = value.clone();
        }
        all
    }

    /// The report as text.
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
