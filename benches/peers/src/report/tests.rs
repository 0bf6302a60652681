//! Reports of peers that are absent, right and wrong.

use std::time::Duration;

use muster_testkit::latency::Latency;

use super::*;
use crate::peer::{Installed, Name};

const SIZE: Size = Size {
    devices: 10,
    check_ins: 1_000_000,
    seed: 1,
};

fn run(seconds: u64, faults: &[&str]) -> Run {
    Run {
        check_ins: 1_000_000,
        devices: 10,
        wall: Duration::from_secs(seconds),
        peer_core: Duration::from_secs(2),
        client_core: Duration::from_secs(1),
        disk_bytes: 80_000_000,
        disk_flushes: None,
        latency: Latency::default(),
        evidence: vec![("fsync".to_owned(), "on".to_owned())],
        faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
    }
}

fn measured(runs: Vec<Run>) -> Row {
    let best = crate::search::candidates(Name::Redis)[0];
    Row {
        name: Name::Redis,
        result: Ok(Measured {
            installed: Installed {
                program: "x".into(),
                version: "x 7".to_owned(),
            },
            best,
            tried: vec![(best, 1.0)],
            runs,
        }),
    }
}

#[test]
fn an_absent_peer_has_a_reason_and_no_figures() {
    let row = Row {
        name: Name::Nats,
        result: Err("not installed".to_owned()),
    };
    let report = Report::new(String::new(), SIZE, vec![row]);
    assert_eq!(
        report.json()["peers"][0],
        json!({"peer": "nats", "absent": "not installed"})
    );
    assert!(report.to_string().contains("nats: absent: not installed"));
    assert_eq!(report.json()["verified"], Value::Null);
    assert!(report.verified(), "an absent peer does not count as wrong");
}

#[test]
fn figures_are_medians_and_the_spread_is_a_fraction() {
    let report = Report::new(
        String::new(),
        SIZE,
        vec![measured(vec![run(1, &[]), run(4, &[]), run(2, &[])])],
    );
    let peer = &report.json()["peers"][0];
    assert_eq!(peer["durable_check_ins_per_second"], json!(500_000.0));
    assert_eq!(peer["spread"], json!(1.5));
    assert_eq!(peer["peer_core_seconds_per_million"], json!(2.0));
    assert_eq!(peer["disk_flushes_of_all_programs"], Value::Null);
    assert_eq!(peer["durable_by"]["fsync"], "on");
    assert_eq!(peer["verified"], true);
}

#[test]
fn one_wrong_run_makes_the_report_wrong() {
    let report = Report::new(
        String::new(),
        SIZE,
        vec![measured(vec![run(1, &[]), run(1, &["device x: absent"])])],
    );
    assert!(!report.verified());
    assert_eq!(report.json()["verified"], false);
    assert!(report.to_string().contains("WRONG: device x: absent"));
}
