//! Compares two runs: which figures differ, by how much, and a verdict.
//!
//! Reads the `--json` output of runs. Runs of different workloads are refused by default, because their ratio is
//! meaningless. Bounds: 256 MiB per file.

use std::{fs, io, path::Path};

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::{cli::CompareArguments, error::RunError};

/// Relative differences up to this are treated as noise. Runs on a shared machine differ by as much.
const NOISE: f64 = 0.05;

/// The output of a run is smaller.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The compared figures: name, JSON pointer, and the direction that is better.
const FIGURES: [(&str, &str, Better); 11] = [
    (
        "check-ins a second",
        "/check_ins_per_second",
        Better::Higher,
    ),
    ("p50, ms", "/ack_latency_ms/p50", Better::Lower),
    ("p90, ms", "/ack_latency_ms/p90", Better::Lower),
    ("p99, ms", "/ack_latency_ms/p99", Better::Lower),
    ("p99.9, ms", "/ack_latency_ms/p999", Better::Lower),
    ("p99.99, ms", "/ack_latency_ms/p9999", Better::Lower),
    ("max, ms", "/ack_latency_ms/max", Better::Lower),
    ("check-ins held back", "/check_ins_held_back", Better::Lower),
    (
        "resident memory of the server, bytes",
        "/server_rss_bytes",
        Better::Lower,
    ),
    (
        "core seconds of the server",
        "/server_core_seconds",
        Better::Lower,
    ),
    (
        "core seconds of the generator",
        "/generator_core_seconds",
        Better::Lower,
    ),
];

/// The figures that the verdict is about; the others are only shown.
const DECISIVE: [&str; 2] = ["/check_ins_per_second", "/ack_latency_ms/p99"];

/// The direction in which a figure improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// A figure of both runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The name.
    pub name: &'static str,
    /// The value of the first run.
    pub before: f64,
    /// The value of the second run.
    pub after: f64,
    /// `better`, `worse` or `same`.
    pub change: &'static str,
}

impl Figure {
    /// The second value divided by the first; `None` if the first is 0.
    pub fn ratio(&self) -> Option<f64> {
        (self.before != 0.0).then(|| self.after / self.before)
    }
}

/// A comparison of two runs.
#[derive(Debug)]
pub struct Comparison {
    before: Value,
    after: Value,
    /// The figures that both runs have.
    pub figures: Vec<Figure>,
    /// Parameters that differ: name, first value, second value.
    pub different: Vec<(String, Value, Value)>,
    /// The verdict, as text.
    pub verdict: String,
}

/// Compares the outputs of two runs.
///
/// # Errors
/// If a file is not the output of a run, or if the workloads differ.
pub fn run(arguments: &CompareArguments) -> Result<Comparison, RunError> {
    let comparison = Comparison::of(read(&arguments.before)?, read(&arguments.after)?);
    if !comparison.different.is_empty() && !arguments.different_workloads {
        let names: Vec<String> = comparison
            .different
            .iter()
            .map(|(name, before, after)| format!("{name} {before} and {after}"))
            .collect();
        return Err(RunError::Usage(format!(
            "the workloads differ ({}), so ratios are meaningless; pass --different-workloads to compare them \
             anyway",
            names.join(", "),
        )));
    }
    Ok(comparison)
}

fn read(path: &Path) -> Result<Value, RunError> {
    let length = fs::metadata(path)
        .map_err(|error| cannot_read(path, &error))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(cannot_compare(path, &"it is too large"));
    }
    let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| cannot_compare(path, &error))?;
    if json["workload"].is_string() && json["ack_latency_ms"].is_object() {
        Ok(json)
    } else {
        Err(cannot_compare(
            path,
            &"it is not the --json output of a run",
        ))
    }
}

fn cannot_read(path: &Path, error: &io::Error) -> RunError {
    RunError::File(format!("cannot read {}: {error}", path.display()))
}

fn cannot_compare(path: &Path, problem: &dyn std::fmt::Display) -> RunError {
    RunError::Usage(format!("cannot compare {}: {problem}", path.display()))
}

impl Comparison {
    fn of(before: Value, after: Value) -> Self {
        let number = |json: &Value, pointer| json.pointer(pointer).and_then(Value::as_f64);
        let figures: Vec<(&str, Figure)> = FIGURES
            .iter()
            .filter_map(|(name, pointer, better)| {
                let (before, after) = (number(&before, pointer)?, number(&after, pointer)?);
                let change = change(before, after, *better);
                Some((
                    *pointer,
                    Figure {
                        name,
                        before,
                        after,
                        change,
                    },
                ))
            })
            .collect();
        let verdict = verdict(&figures, [&before, &after]);
        Self {
            different: different(&before, &after),
            figures: figures.into_iter().map(|(_, figure)| figure).collect(),
            verdict,
            before,
            after,
        }
    }

    /// The JSON objects of both runs.
    pub(crate) const fn runs(&self) -> (&Value, &Value) {
        (&self.before, &self.after)
    }

    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| {
            json!({
                "name": figure.name,
                "before": figure.before,
                "after": figure.after,
                "ratio": figure.ratio(),
                "change": figure.change,
            })
        });
        json!({
            "verdict": self.verdict,
            "same_workload": self.different.is_empty(),
            "different": self.different.iter().map(|(name, before, after)| json!([name, before, after]))
                .collect::<Vec<_>>(),
            "figures": figures.collect::<Vec<_>>(),
        })
    }

    /// The report as text: a table, followed by the verdict.
    pub fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.set_header(
            ["figure", "before", "after", "ratio", ""].map(|name| right(name.to_owned())),
        );
        for figure in &self.figures {
            table.add_row([
                Cell::new(figure.name),
                right(format!("{:.2}", figure.before)),
                right(format!("{:.2}", figure.after)),
                right(
                    figure
                        .ratio()
                        .map_or_else(String::new, |ratio| format!("{ratio:.3}")),
                ),
                Cell::new(figure.change),
            ]);
        }
        format!("{table}\n{}", self.verdict)
    }
}

