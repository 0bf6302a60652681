//! The shape of the report, which scripts rely on.

use std::time::Duration;

use super::*;
use crate::verify::Difference;
use muster_client::Progress;

fn report() -> Report {
    let mut latency = Latency::default();
    for milliseconds in 1..=1000 {
        latency.record(Duration::from_millis(milliseconds));
    }
    let counts = json!({"devices": 10, "onboarded": 7, "not_onboarded": 3, "risk": {"none": 10}});
    Report {
        setup: Setup {
            mode: "gateway",
            seed: 1,
            devices: 10,
            connections: 2,
            frame: 4096,
            window: 32,
            rate: None,
        },
        measured: Measured {
            offered: 130,
            sent: 100,
            held_back: 30,
            acked: 100,
            seconds: 0.5,
            inventories: 4,
            progress: Progress {
                accepted: 94,
                duplicate: 10,
                connections: 3,
                ..Progress::default()
            },
            before: Progress {
                accepted: 4,
                ..Progress::default()
            },
            latency,
            rejections: Vec::new(),
        },
        counts: counts.as_object().cloned(),
        verdict: Some(Verdict {
            cells: 3,
            ..Verdict::default()
        }),
        server_rss_base_bytes: Some(1000),
        server_rss_bytes: None,
    }
}

#[test]
fn the_json_object_has_what_scripts_read() {
    let json = report().to_json();
    for (key, value) in [
        ("devices", json!(10)),
        ("check_ins_offered", json!(130)),
        ("check_ins_sent", json!(100)),
        ("check_ins_held_back", json!(30)),
        ("check_ins_acked", json!(100)),
        ("check_ins_per_second", json!(200.0)),
        ("accepted", json!(90)),
        ("duplicate", json!(10)),
        ("stale", json!(0)),
        ("rejected", json!(0)),
        ("seconds", json!(0.5)),
        ("durability", json!("fsync")),
        ("verified", json!(true)),
        ("server_rss_base_bytes", json!(1000)),
        ("server_rss_bytes", json!(null)),
        ("mode", json!("gateway")),
        ("loop", json!("closed")),
        ("connections", json!(2)),
        ("reconnects", json!(1)),
        ("seed", json!(1)),
        ("frame", json!(4096)),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    for (key, value) in [
        ("p50", 500.0),
        ("p90", 900.0),
        ("p99", 990.0),
        ("p999", 999.0),
        ("max", 1000.0),
    ] {
        let found = json["ack_latency_ms"][key].as_f64().unwrap();
        assert!((found - value).abs() < 1.0, "{key} is {found}");
    }
    assert!(json["ack_latency_ms"]["p9999"].is_f64());
    assert_eq!(json["counts"]["onboarded"], 7);
    assert_eq!(json["counts"]["risk"]["none"], 10);
}

#[test]
fn the_text_says_the_verdict_last() {
    let text = report().to_text();
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        "VERIFIED: every one of 3 cells equals the prediction."
    );
    assert!(
        text.contains("durable check-ins per second") && text.contains("200"),
        "{text}"
    );
}

#[test]
fn differences_are_told_as_far_as_anybody_reads() {
    let difference = |number| Difference {
        what: format!("cell {number}"),
        expected: 2,
        found: 1,
    };
    let mut report = report();
    let verdict = report.verdict.as_mut().unwrap();
    verdict.cell_differences = (0..30).map(difference).collect();
    assert!(report.is_wrong() && !report.is_verified());
    let json = report.to_json();
    assert_eq!(json["verified"], false);
    assert_eq!(json["differences"]["cells"], 30);
    assert_eq!(json["differences"]["first"].as_array().unwrap().len(), 20);
    let text = report.to_text();
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with("NOT VERIFIED: 30 cells"),
        "{text}"
    );
    assert_eq!(text.matches("predicted 2, counted 1").count(), 20);
}

#[test]
fn a_run_that_is_not_verified_is_neither_right_nor_wrong() {
    let report = Report {
        verdict: None,
        ..report()
    };
    assert!(!report.is_verified() && !report.is_wrong());
    assert_eq!(report.to_json()["verified"], false);
    assert!(report.to_json()["differences"].is_null());
}

#[test]
fn an_open_loop_that_falls_behind_is_marked() {
    let mut report = report();
    report.setup.frame = 1;
    report.measured.latency = Latency::default();
    report.setup.rate = Some(200.0);
    assert!(
        !report.is_saturated(),
        "100 check-ins in 0.5 s are 200 a second"
    );
    report.setup.rate = Some(400.0);
    assert!(report.is_saturated());
    assert_eq!(report.to_json()["loop"], "open");
}
