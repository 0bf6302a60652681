//! The outputs of the binary: HTML pages, logs, comparisons, knees, ceilings.

use std::{fs, path::Path};

use muster_client::testing::Action;
use serde_json::Value;

use crate::{
    SMALL, binary, command_line,
    model_server::{InjectedFault, ModelServer},
};

fn object(arguments: &[String]) -> Value {
    let output = binary(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("one object")
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

#[test]
fn a_ramp_has_a_phase_per_step_and_writes_its_latencies() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let directory = tempfile::tempdir().expect("a directory can be made");
    let hdr = directory.path().join("run.hdr");
    let page = directory.path().join("run.html");
    let ramp = [
        "--devices=100",
        "--ramp=100..300",
        "--steps=2",
        "--step-seconds=1.5",
    ];
    let more = [
        "--frame=10",
        "--json",
        &option("hdr", &hdr),
        &option("report", &page),
    ];
    let json = object(&command_line(&server, &[&ramp[..], &more[..]].concat()));
    assert_eq!(json["check_ins_offered"], 600);
    assert_eq!(json["phases"].as_array().map(Vec::len), Some(2), "{json}");
    let log = fs::read_to_string(&hdr).expect("it was written");
    let lines = log.lines().filter(|line| !line.starts_with('#'));
    let samples = json["samples"]["until_seconds"].as_array().map(Vec::len);
    assert_eq!(Some(lines.count()), samples);
    let page = fs::read_to_string(&page).expect("it was written");
    assert!(page.contains("Verified: all") && page.contains("step 2"));
    assert!(!page.contains("http://") && !page.contains("<script"));
}

#[test]
fn two_runs_are_compared_if_they_are_the_same_workload() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let run = |name: &str, more: &str| {
        let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
        let json = object(&command_line(
            &server,
            &[&SMALL[..], &["--json", more]].concat(),
        ));
        let path = directory.path().join(name);
        fs::write(&path, json.to_string()).expect("it can be written");
        path.display().to_string()
    };
    let (one, same) = (run("one.json", "--seed=1"), run("same.json", "--seed=1"));
    let other = run("other.json", "--seed=2");
    let page = directory.path().join("two.html");
    let compare = |before: &str, after: &str, more: &str| {
        let all = ["muster-loadgen", "compare", before, after, "--json", more];
        binary(&all.map(str::to_owned))
    };
    let output = compare(&one, &same, &option("report", &page));
    let json: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["same_workload"], true, "{json}");
    assert!(
        fs::read_to_string(&page)
            .expect("it was written")
            .contains("two runs")
    );
    let refused = compare(&one, &other, &option("report", &page));
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("seed 1 and 2"),
        "{refused:?}"
    );
    assert_eq!(
        compare(&one, &other, "--different-workloads").status.code(),
        Some(0)
    );
}

#[test]
fn the_search_for_a_knee_is_verified() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let mut all = command_line(
        &server,
        &[
            "--devices=100",
            "--frame=5",
            "--json",
            "--from=50",
            "--to=200",
        ],
    );
    all[1] = "knee".to_owned();
    all.extend(["--point-seconds=0.5", "--p99-max=10000", "--time-max=30"].map(str::to_owned));
    let json = object(&all);
    assert_eq!(json["verified"], true, "{json}");
    assert_eq!(json["workload"], "knee");
    let points = json["points"].as_array().expect("points");
    assert!(!points.is_empty() && points[0]["rate"] == 50.0, "{json}");
    let good = points.iter().filter(|point| point["good"] == true);
    let highest = good
        .filter_map(|point| point["rate"].as_f64())
        .reduce(f64::max);
    assert_eq!(json["knee_per_second"].as_f64(), highest);
}

#[test]
fn the_ceiling_needs_no_server() {
    let all = [
        "muster-loadgen",
        "ceiling",
        "--devices=100",
        "--seconds=0.2",
        "--json",
    ];
    let json = object(&all.map(str::to_owned));
    assert!(json["check_ins_per_second"].as_f64() > Some(0.0), "{json}");
}