fn change(before: f64, after: f64, better: Better) -> &'static str {
    if (after - before).abs() <= before.abs() * NOISE {
        return "same";
    }
    if (after > before) == (better == Better::Higher) {
        "better"
    } else {
        "worse"
    }
}

/// The parameters in which two runs differ. The seed is one of them: another fleet is another workload.
fn different(before: &Value, after: &Value) -> Vec<(String, Value, Value)> {
    let mut found = Vec::new();
    let mut compare = |name: &str, before: &Value, after: &Value| {
        if before != after {
            found.push((name.to_owned(), before.clone(), after.clone()));
        }
    };
    compare("workload", &before["workload"], &after["workload"]);
    let (first, second) = (&before["parameters"], &after["parameters"]);
    let names = |json: &Value| {
        json.as_object()
            .into_iter()
            .flat_map(|all| all.keys().cloned())
            .collect::<Vec<_>>()
    };
    let mut all = names(first);
    all.extend(
        names(second)
            .into_iter()
            .filter(|name| first.get(name).is_none()),
    );
    for name in all {
        compare(&name, &first[&name], &second[&name]);
    }
    found
}

fn verdict(figures: &[(&str, Figure)], runs: [&Value; 2]) -> String {
    let decisive = figures
        .iter()
        .filter(|(pointer, _)| DECISIVE.contains(pointer));
    let changes: Vec<String> = decisive
        .filter_map(|(_, figure)| {
            let ratio = figure.ratio()?;
            (figure.change != "same")
                .then(|| format!("{} {} ({ratio:.2} times)", figure.name, figure.change))
        })
        .collect();
    let mut text = if changes.is_empty() {
        "No significant difference in rate and p99.".to_owned()
    } else {
        format!("The second run has {}.", changes.join(" and "))
    };
    for (run, name) in runs.into_iter().zip(["first", "second"]) {
        if run["verified"] != true {
            text.push_str(&format!(
                " The {name} run was not verified, so its figures are not valid."
            ));
        }
        if run["limited_by"] == "generator" {
            text.push_str(&format!(" The generator was the limit of the {name} run."));
        }
    }
    if different(runs[0], runs[1]).is_empty() {
        return text;
    }
    text.push_str(" The workloads differ.");
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Compares two JSON objects.
    pub(crate) fn comparison(before: Value, after: Value) -> Comparison {
        Comparison::of(before, after)
    }

    fn object(rate: f64, p99: f64) -> Value {
        json!({
            "workload": "run",
            "parameters": {"devices": 10, "seed": 1},
            "check_ins_per_second": rate,
            "ack_latency_ms": {"p50": 1.0, "p99": p99},
            "verified": true,
        })
    }

    #[test]
    fn ratios_and_verdict_follow_the_figures() {
        let comparison = Comparison::of(object(100.0, 10.0), object(200.0, 10.3));
        assert_eq!(
            comparison.verdict,
            "The second run has check-ins a second better (2.00 times)."
        );
        let changes: Vec<&str> = comparison
            .figures
            .iter()
            .map(|figure| figure.change)
            .collect();
        assert_eq!(changes, ["better", "same", "same"]);
        let worse = Comparison::of(object(100.0, 10.0), object(100.0, 30.0));
        assert!(
            worse.verdict.contains("p99, ms worse (3.00 times)"),
            "{}",
            worse.verdict
        );
        let same = Comparison::of(object(100.0, 10.0), object(101.0, 10.0));
        assert_eq!(same.verdict, "No significant difference in rate and p99.");
        assert_eq!(same.to_json()["same_workload"], true);
    }

    #[test]
    fn the_verdict_says_what_makes_figures_invalid() {
        let mut after = object(100.0, 10.0);
        after["verified"] = false.into();
        after["limited_by"] = "generator".into();
        after["parameters"]["devices"] = 20.into();
        let comparison = Comparison::of(object(100.0, 10.0), after);
        for words in [
            "second run was not verified",
            "limit of the second run",
            "workloads differ",
        ] {
            assert!(comparison.verdict.contains(words), "{}", comparison.verdict);
        }
        assert_eq!(
            comparison.different,
            [("devices".to_owned(), 10.into(), 20.into())]
        );
    }

    #[test]
    fn different_workloads_must_be_requested_and_other_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut other = object(1.0, 1.0);
        other["workload"] = "steady".into();
        let mut arguments = CompareArguments {
            before: file("before.json", &object(1.0, 1.0).to_string()),
            after: file("after.json", &other.to_string()),
            report: None,
            json: false,
            different_workloads: false,
        };
        let error = run(&arguments).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().contains("--different-workloads"),
            "{error}"
        );
        arguments.different_workloads = true;
        assert!(run(&arguments).is_ok());
        for text in ["{}", "", "[1]"] {
            arguments.after = file("after.json", text);
            assert_eq!(run(&arguments).unwrap_err().exit_code(), 2, "{text}");
        }
        arguments.after = directory.path().join("missing.json");
        assert_eq!(run(&arguments).unwrap_err().exit_code(), 13);
    }
}
