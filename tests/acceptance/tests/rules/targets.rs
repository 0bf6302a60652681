//! To which devices a policy applies (R12), and what happens while one is changed (R21).

use serde_json::{Value, json};

use crate::harness::*;
use crate::scene::Scene;

/// F17: group A includes W1, group B contains W1; policy includes A, excludes B -> notAssigned; remove W1 from B:
/// evaluated at once
#[test]
fn f17_an_excluded_device_is_not_assigned() {
    let mut scene = Scene::empty();
    scene.connector(json!({ "windowsEnabled": true }));
    scene.check_in(&[healthy(device(1), 1), healthy(device(2), 1)]);
    let included = scene.create_group("A", &[device(1), device(2)]);
    let excluded = scene.create_group("B", &[device(1)]);
    scene.create_targeted("secured", &included, &excluded);
    scene.holds(|scene| {
        let settings = [1, 2].map(|number| scene.device(device(number))["threat_setting"].clone());
        assert_eq!(settings, ["notAssigned", "nonCompliant"]);
        assert_eq!(scene.count("compliance", "noncompliant"), 1);
    });
    let member = format!("{excluded}/members/{}/$ref", device(1));
    scene.change("DELETE", &member, &Value::Null);
    scene.holds(|scene| assert_eq!(scene.count("compliance", "noncompliant"), 2));
}

/// F36: clock of the server leaps 8 days ahead for a minute, then back -> no mass verdict is given on a leap that nobody
/// confirmed; nothing has a last check-in in the future; operators see that the clock leapt
#[test]
fn f36_a_leap_of_the_clock_decides_about_no_device() {
    const LEAP: i64 = 8 * 24 * 3600;
    let mut scene = Scene::new();
    let devices: Vec<_> = (1..=20).map(|number| healthy(device(number), 1)).collect();
    scene.check_in(&devices);
    let active = |scene: &Scene| scene.count("sensor", "active");
    assert_eq!(active(&scene), 20);
    scene.clock().leap(LEAP);
    scene.advance(60);
    assert_eq!(active(&scene), 20);
    scene.check_in(&devices[..1]);
    let step = scene
        .server()
        .ops
        .metrics()
        .get("muster_clock_step_seconds");
    assert_eq!(step.round(), LEAP as f64, "operators see it");
    assert!(!scene.server().ops.get_json("/clock")["step"].is_null());
    scene.clock().leap(-LEAP);
    scene.advance(600);
    assert_eq!(active(&scene), 20);
    let now = scene.server().ops.get_json("/clock")["time"].clone();
    let last = scene.device(device(1))["last_check_in"].clone();
    // Whole seconds: fractions are written only if there are any.
    let seconds = |time: &Value| time.as_str().map(|text| text[..19].to_owned());
    assert!(seconds(&last) <= seconds(&now), "{last} at {now}");
    scene.holds(|scene| assert_eq!(active(scene), 20));
}
