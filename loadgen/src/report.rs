//! What a run has shown: one JSON object, or tables for people.
//!
//! The JSON keys are a promise to scripts: none is removed or changes its meaning. Text from the
//! server is printed without control characters. What it does not do: judge; see `verify`.

use muster_wire::Rejection;
use serde_json::{Map, Value, json};

use muster_testkit::{fleet::Shape, latency::Latency, ops::CountsObject, schedule::Pass};

use crate::{
    driver::{Load, Measured},
    lateness::WAITING_SHARE_MIN,
    machine,
    profile::Profile,
    verify::Verdict,
};

mod samples;
mod table;

use samples::LatencyJson;
pub(crate) use table::grouped;

/// Differences that are shown, at most.
const DIFFERENCES_SHOWN: usize = 20;

/// A part of a run that is looked at on its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// What it is.
    pub name: String,
    /// When it begins, in seconds after the start of the measured phase.
    pub from: f64,
    /// When it ends.
    pub until: f64,
    /// Check-ins a second that it offers, if they are fixed.
    pub rate: Option<f64>,
}

impl Phase {
    /// The steps of a profile that has several.
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

/// How the run was set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `run`, or the name of a scenario.
    pub workload: &'static str,
    /// `gateway` or `device`.
    pub mode: &'static str,
    /// How the fleet behaves.
    pub shape: Shape,
    /// Devices that were to check in.
    pub devices: u64,
    /// Connections.
    pub connections: usize,
    /// Check-ins in a frame.
    pub frame: usize,
    /// Frames unacknowledged, at most, as asked for.
    pub window: u16,
    /// Check-ins a second that were asked for, if it was one rate.
    pub rate: Option<f64>,
    /// When check-ins were to be sent.
    pub load: Load,
    /// How the time of a scenario passed.
    pub pass: Option<Pass>,
    /// The options of the workload.
    pub parameters: Map<String, Value>,
    /// Parts of the run that are looked at on their own.
    pub phases: Vec<Phase>,
}

/// What kept a run from being faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The server, or the line to it.
    Server,
    /// The generator: its threads were busy, or had no core.
    Generator,
}

impl Limit {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Generator => "generator",
        }
    }
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
    /// Another tenant that sent at the same time, and what that has shown.
    pub other: Option<(String, Box<Self>)>,
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

    /// All ack latencies.
    pub const fn latency(&self) -> &Latency {
        self.measured.series.latency()
    }

    /// Those of the frames that were made when every device of their connection had checked in before: the latencies
    /// of a fleet that the server knows. None if there was no such frame.
    pub fn known_latency(&self) -> Option<Latency> {
        self.measured.series.known_latency()
    }

    /// Connections that were lost and opened again; those that were cut on purpose are not meant.
    pub fn reconnects(&self) -> u64 {
        let times = if self.setup.load.storm.is_some() {
            2
        } else {
            1
        };
        let opened = times * self.setup.connections as u64;
        self.measured.progress.connections.saturating_sub(opened)
    }

    /// What kept the run from being faster; none if all that was offered was sent in time.
    pub fn limit(&self) -> Option<Limit> {
        let measured = &self.measured;
        if self.setup.load.storm.is_some() {
            return None;
        }
        if self.setup.load.profile == Profile::Closed {
            let all = measured.seconds * self.setup.connections as f64;
            let is_waiting = measured.waiting_seconds >= all * WAITING_SHARE_MIN;
            return Some(if is_waiting {
                Limit::Server
            } else {
                Limit::Generator
            });
        }
        if measured.late.is_generators() {
            return Some(Limit::Generator);
        }
        (self.is_saturated() || measured.held_back > 0).then_some(Limit::Server)
    }

    /// Whether less than 99 % of the rate asked for was reached, so that the latencies are those of
    /// a queue that grows.
    pub fn is_saturated(&self) -> bool {
        self.setup.rate.is_some_and(|rate| {
            // The schedule ends one interval after its last frame, so short runs look slower.
            let check_ins = self.measured.acked as f64;
            let scheduled = (check_ins - self.setup.frame as f64).max(0.0) / rate;
            self.measured.seconds > scheduled / 0.99 + self.latency().quantile_ms(0.5) / 1e3
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
            "check_ins_settled": measured.settled,
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
            "generator_delay_ms": LatencyJson::from(measured.series.start_delay()),
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
        json["compress"] = setup.pass.map(|pass| pass.compress).into();
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

    /// The sentence that nobody may overlook, if the run says more of the generator than of the server.
    pub fn warning(&self) -> Option<String> {
        if self.limit() != Some(Limit::Generator) {
            return None;
        }
        let late = &self.measured.late;
        Some(if self.setup.load.profile == Profile::Closed {
            format!(
                "THE GENERATOR WAS THE LIMIT: connections waited for the server only {:.1} % of the time, so the \
                 server may take more than this.",
                self.measured.waiting_seconds * 100.0
                    / (self.measured.seconds * self.setup.connections as f64)
                        .max(f64::MIN_POSITIVE),
            )
        } else {
            format!(
                "THE GENERATOR WAS THE LIMIT: {} of {} frames left late because its threads were busy ({} because \
                 of the server), so the latencies say more of the generator than of the server.",
                late.by_generator, late.frames, late.by_server,
            )
        })
    }

    /// What the report of another tenant says of this one.
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

    /// Everything that was asked for; two runs with the same are the same workload.
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
