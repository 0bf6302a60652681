//! What each named workload orders.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn scenario(words: &[&str]) -> Scenario {
    let environment = [
        "--target=127.0.0.1:1",
        "--ops=http://127.0.0.1:2",
        "--ca=ca.pem",
        "--identities=pki",
        "--tenant=demo",
        "--devices=1000",
    ];
    let all = ["muster-loadgen", "scenario"]
        .iter()
        .chain(words)
        .chain(&environment);
    match Cli::try_parse_from(all).expect("valid words").command {
        Command::Scenario(scenario) => scenario,
        _ => unreachable!("the words say scenario"),
    }
}

#[test]
fn every_name_has_an_order_with_its_parameters() {
    for (words, parameter, settles) in [
        (["steady"].as_slice(), "hours", true),
        (&["enrolment-storm"], "enrol_within_minutes", false),
        (&["reconnect-storm"], "check_ins_each", true),
        (&["risk-outbreak"], "share", true),
        (&["noisy-tenant", "--noisy=flood"], "noisy_devices", true),
    ] {
        let scenario = scenario(words);
        let order = order(&scenario).unwrap();
        assert_eq!(order.workload, words[0]);
        assert!(order.parameters.contains_key(parameter), "{words:?}");
        assert_eq!(order.settle, settles, "{words:?}");
    }
}

#[test]
fn eight_hours_are_a_minute_unless_told_otherwise() {
    let (_, pass) = order(&scenario(&["steady"])).unwrap().cadence.unwrap();
    assert_eq!(pass.on_clock(), Duration::from_secs(60));
    let (_, pass) = order(&scenario(&["steady", "--compress=1"]))
        .unwrap()
        .cadence
        .unwrap();
    assert_eq!(pass.on_clock(), Duration::from_secs(8 * 3600));
}

#[test]
fn the_phases_of_an_outbreak_follow_its_parameters() {
    let words = [
        "risk-outbreak",
        "--compress=60",
        "--begins=10",
        "--spread=5",
        "--ill=30",
        "--hours=2",
    ];
    let phases = order(&scenario(&words)).unwrap().phases;
    let shown: Vec<(&str, f64)> = phases
        .iter()
        .map(|phase| (phase.name.as_str(), phase.from))
        .collect();
    let expected = [
        ("before the outbreak", 0.0),
        ("outbreak", 10.0),
        ("ill", 15.0),
        ("well again", 45.0),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let late = scenario(&["risk-outbreak", "--begins=600", "--hours=1"]);
    assert_eq!(order(&late).unwrap_err().exit_code(), 2);
    let same = scenario(&["noisy-tenant", "--noisy=demo"]);
    assert_eq!(run(&same).unwrap_err().exit_code(), 2);
}
