//! The page of one run.

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    chart::{Chart, Line, Scale},
    column, escape,
    page::{banner, page},
    pairs, rows_of, shown, table, text_of,
};

/// Members of the object that the summary shows, in this order, with what they are called.
const SUMMARY: [(&str, &str); 24] = [
    ("/workload", "workload"),
    (
        "/compress",
        "time of the scenario passes, times as fast as the clock",
    ),
    ("/loop", "loop"),
    ("/devices", "devices"),
    ("/connections", "connections"),
    ("/check_ins_offered", "check-ins offered"),
    ("/check_ins_acked", "check-ins acknowledged, durable"),
    ("/check_ins_held_back", "check-ins held back"),
    (
        "/check_ins_settled",
        "check-ins before, to settle the fleet",
    ),
    ("/rejected", "check-ins rejected"),
    ("/seconds", "seconds"),
    ("/offered_per_second", "check-ins a second, offered"),
    ("/check_ins_per_second", "check-ins a second, durable"),
    (
        "/ack_latency_ms/p50",
        "ack latency of a frame from when it was due, p50, ms",
    ),
    ("/ack_latency_ms/p99", "p99, ms"),
    ("/ack_latency_ms/p999", "p99.9, ms"),
    ("/ack_latency_ms/p9999", "p99.99, ms"),
    ("/ack_latency_ms/max", "max, ms"),
    ("/busy", "pauses that the server asked for"),
    ("/reconnects", "connections lost and opened again"),
    (
        "/late_frames/by_server",
        "frames that left late because of the server",
    ),
    (
        "/late_frames/by_generator",
        "frames that left late because of the generator",
    ),
    ("/generator_core_seconds", "core seconds of the generator"),
    ("/server_core_seconds", "core seconds of the server"),
];

/// The page of a run, from its object.
pub fn run(json: &Value) -> String {
    let workload = json["workload"].as_str().unwrap_or("run");
    let mut body = verdict(json);
    let rows = SUMMARY.iter().filter_map(|(pointer, name)| {
        let value = json.pointer(pointer)?;
        (!value.is_null()).then(|| ((*name).to_owned(), text_of(value)))
    });
    body.push_str("<section><h2>Summary</h2>");
    body.push_str(&pairs("What was offered and what came of it", rows));
    body.push_str("</section>\n<section><h2>Over time</h2>\n<div class=\"grid\">\n");
    for chart in charts(json) {
        body.push_str(&chart.to_html());
    }
    body.push_str("</div></section>\n");
    body.push_str(&phases(json));
    body.push_str(&points(json));
    body.push_str(&other_tenant(json));
    body.push_str("<section><h2>Set up</h2><div class=\"grid\">");
    body.push_str(&pairs("Parameters", rows_of(&json["parameters"])));
    body.push_str(&pairs("Machine", rows_of(&json["machine"])));
    body.push_str("</div></section>\n");
    body.push_str(&samples(json));
    page(&format!("Muster load test: {workload}"), &body)
}

/// Banners, the most important first.
fn verdict(json: &Value) -> String {
    let mut text = String::new();
    if let Some(warning) = json["warning"].as_str() {
        text.push_str(&banner("warn", warning));
    }
    let cells = text_of(&json["cells"]);
    text.push_str(&if json["verified"] == true {
        banner(
            "good",
            &format!("Verified: every one of {cells} cells equals the prediction."),
        )
    } else if json["differences"].is_null() {
        banner("warn", "Not verified: nothing was compared.")
    } else {
        let first = json["differences"]["first"]
            .as_array()
            .into_iter()
            .flatten();
        let list: Vec<String> = first
            .map(|one| {
                let [what, expected, found] =
                    ["what", "expected", "found"].map(|key| text_of(&one[key]));
                format!("{what}: predicted {expected}, counted {found}")
            })
            .collect();
        banner(
            "bad",
            &format!(
                "NOT VERIFIED: the server's counts differ. {}",
                list.join("; ")
            ),
        )
    });
    text
}

/// A line of a column of the samples.
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

/// All charts of a run over its time, and its distribution.
fn charts(json: &Value) -> Vec<Chart> {
    let phases = json["phases"].as_array().into_iter().flatten().skip(1);
    let marks: Vec<(f64, String)> = phases
        .filter_map(|phase| Some((phase["from_seconds"].as_f64()?, text_of(&phase["name"]))))
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
        places: Vec::new(),
    };
    let mut charts: Vec<Chart> = OVER_TIME.iter().map(chart).collect();
    charts.insert(2, distribution(&[("this run", json)]));
    charts
}

