//! A wall clock that leaps.

use serde_json::{Value, json};

use crate::harness::*;

const DAYS_8: i64 = 8 * 24 * 3600;

/// How long a leap must last before it is followed.
const FOLLOWED_AFTER: u64 = 300;

/// Time that may pass during a test, in seconds.
const A_WHILE: f64 = 60.0;

const STEPPED: &str = "the wall clock has stepped; no device is evaluated by it until it has lasted 5 minutes or POST /clock/confirm";
const RETURNED: &str = "the wall clock is back, its step had no effect";
const FOLLOWED: &str = "the service time follows the step of the wall clock";

const DEVICES: u64 = 40;

/// Devices check in with this seq.
#[track_caller]
fn check_in(place: &Installation, server: &Server, numbers: std::ops::Range<u64>, seq: u64) {
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    let records: Vec<_> = numbers
        .map(|number| record(healthy(device(number), seq)))
        .collect();
    session.check_ins(&records);
    let (totals, _) = session.acknowledged(1);
    assert_eq!(totals.accepted, records.len() as u64);
    session.goodbye();
}

/// The number of active and of inactive devices.
#[track_caller]
fn active_and_inactive(server: &Server) -> (u64, u64) {
    let sensor = server.ops.total()["sensor"].clone();
    let count = |state: &str| sensor[state].as_u64().expect("a number");
    (count("active"), count("inactive"))
}

#[track_caller]
fn clock(server: &Server) -> Value {
    let (status, body) = server.ops.get("/clock");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("an answer is JSON")
}

/// Confirms the step.
#[track_caller]
fn confirm(server: &Server) -> (u16, Value) {
    let (status, body) = server.ops.post("/clock/confirm");
    let answer = serde_json::from_str(&body).expect("an answer is JSON");
    (status, answer)
}

/// Asserts that no time of a device is after the service time.
#[track_caller]
fn has_no_time_in_the_future(server: &Server, number: u64) {
    let device = server.ops.device("contoso", device(number));
    let device = device.expect("it has checked in");
    let now = clock(server)["time"].clone();
    // Whole seconds: fractions are written only if there are any.
    let seconds = |time: &Value| time.as_str().map(|text| text[..19].to_owned());
    for name in [
        "first_seen",
        "last_check_in",
        "last_contact",
        "last_telemetry",
        "last_full_report",
    ] {
        let time = seconds(&device[name]).expect("it was reported");
        assert!(
            Some(&time) <= seconds(&now).as_ref(),
            "{name} is {time} at {now}"
        );
    }
}

/// How many times the log has a message.
fn logged(server: &Server, message: &str) -> usize {
    let log = server.log();
    log.iter().filter(|line| line["message"] == message).count()
}

fn step_metrics(server: &Server) -> [f64; 3] {
    let metrics = server.ops.metrics();
    [
        "muster_clock_step_seconds",
        "muster_clock_steps_total",
        "muster_clock_steps_followed_total",
    ]
    .map(|name| metrics.get(name).round())
}

/// X4: server clock 8 days ahead for 70 s, then right -> follows the clock back, judges anew, no stored time in the
/// future after the next check-in; step logged, metric; no mass verdict on an unconfirmed leap. Here: the leap does not
/// stand, so nothing has happened.
#[test]
fn x4_a_leap_that_comes_back_changes_nothing() {
    let place = Installation::new();
    let (server, test_clock) = place.start_with_clock();
    check_in(&place, &server, 0..DEVICES, 1);
    let (before, cells) = (test_clock.now(), server.ops.cells());
    assert_eq!((before.step, step_metrics(&server)), (0.0, [0.0; 3]));

    let leapt = test_clock.leap(DAYS_8);
    assert_eq!(leapt.step.round(), DAYS_8 as f64);
    assert_eq!(step_metrics(&server), [DAYS_8 as f64, 1.0, 0.0]);
    let seventy = test_clock.advance(70);
    let passed = seventy.time - before.time;
    assert!((70.0..70.0 + A_WHILE).contains(&passed), "{passed}");
    assert_eq!(
        server.ops.cells(),
        cells,
        "no device is evaluated by the leap"
    );
    assert_eq!(active_and_inactive(&server), (DEVICES, 0));
    check_in(&place, &server, 0..10, 2);
    (0..10).for_each(|number| has_no_time_in_the_future(&server, number));
    server.ops.recount_is_verified();

    test_clock.leap(-DAYS_8);
    test_clock.advance(2 * FOLLOWED_AFTER);
    assert_eq!(server.ops.cells(), cells);
    assert_eq!(active_and_inactive(&server), (DEVICES, 0));
    (0..DEVICES).for_each(|number| has_no_time_in_the_future(&server, number));
    assert_eq!(clock(&server)["step"], Value::Null);
    assert_eq!(step_metrics(&server), [0.0, 1.0, 0.0]);
    let lines = [STEPPED, RETURNED, FOLLOWED].map(|message| logged(&server, message));
    assert_eq!(lines, [1, 1, 0]);
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}

