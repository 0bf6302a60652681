//! The report's JSON keys, on which scripts depend, and its text.

use std::time::Duration;

use super::*;
use crate::{
    series::{Series, Totals},
    striped_histograms::LatencyHistograms,
    verify::Difference,
};
use muster_client::Progress;

fn report() -> Report {
    let mut histograms = LatencyHistograms::default();
    for milliseconds in 1..=1000 {
        // The slow frames are those of the first round.
        histograms.record(Duration::from_millis(milliseconds), milliseconds <= 100);
    }
    let mut series = Series::default();
    let totals = Totals {
        acked: 100,
        ..Totals::default()
    };
    series.sample(Duration::from_millis(500), totals, &histograms);
    let counts = json!({"devices": 10, "onboarded": 7, "not_onboarded": 3, "risk": {"none": 10}});
    Report {
        setup: Setup {
            workload: "run",
            mode: "gateway",
            shape: Shape::new(1),
            devices: 10,
            connections: 2,
            frame: 4096,
            window: 32,
            rate: None,
            load: Load::closed(),
            timing: None,
            parameters: Map::new(),
            phases: Vec::new(),
        },
        measured: Measurements {
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
            series,
            ..Measurements::default()
        },
        counts: counts.as_object().cloned(),
        verdict: Some(Verdict {
            cells: 3,
            ..Verdict::default()
        }),
        server_rss_base_bytes: Some(1000),
        server_rss_bytes: None,
        other: None,
    }
}

#[test]
fn the_json_object_has_the_keys_that_scripts_read() {
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
    let assert_near = |latency: &str, percentiles: [f64; 6], tolerance: f64| {
        let keys = ["p50", "p90", "p99", "p999", "p9999", "max"];
        for (key, value) in keys.into_iter().zip(percentiles) {
            let found = json[latency][key].as_f64().unwrap();
            assert!(
                (found - value).abs() < tolerance,
                "{latency}: {key} is {found}"
            );
        }
    };
    assert_near(
        "ack_latency_ms",
        [500.0, 900.0, 990.0, 999.0, 1000.0, 1000.0],
        1.0,
    );
    assert_near(
        "ack_latency_known_ms",
        [50.0, 90.0, 99.0, 100.0, 100.0, 100.0],
        0.2,
    );
    assert_eq!(json["counts"]["onboarded"], 7);
    assert_eq!(json["counts"]["risk"]["none"], 10);
}

#[test]
fn the_text_ends_with_the_verdict() {
    let text = report().to_text();
    let last = text.lines().last().unwrap();
    assert_eq!(last, "VERIFIED: all 3 cells match the expected counts.");
    assert!(
        text.contains("durable check-ins per second") && text.contains("200"),
        "{text}"
    );
}

#[test]
fn the_latency_of_a_known_fleet_is_reported_only_if_there_was_one() {
    let line = "Ack latency of a known fleet";
    let mut report = report();
    let text = report.to_text();
    let found = text.lines().find(|text| text.starts_with(line)).unwrap();
    assert!(
        found.contains("p50 50.0") && found.ends_with("max 100.03 ms."),
        "{found}"
    );
    let mut histograms = LatencyHistograms::default();
    histograms.record(Duration::from_millis(5), false);
    report.measured.series = Series::default();
    report
        .measured
        .series
        .sample(Duration::from_millis(500), Totals::default(), &histograms);
    let json = report.to_json();
    assert!(json["ack_latency_ms"].is_object());
    assert!(json["ack_latency_known_ms"].is_null(), "{json}");
    assert!(!report.to_text().contains(line));
}

#[test]
fn the_number_of_reported_differences_is_limited() {
    let difference = |number| Difference {
        what: format!("cell {number}"),
        expected: 2,
        found: 1,
    };
    let mut report = report();
    let verdict = report.verdict.as_mut().unwrap();
    verdict.cell_differences = (0..30).map(difference).collect();
    assert!(report.has_differences() && !report.is_verified());
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
    assert_eq!(text.matches("expected 2, counted 1").count(), 20);
}

#[test]
fn a_run_without_verification_neither_matches_nor_differs() {
    let report = Report {
        verdict: None,
        ..report()
    };
    assert!(!report.is_verified() && !report.has_differences());
    assert_eq!(report.to_json()["verified"], false);
    assert!(report.to_json()["differences"].is_null());
}

#[test]
fn an_open_loop_that_falls_behind_is_saturated() {
    let mut report = report();
    report.setup.frame = 1;
    report.measured.series = Series::default();
    report.setup.rate = Some(200.0);
    report.setup.load.profile = Profile::of_rate(Some(200.0));
    assert!(
        !report.is_saturated(),
        "100 check-ins in 0.5 s are 200 per second"
    );
    report.setup.rate = Some(400.0);
    assert!(report.is_saturated());
    assert_eq!(report.to_json()["loop"], "open");
}

#[test]
fn a_limiting_generator_is_reported_in_text_and_json() {
    let mut report = report();
    report.measured.waiting_seconds = 0.05;
    assert_eq!(
        report.limit(),
        Some(Limit::Generator),
        "5 % of two connections' time"
    );
    report.measured.waiting_seconds = 0.5;
    assert_eq!(
        (report.limit(), report.warning()),
        (Some(Limit::Server), None)
    );
    report.setup.rate = Some(200.0);
    report.setup.load.profile = Profile::of_rate(Some(200.0));
    report.measured.late.frames = 1000;
    report.measured.late.by_server = 900;
    report.measured.late.by_generator = 11;
    assert!(
        report
            .to_text()
            .contains("THE GENERATOR WAS THE LIMIT: 11 of 1000 frames")
    );
    let json = report.to_json();
    assert_eq!(json["limited_by"], "generator");
    assert!(json["warning"].as_str().unwrap().contains("THE GENERATOR"));
    report.measured.late.by_generator = 10;
    assert_eq!(
        report.limit(),
        Some(Limit::Server),
        "check-ins were held back"
    );
    report.measured.held_back = 0;
    assert_eq!(
        (report.limit(), report.to_json()["limited_by"].clone()),
        (None, Value::Null)
    );
}

#[test]
fn samples_are_columns_of_the_same_length_and_phases_are_named() {
    let mut report = report();
    let phase = |name: &str, from, until| Phase {
        name: name.to_owned(),
        from,
        until,
        rate: None,
    };
    report.setup.phases = vec![phase("one", 0.0, 1.0), phase("two", 1.0, 2.0)];
    let json = report.to_json();
    let columns = json["samples"].as_object().unwrap();
    assert!(columns.len() > 10);
    assert!(
        columns
            .values()
            .all(|column| column.as_array().unwrap().len() == 1)
    );
    assert_eq!(json["samples"]["acked_each_second"][0], 200.0);
    assert_eq!(json["phases"][0]["name"], "one");
    assert_eq!(json["phases"][0]["acked_each_second"], 200.0);
    assert_eq!(
        json["phases"][1]["acked_each_second"], 0.0,
        "a phase without a sample"
    );
    assert_eq!(json["latency_distribution"][0][0], 0.0);
    assert!(report.to_text().contains("one"));
}
