//! The page of one run.

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    chart::{Chart, Line, Scale},
    charts::charts,
    column, escape, format_number, format_value, name_value_table,
    page::{banner, page},
    rows_of, table,
};

/// The members of the JSON object in the summary, in this order, with their labels.
const SUMMARY: [(&str, &str); 26] = [
    ("/workload", "workload"),
    ("/compress", "seconds of the scenario per second"),
    ("/loop", "loop"),
    ("/devices", "devices"),
    ("/connections", "connections"),
    ("/check_ins_offered", "check-ins offered"),
    ("/check_ins_acked", "check-ins acknowledged, durable"),
    ("/check_ins_held_back", "check-ins held back"),
    ("/check_ins_warm_up", "check-ins of the warm-up"),
    ("/rejected", "check-ins rejected"),
    ("/seconds", "seconds"),
    ("/offered_per_second", "check-ins per second, offered"),
    ("/check_ins_per_second", "check-ins per second, durable"),
    (
        "/ack_latency_ms/p50",
        "ack latency of a frame from when it was due, p50, ms",
    ),
    ("/ack_latency_ms/p99", "p99, ms"),
    ("/ack_latency_ms/p999", "p99.9, ms"),
    ("/ack_latency_ms/p9999", "p99.99, ms"),
    ("/ack_latency_ms/max", "max, ms"),
    (
        "/ack_latency_known_ms/p50",
        "ack latency after all devices had checked in, p50, ms",
    ),
    ("/ack_latency_known_ms/p99", "p99 of that, ms"),
    ("/busy", "busy frames from the server"),
    ("/reconnects", "reconnects"),
    (
        "/late_frames/by_server",
        "frames sent late because of the server",
    ),
    (
        "/late_frames/by_generator",
        "frames sent late because of the generator",
    ),
    ("/generator_core_seconds", "core seconds of the generator"),
    ("/server_core_seconds", "core seconds of the server"),
];

/// The page of a run, from its JSON object.
pub fn run(json: &Value) -> String {
    let workload = json["workload"].as_str().unwrap_or("run");
    let mut body = verdict(json);
    let rows = SUMMARY.iter().filter_map(|(pointer, name)| {
        let value = json.pointer(pointer)?;
        (!value.is_null()).then(|| ((*name).to_owned(), format_value(value)))
    });
    body.push_str("<section><h2>Summary</h2>");
    body.push_str(&name_value_table("Offered load and results", rows));
    body.push_str("</section>\n<section><h2>Over time</h2>\n<div class=\"grid\">\n");
    for chart in charts(json) {
        body.push_str(&chart.to_html());
    }
    body.push_str("</div></section>\n");
    body.push_str(&phases(json));
    body.push_str(&points(json));
    body.push_str(&other_tenant(json));
    body.push_str("<section><h2>Setup</h2><div class=\"grid\">");
    body.push_str(&name_value_table(
        "Parameters",
        rows_of(&json["parameters"]),
    ));
    body.push_str(&name_value_table("Machine", rows_of(&json["machine"])));
    body.push_str("</div></section>\n");
    body.push_str(&samples(json));
    page(&format!("Muster load test: {workload}"), &body)
}

/// Banners: the warning if there is one, and the verdict.
fn verdict(json: &Value) -> String {
    let mut text = String::new();
    if let Some(warning) = json["warning"].as_str() {
        text.push_str(&banner("warn", warning));
    }
    let cells = format_value(&json["cells"]);
    text.push_str(&if json["verified"] == true {
        banner(
            "good",
            &format!("Verified: all {cells} cells match the expected counts."),
        )
    } else if json["differences"].is_null() {
        banner("warn", "Not verified: no counts were compared.")
    } else {
        let first = json["differences"]["first"]
            .as_array()
            .into_iter()
            .flatten();
        let list: Vec<String> = first
            .map(|one| {
                let [what, expected, found] =
                    ["what", "expected", "found"].map(|key| format_value(&one[key]));
                format!("{what}: expected {expected}, counted {found}")
            })
            .collect();
        banner(
            "bad",
            &format!(
                "NOT VERIFIED: the server's counts differ from the expected counts. {}",
                list.join("; ")
            ),
        )
    });
    text
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
            .map(|key| phase.pointer(key).map_or_else(String::new, format_value))
            .collect()
    };
    let rows: Vec<Vec<String>> = phases.iter().map(row).collect();
    let table = table("Phases of the run", &header.map(str::to_owned), &rows);
    format!("<section><h2>Phases</h2>{table}</section>\n")
}

/// The rates that were tried in the search for the knee.
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
    let row = |point: &Value| keys.map(|key| format_value(&point[key])).to_vec();
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
        note: "All rates that were tried.".to_owned(),
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
            .map(|rate| (rate, "knee".to_owned()))
            .into_iter()
            .collect(),
        x_ticks: Vec::new(),
    };
    let knee = format_value(&json["knee_per_second"]);
    let table = table(
        "Rates in the order of the search",
        &header.map(str::to_owned),
        &rows,
    );
    format!(
        "<section><h2>The knee: {} check-ins per second</h2>{}{table}</section>\n",
        escape(&knee),
        chart.to_html()
    )
}

fn other_tenant(json: &Value) -> String {
    let other = &json["other_tenant"];
    if other.is_null() {
        return String::new();
    }
    let table = name_value_table("Sent by the other tenant at the same time", rows_of(other));
    format!("<section><h2>The other tenant</h2>{table}</section>\n")
}

/// The data behind the charts.
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
            .map_or_else(String::new, format_number)
    };
    let rows: Vec<Vec<String>> = (0..count)
        .map(|row| columns.iter().map(|column| cell(column, row)).collect())
        .collect();
    let table = table("One row per sample", &header, &rows);
    format!(
        "<details><summary>{}</summary>{table}</details>\n",
        escape("Data of the charts")
    )
}