/// X4: server clock 8 days ahead for 70 s, then right -> follows the clock back, judges anew, no stored time in the
/// future after the next check-in; step logged, metric; no mass verdict on an unconfirmed leap. Here: the leap stands,
/// then comes back, and that stands too.
#[test]
fn x4_a_leap_that_lasts_is_followed_and_so_is_the_way_back() {
    let place = Installation::new();
    let (server, test_clock) = place.start_with_clock();
    check_in(&place, &server, 0..DEVICES, 1);
    test_clock.leap(DAYS_8);
    let ahead = test_clock.advance(FOLLOWED_AFTER);
    assert_eq!(ahead.step, 0.0);
    assert!((ahead.time - ahead.wall).abs() < 0.1, "{ahead:?}");
    assert_eq!(
        active_and_inactive(&server),
        (0, DEVICES),
        "all are evaluated"
    );
    assert_eq!(step_metrics(&server), [0.0, 1.0, 1.0]);
    check_in(&place, &server, 0..10, 2);
    assert_eq!(active_and_inactive(&server), (10, DEVICES - 10));
    server.ops.recount_is_verified();

    test_clock.leap(-DAYS_8);
    let waiting = test_clock.now();
    assert_eq!(waiting.step.round(), -DAYS_8 as f64);
    assert_eq!(active_and_inactive(&server), (10, DEVICES - 10));
    let back = test_clock.advance(FOLLOWED_AFTER);
    assert!(back.time < waiting.time && back.step == 0.0, "{back:?}");
    assert_eq!(active_and_inactive(&server), (DEVICES, 0));
    server.ops.recount_is_verified();
    check_in(&place, &server, 0..DEVICES, 3);
    (0..DEVICES).for_each(|number| has_no_time_in_the_future(&server, number));
    server.ops.recount_is_verified();
    let lines = [STEPPED, RETURNED, FOLLOWED].map(|message| logged(&server, message));
    assert_eq!(lines, [2, 0, 2]);
    // Killed, the journal of both directions is replayed.
    let cells = server.ops.cells();
    server.kill();
    assert_eq!(place.recount()["verified"], true);
    let (server, _) = place.start_with_clock();
    assert_eq!(server.ops.cells(), cells);
    assert_eq!(server.stop().last().expect("a log")["message"], "stopped");
}

/// X4: server clock 8 days ahead for 70 s, then right -> follows the clock back, judges anew, no stored time in the
/// future after the next check-in; step logged, metric; no mass verdict on an unconfirmed leap. Here: the server is
/// started again while the leap is unconfirmed.
#[test]
fn x4_a_restart_confirms_no_leap() {
    let place = Installation::new();
    let (server, test_clock) = place.start_with_clock();
    check_in(&place, &server, 0..DEVICES, 1);
    let mut before = test_clock.leap(DAYS_8);
    server.kill();
    for is_last in [false, true] {
        let (server, test_clock) = place.start_with_clock();
        let now = test_clock.now();
        let shown = format!("{before:?}, {now:?}");
        assert!((now.time - before.time).abs() < A_WHILE, "{shown}");
        assert!((now.step - DAYS_8 as f64).abs() < A_WHILE, "{shown}");
        before = test_clock.advance(70);
        assert_eq!(active_and_inactive(&server), (DEVICES, 0));
        check_in(&place, &server, 0..DEVICES, 2 + u64::from(is_last));
        (0..DEVICES).for_each(|number| has_no_time_in_the_future(&server, number));
        server.ops.recount_is_verified();
        if is_last {
            // Time stopped while no server ran, so the clocks may be some seconds apart, which is another step.
            test_clock.leap(-DAYS_8);
            let right = test_clock.advance(2 * FOLLOWED_AFTER);
            assert_eq!(right.step, 0.0);
            assert_eq!(active_and_inactive(&server), (DEVICES, 0));
            server.stop();
        } else {
            server.kill();
        }
    }
}