/// Title, note, unit, scale, and columns with their names.
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
        "Check-ins a second: due by the schedule, and durable.",
        "check-ins/s",
        Scale::Linear,
        &[
            ("offered_each_second", "offered"),
            ("acked_each_second", "durable"),
        ],
    ),
    (
        "Latency over time",
        "From the time a frame was due to its ack, of the frames acknowledged in each second.",
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
        "Late frames and pressure",
        "Frames that left over 5 ms late, by cause; pauses that the server asked for; connections lost.",
        "in a second",
        Scale::Linear,
        &[
            ("late_by_server", "late: server"),
            ("late_by_generator", "late: generator"),
            ("busy", "pauses"),
            ("reconnects", "lost"),
        ],
    ),
    (
        "Cores",
        "Cores in use, where the process of the server was given.",
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

/// Samples count memory in bytes.
fn divisor(unit: &str) -> f64 {
    if unit == "MiB" { 1_048_576.0 } else { 1.0 }
}

/// The latencies by their rank, of one run or of several.
pub(super) fn distribution(runs: &[(&str, &Value)]) -> Chart {
    // Nines are equally far apart.
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
    let place = |quantile: f64, name: &str| (nines(quantile), name.to_owned());
    Chart {
        title: "Latency distribution".to_owned(),
        note: "So many of all frames had at most this latency.".to_owned(),
        x: "percentile".to_owned(),
        y: "ms".to_owned(),
        scale: Scale::Logarithmic,
        lines: runs.iter().map(line).collect(),
        marks: Vec::new(),
        places: vec![
            place(0.0, "0"),
            place(0.5, "50"),
            place(0.9, "90"),
            place(0.99, "99"),
            place(0.999, "99.9"),
            place(0.9999, "99.99"),
            place(0.99999, "99.999"),
        ],
    }
}

fn phases(json: &Value) -> String {
    let Some(phases) = json["phases"]
        .as_array()
        .filter(|phases| !phases.is_empty())
    else {
        return String::new();
    };
    let header = [
        "phase",
        "from, s",
        "offered/s",
        "durable/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
    ];
    let keys = [
        "/name",
        "/from_seconds",
        "/offered_each_second",
        "/acked_each_second",
        "/ack_latency_ms/p50",
        "/ack_latency_ms/p99",
        "/ack_latency_ms/p999",
        "/ack_latency_ms/max",
    ];
    let row = |phase: &Value| -> Vec<String> {
        keys.iter()
            .map(|key| phase.pointer(key).map_or_else(String::new, text_of))
            .collect()
    };
    let rows: Vec<Vec<String>> = phases.iter().map(row).collect();
    let table = table("Parts of the run", &header.map(str::to_owned), &rows);
    format!("<section><h2>Phases</h2>{table}</section>\n")
}

/// The rates that a knee was looked for at.
fn points(json: &Value) -> String {
    let Some(points) = json["points"].as_array() else {
        return String::new();
    };
    let header = [
        "offered/s",
        "durable/s",
        "held back",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "good",
        "limit",
    ];
    let keys = [
        "rate",
        "achieved",
        "held_back",
        "p50_ms",
        "p99_ms",
        "p999_ms",
        "max_ms",
        "good",
        "limited_by",
    ];
    let row = |point: &Value| keys.map(|key| text_of(&point[key])).to_vec();
    let rows: Vec<Vec<String>> = points.iter().map(row).collect();
    let mut by_rate: Vec<&Value> = points.iter().collect();
    by_rate.sort_by(|a, b| {
        a["rate"]
            .as_f64()
            .partial_cmp(&b["rate"].as_f64())
            .unwrap_or(Ordering::Equal)
    });
    let line = |key: &str, name: &str| Line {
        name: name.to_owned(),
        points: by_rate
            .iter()
            .filter_map(|point| Some((point["rate"].as_f64()?, point[key].as_f64())))
            .collect(),
    };
    let chart = Chart {
        title: "Latency by rate".to_owned(),
        note: "Every rate that was tried.".to_owned(),
        x: "check-ins/s, offered".to_owned(),
        y: "ms".to_owned(),
        scale: Scale::Logarithmic,
        lines: vec![
            line("p50_ms", "p50"),
            line("p99_ms", "p99"),
            line("max_ms", "max"),
        ],
        marks: json["knee_per_second"]
            .as_f64()
            .map(|rate| (rate, "the knee".to_owned()))
            .into_iter()
            .collect(),
        places: Vec::new(),
    };
    let knee = text_of(&json["knee_per_second"]);
    let table = table(
        "Rates in the order in which they were tried",
        &header.map(str::to_owned),
        &rows,
    );
    format!(
        "<section><h2>The knee: {} check-ins a second</h2>{}{table}</section>\n",
        escape(&knee),
        chart.to_html()
    )
}

fn other_tenant(json: &Value) -> String {
    let other = &json["other_tenant"];
    if other.is_null() {
        return String::new();
    }
    let table = pairs(
        "What the other tenant sent at the same time",
        rows_of(other),
    );
    format!("<section><h2>The other tenant</h2>{table}</section>\n")
}

/// Every number behind the charts.
fn samples(json: &Value) -> String {
    let Some(columns) = json["samples"].as_object() else {
        return String::new();
    };
    let header: Vec<String> = columns.keys().map(|name| name.replace('_', " ")).collect();
    let columns: Vec<Vec<Option<f64>>> = columns.keys().map(|name| column(json, name)).collect();
    let count = columns.first().map_or(0, Vec::len);
    let cell = |column: &Vec<Option<f64>>, row: usize| {
        column
            .get(row)
            .copied()
            .flatten()
            .map_or_else(String::new, shown)
    };
    let rows: Vec<Vec<String>> = (0..count)
        .map(|row| columns.iter().map(|column| cell(column, row)).collect())
        .collect();
    let table = table("A row for each sample", &header, &rows);
    format!(
        "<details><summary>{}</summary>{table}</details>\n",
        escape("The numbers behind the charts")
    )
}
