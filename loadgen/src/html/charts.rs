//! The charts of a run, from its samples.

use serde_json::Value;

use super::{
    chart::{Chart, Line, Scale},
    column, format_value,
};

/// A chart line of a column of the samples.
pub(super) fn line(json: &Value, name: &str, title: &str, divisor: f64) -> Line {
    let times = column(json, "until_seconds");
    let values = column(json, name)
        .into_iter()
        .map(|value| Some(value? / divisor));
    let points = times.into_iter().flatten().zip(values).collect();
    Line {
        name: title.to_owned(),
        points,
    }
}

/// The charts over time and the latency distribution of a run.
pub(super) fn charts(json: &Value) -> Vec<Chart> {
    let phases = json["phases"].as_array().into_iter().flatten().skip(1);
    let marks: Vec<(f64, String)> = phases
        .filter_map(|phase| {
            Some((
                phase["from_seconds"].as_f64()?,
                format_value(&phase["name"]),
            ))
        })
        .collect();
    let chart = |(title, note, y, scale, columns): &OverTime| Chart {
        title: (*title).to_owned(),
        note: (*note).to_owned(),
        x: "seconds".to_owned(),
        y: (*y).to_owned(),
        scale: *scale,
        lines: columns
            .iter()
            .map(|(name, shown)| line(json, name, shown, divisor(y)))
            .collect(),
        marks: marks.clone(),
        x_ticks: Vec::new(),
    };
    let mut charts: Vec<Chart> = OVER_TIME.iter().map(chart).collect();
    charts.insert(2, distribution(&[("this run", json)]));
    charts
}

/// Title, note, unit, scale, and columns with their labels.
type OverTime = (
    &'static str,
    &'static str,
    &'static str,
    Scale,
    &'static [(&'static str, &'static str)],
);

const OVER_TIME: [OverTime; 5] = [
    (
        "Rate",
        "Check-ins per second: due by the schedule, and durable.",
        "check-ins/s",
        Scale::Linear,
        &[
            ("offered_each_second", "offered"),
            ("acked_each_second", "durable"),
        ],
    ),
    (
        "Latency over time",
        "Measured from the time a frame was due to its ack, for the frames acknowledged in each second.",
        "ms",
        Scale::Logarithmic,
        &[
            ("p50_ms", "p50"),
            ("p99_ms", "p99"),
            ("p999_ms", "p99.9"),
            ("max_ms", "max"),
        ],
    ),
    (
        "Late frames and backpressure",
        "Frames sent more than 5 ms late, by cause; busy frames from the server; reconnects.",
        "per second",
        Scale::Linear,
        &[
            ("late_by_server", "late: server"),
            ("late_by_generator", "late: generator"),
            ("busy", "busy"),
            ("reconnects", "reconnects"),
        ],
    ),
    (
        "Cores",
        "CPU cores in use. The server is included if its process id was given.",
        "cores",
        Scale::Linear,
        &[("generator_cores", "generator"), ("server_cores", "server")],
    ),
    (
        "Memory of the server",
        "Resident memory.",
        "MiB",
        Scale::Linear,
        &[("server_rss_bytes", "server")],
    ),
];

/// Samples contain memory in bytes.
fn divisor(unit: &str) -> f64 {
    if unit == "MiB" { 1_048_576.0 } else { 1.0 }
}

/// The latency distribution of one or more runs.
pub(super) fn distribution(runs: &[(&str, &Value)]) -> Chart {
    // A percentile axis on which each further nine has the same width.
    let nines = |quantile: f64| -(1.0 - quantile).max(1e-6).log10();
    let line = |(name, json): &(&str, &Value)| {
        let pairs = json["latency_distribution"]
            .as_array()
            .into_iter()
            .flatten();
        let points = pairs.filter_map(|pair| Some((nines(pair[0].as_f64()?), pair[1].as_f64())));
        Line {
            name: (*name).to_owned(),
            points: points.filter(|(at, _)| *at <= 5.0).collect(),
        }
    };
    let tick = |quantile: f64, name: &str| (nines(quantile), name.to_owned());
    Chart {
        title: "Latency distribution".to_owned(),
        note: "The latency that this percentage of all frames did not exceed.".to_owned(),
        x: "percentile".to_owned(),
        y: "ms".to_owned(),
        scale: Scale::Logarithmic,
        lines: runs.iter().map(line).collect(),
        marks: Vec::new(),
        x_ticks: vec![
            tick(0.0, "0"),
            tick(0.5, "50"),
            tick(0.9, "90"),
            tick(0.99, "99"),
            tick(0.999, "99.9"),
            tick(0.9999, "99.99"),
            tick(0.99999, "99.999"),
        ],
    }
}