/// X4: server clock 8 days ahead for 70 s, then right -> follows the clock back, judges anew, no stored time in the
/// future after the next check-in; step logged, metric; no mass verdict on an unconfirmed leap. Here: an operator
/// confirms the leap, and no web page does.
#[test]
fn x4_an_operator_confirms_a_leap() {
    let place = Installation::new();
    let (server, test_clock) = place.start_with_clock();
    check_in(&place, &server, 0..DEVICES, 1);
    let (status, answer) = confirm(&server);
    assert_eq!((status, &answer["code"]), (409, &json!("noClockStep")));
    test_clock.leap(DAYS_8);
    let shown = clock(&server);
    assert_ne!(shown["time"], shown["wall"]);
    assert!(shown["step"]["follows_in_seconds"].as_u64() <= Some(FOLLOWED_AFTER));
    let (status, answer) = confirm(&server);
    assert_eq!(status, 200, "{answer}");
    let day = |time: &Value| time.as_str().map(|text| text[..10].to_owned());
    assert_eq!(day(&answer["before"]), day(&shown["time"]));
    assert_eq!(day(&answer["after"]), day(&shown["wall"]));
    test_clock.advance(0);
    assert_eq!(active_and_inactive(&server), (0, DEVICES));
    server.stop();
}

/// X4: server clock 8 days ahead for 70 s, then right -> follows the clock back, judges anew, no stored time in the
/// future after the next check-in; step logged, metric; no mass verdict on an unconfirmed leap. Here: nobody moves the
/// clocks of a server that is not for tests.
#[test]
fn x4_a_test_clock_needs_a_configuration_of_tests() {
    let place = Installation::new();
    let file = place.configure(&Settings::default());
    let socket = place.path("clock.socket");
    let ended = muster(&[
        "serve",
        "--config",
        text(&file),
        "--test-clock",
        text(&socket),
    ]);
    assert_eq!(
        ended.one_fault(2),
        "--test-clock is for tests: the configuration does not set [test] clock = true"
    );
    assert!(!socket.exists() && !place.data().exists());
    let (server, _) = place.start_with_clock();
    let log = server.stop();
    let warned = |line: &Value| {
        let message = line["message"].as_str().unwrap_or_default();
        line["level"] == "WARN" && message.starts_with("a configuration for tests")
    };
    assert!(log.iter().any(warned), "{log:#?}");
}

/// X5: 100 devices just past a 48 h limit, stop, clock 60 s back, start -> recount judges by the time the counters were
/// judged at, which is on disk with them; the witnesses agree.
#[test]
fn x5_a_clock_that_is_back_after_a_restart_does_not_contradict_the_counters() {
    const LIMIT: u64 = 48 * 3600;
    let place = Installation::new();
    let (server, test_clock) = place.start_with_clock();
    check_in(&place, &server, 0..100, 1);
    test_clock.advance(LIMIT + 30);
    let sensor = |server: &Server| server.ops.total()["sensor"]["noSensorData"].clone();
    assert_eq!(sensor(&server), 100);
    server.stop();
    assert_eq!(place.recount()["verified"], true);

    // The clock of this one is the right one, two days before.
    let (server, test_clock) = place.start_with_clock();
    server.ops.recount_is_verified();
    assert_eq!(sensor(&server), 100);
    let backup = muster(&["backup", "--json", "--server", &server.ops.base, "x5"]);
    assert_eq!(backup.code, 0, "{}", backup.err);
    let (backup, copy) = (place.path("backups/x5"), place.path("copy"));
    let restored = muster(&[
        "restore",
        "--json",
        text(&backup),
        "--data-dir",
        text(&copy),
    ]);
    assert_eq!(restored.code, 0, "{}", restored.err);
    test_clock.advance(60);
    server.ops.recount_is_verified();
    let drift = server.ops.metrics().get("muster_audit_drift");
    assert_eq!(drift, 0.0);
    server.stop();
    assert_eq!(place.recount()["verified"], true);
}
