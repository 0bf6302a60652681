//! The page of two runs side by side.

use super::{
    chart::{Chart, Scale},
    charts::{distribution, line},
    page::{banner, page},
    pairs, rows_of, shown, table, text_of,
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
            shown(figure.before),
            shown(figure.after),
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
    for (title, column, y, scale) in [
        (
            "Durable check-ins a second",
            "acked_each_second",
            "check-ins/s",
            Scale::Linear,
        ),
        ("Latency over time, p99", "p99_ms", "ms", Scale::Logarithmic),
    ] {
        let chart = Chart {
            title: title.to_owned(),
            note: "Of both runs, from the start of each.".to_owned(),
            x: "seconds".to_owned(),
            y: y.to_owned(),
            scale,
            lines: vec![
                line(before, column, "before", 1.0),
                line(after, column, "after", 1.0),
            ],
            marks: Vec::new(),
            places: Vec::new(),
        };
        body.push_str(&chart.to_html());
    }
    body.push_str("</div>\n");
    if !comparison.different.is_empty() {
        let rows: Vec<Vec<String>> = comparison
            .different
            .iter()
            .map(|(name, before, after)| vec![name.clone(), text_of(before), text_of(after)])
            .collect();
        let header = ["parameter", "before", "after"].map(str::to_owned);
        body.push_str(&table("In what the workloads differ", &header, &rows));
    }
    body.push_str("<div class=\"grid\">");
    for (run, name) in [(before, "before"), (after, "after")] {
        body.push_str(&pairs(
            &format!("Parameters, {name}"),
            rows_of(&run["parameters"]),
        ));
        body.push_str(&pairs(
            &format!("Machine, {name}"),
            rows_of(&run["machine"]),
        ));
    }
    body.push_str("</div>\n");
    page("Muster load test: two runs", &body)
}
