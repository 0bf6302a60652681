//! The parts of the report that depend on time: columns of samples, phases, and the latency distribution.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Phase, Report};
use muster_testkit::latency::Latency;

use crate::series::{Sample, SampleGroup, Series};

/// The latency percentiles of a report, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct LatencyJson {
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

/// The phases with the samples of each.
pub(super) fn by_phase(report: &Report) -> Vec<(&Phase, SampleGroup)> {
    let phases = &report.setup.phases;
    if phases.is_empty() {
        return Vec::new();
    }
    let phase_at = |at: f64| {
        phases
            .iter()
            .position(|phase| phase.from <= at && at < phase.until)
    };
    let mut found = report.measured.series.group_by(phase_at);
    // Phases without samples are included.
    found.resize_with(phases.len(), SampleGroup::default);
    phases.iter().zip(found).collect()
}

/// The phases as objects.
pub(super) fn phases(report: &Report) -> Value {
    let objects = by_phase(report).into_iter().map(|(phase, found)| {
        let rate = |count: u64| per_second(count, found.seconds);
        json!({
            "name": phase.name,
            "from_seconds": phase.from,
            "until_seconds": phase.until,
            "rate": phase.rate,
            "offered_each_second": rate(found.added.offered),
            "acked_each_second": rate(found.added.acked),
            "ack_latency_ms": LatencyJson::from(&found.latency),
            "late_by_server": found.added.late.by_server,
            "late_by_generator": found.added.late.by_generator,
        })
    });
    objects.collect()
}

/// The latency distribution as pairs of a fraction and milliseconds.
pub(super) fn distribution(latency: &Latency) -> Value {
    latency
        .distribution()
        .into_iter()
        .map(|(quantile, ms)| json!([quantile, ms]))
        .collect()
}

/// One column per value, which is far shorter than one object per sample.
pub(super) fn columns(series: &Series) -> Value {
    let samples = series.samples();
    let column = |value: &dyn Fn(&Sample) -> Value| samples.iter().map(value).collect::<Value>();
    let rate = |count: fn(&Sample) -> u64| {
        column(&|sample| per_second(count(sample), sample.seconds()).into())
    };
    let total = |count: fn(&Sample) -> u64| column(&|sample| count(sample).into());
    let latencies: Vec<Latency> = samples
        .iter()
        .map(|sample| Latency::from(&sample.latency))
        .collect();
    let quantile = |quantile: f64| -> Value {
        let values = latencies
            .iter()
            .map(|latency| (latency.count() > 0).then(|| latency.quantile_ms(quantile)));
        values.collect::<Vec<_>>().into()
    };
    let cores = |seconds: fn(&Sample) -> Option<f64>| {
        column(&|sample| {
            seconds(sample)
                .map(|spent| rounded(spent / sample.seconds()))
                .into()
        })
    };
    json!({
        "until_seconds": column(&|sample| rounded(sample.until.as_secs_f64()).into()),
        "offered_each_second": rate(|sample| sample.added.offered),
        "sent_each_second": rate(|sample| sample.added.sent),
        "acked_each_second": rate(|sample| sample.added.acked),
        "p50_ms": quantile(0.5),
        "p99_ms": quantile(0.99),
        "p999_ms": quantile(0.999),
        "max_ms": quantile(1.0),
        "late_by_server": total(|sample| sample.added.late.by_server),
        "late_by_generator": total(|sample| sample.added.late.by_generator),
        "busy": total(|sample| sample.added.busy),
        "reconnects": total(|sample| sample.added.reconnects),
        "generator_cores": cores(|sample| sample.added.generator_core_seconds),
        "server_cores": cores(|sample| sample.added.server_core_seconds),
        "server_rss_bytes": column(&|sample| sample.added.server_rss_bytes.into()),
    })
}

fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        rounded(count as f64 / seconds)
    } else {
        0.0
    }
}

/// Rounds to three decimal places, which keeps the thousands of numbers of a run short.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
