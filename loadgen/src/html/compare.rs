//! The page of a comparison of two runs.

use serde_json::Value;

use super::{
    chart::{Chart, Scale},
    charts::{distribution, line},
    format_number, format_value, name_value_table,
    page::{banner, page},
    rows_of, table,
};
use crate::compare::Comparison;

/// The page of a comparison.
pub fn comparison(comparison: &Comparison) -> String {
    let (before, after) = comparison.runs();
    let kind = if comparison.verdict.contains("worse") {
        "warn"
    } else {
        "good"
    };
    let mut body = banner(kind, &comparison.verdict);
    let row = |figure: &crate::compare::Figure| {
        vec![
            figure.name.to_owned(),
            format_number(figure.before),
            format_number(figure.after),
            figure
                .ratio()
                .map_or_else(String::new, |ratio| format!("{ratio:.3}")),
            figure.change.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = comparison.figures.iter().map(row).collect();
    let header = ["figure", "before", "after", "ratio", "change"].map(str::to_owned);
    body.push_str(&table("Figures of both runs", &header, &rows));
    body.push_str("<div class=\"grid\">\n");
    body.push_str(&distribution(&[("before", before), ("after", after)]).to_html());
    push_charts(&mut body, before, after);
    body.push_str("</div>\n");
    if !comparison.different.is_empty() {
        let rows: Vec<Vec<String>> = comparison
            .different
            .iter()
            .map(|(name, before, after)| {
                vec![name.clone(), format_value(before), format_value(after)]
            })
            .collect();
        let header = ["parameter", "before", "after"].map(str::to_owned);
        body.push_str(&table("Differences between the workloads", &header, &rows));
    }
    body.push_str("<div class=\"grid\">");
    for (run, name) in [(before, "before"), (after, "after")] {
        body.push_str(&name_value_table(
            &format!("Parameters, {name}"),
            rows_of(&run["parameters"]),
        ));
        body.push_str(&name_value_table(
            &format!("Machine, {name}"),
            rows_of(&run["machine"]),
        ));
    }
    body.push_str("</div>\n");
    page("Muster load test: two runs", &body)
}

/// The charts over time, with a line for each run.
fn push_charts(body: &mut String, before: &Value, after: &Value) {
    for (title, column, y, scale) in [
        (
            "Durable check-ins per second",
            "acked_each_second",
            "check-ins/s",
            Scale::Linear,
        ),
        ("Latency over time, p99", "p99_ms", "ms", Scale::Logarithmic),
    ] {
        let chart = Chart {
            title: title.to_owned(),
            note: "Both runs, from the start of each.".to_owned(),
            x: "seconds".to_owned(),
            y: y.to_owned(),
            scale,
            lines: vec![
                line(before, column, "before", 1.0),
                line(after, column, "after", 1.0),
            ],
            marks: Vec::new(),
            x_ticks: Vec::new(),
        };
        body.push_str(&chart.to_html());
    }
}
