//! The state of the sensor, by the clock alone (R17).

use muster_wire::{CheckIn, Flags, Onboarding};

use crate::harness::*;
use crate::scene::{DAY, HOUR, MINUTE, Scene};

/// The state of the device and its count, and the row that `why` cites.
#[track_caller]
fn is(scene: &Scene, state: &str, row: &str) {
    let device = scene.device(device(1));
    assert_eq!(device["sensor"], state, "{device:#}");
    assert_eq!(scene.count("sensor", state), 1);
    let why = device["why"][2].as_str().expect("a line for each rule");
    assert!(why.starts_with(&format!("{row}: ")), "{why}");
}

/// F38: W1 active; silence: 48 h, 48 h + 1 s of telemetry alone missing; 7 d, + 1 s of everything -> active,
/// noSensorData; still that, inactive; by the clock alone
#[test]
fn f38_silence_changes_the_sensor() {
    let mut scene = Scene::new();
    let report = healthy(device(1), 1);
    scene.check_in(&[report]);
    is(&scene, "active", "R17 row 6");
    // Heartbeats without telemetry.
    let without_telemetry = CheckIn {
        flags: report.flags.with(Flags::TELEMETRY_OK, false),
        ..report
    };
    scene.advance(DAY);
    scene.check_in(&[without_telemetry]);
    scene.advance(DAY - MINUTE);
    is(&scene, "active", "R17 row 6");
    scene.advance(2 * MINUTE);
    scene.holds(|scene| {
        is(scene, "noSensorData", "R17 row 4");
        assert_eq!(scene.count("subsets", "misconfigured"), 1);
    });
    // Silence since the first day.
    scene.advance(6 * DAY - 2 * MINUTE);
    is(&scene, "noSensorData", "R17 row 4");
    scene.advance(2 * MINUTE);
    scene.holds(|scene| {
        is(scene, "inactive", "R17 row 1");
        assert_eq!(scene.count("subsets", "misconfigured"), 0);
    });
}

/// F38: W1 active; silence: 48 h, 48 h + 1 s of telemetry alone missing; 7 d, + 1 s of everything -> active,
/// noSensorData; still that, inactive; by the clock alone. Here: the device is offboarded in between, and keeps its
/// state until then.
#[test]
fn f38_an_offboarded_sensor_keeps_its_state_until_it_is_inactive() {
    let mut scene = Scene::new();
    let report = healthy(device(1), 1);
    scene.check_in(&[report]);
    scene.advance(HOUR);
    scene.check_in(&[CheckIn {
        onboarding: Onboarding::NotOnboarded,
        flags: Flags::NONE,
        ..report
    }]);
    scene.advance(3 * DAY);
    scene.holds(|scene| {
        is(scene, "active", "R17");
        assert_eq!(
            scene.device(device(1))["onboarding_status"],
            "canBeOnboarded"
        );
        assert_eq!(scene.count("windows_onboarding_buckets", "offboarded"), 1);
    });
    scene.advance(4 * DAY);
    scene.holds(|scene| is(scene, "inactive", "R17 row 1"));
    scene.check_in(&[report]);
    scene.holds(|scene| is(scene, "active", "R17 row 6"));
}
