//! The plan of each named workload.

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn scenario(arguments: &[&str]) -> Scenario {
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
        .chain(arguments)
        .chain(&environment);
    match Cli::try_parse_from(all).expect("valid arguments").command {
        Command::Scenario(scenario) => scenario,
        _ => unreachable!("the arguments name scenario"),
    }
}

#[test]
fn every_workload_has_a_plan_with_its_parameters() {
    for (arguments, parameter, has_warm_up) in [
        (["steady"].as_slice(), "hours", true),
        (&["enrolment-storm"], "enrol_within_minutes", false),
        (&["reconnect-storm"], "check_ins_each", true),
        (&["risk-outbreak"], "share", true),
        (&["noisy-tenant", "--noisy=flood"], "noisy_devices", true),
    ] {
        let scenario = scenario(arguments);
        let plan = plan(&scenario).unwrap();
        assert_eq!(plan.workload, arguments[0]);
        assert!(plan.parameters.contains_key(parameter), "{arguments:?}");
        assert_eq!(plan.warm_up, has_warm_up, "{arguments:?}");
    }
}

#[test]
fn eight_hours_take_a_minute_by_default() {
    let (_, timing) = plan(&scenario(&["steady"])).unwrap().cadence.unwrap();
    assert_eq!(timing.wall_clock(), Duration::from_secs(60));
    let (_, timing) = plan(&scenario(&["steady", "--compress=1"]))
        .unwrap()
        .cadence
        .unwrap();
    assert_eq!(timing.wall_clock(), Duration::from_secs(8 * 3600));
}

#[test]
fn the_phases_of_an_outbreak_follow_its_parameters() {
    let arguments = [
        "risk-outbreak",
        "--compress=60",
        "--start=10",
        "--spread=5",
        "--recovery=30",
        "--hours=2",
    ];
    let phases = plan(&scenario(&arguments)).unwrap().phases;
    let shown: Vec<(&str, f64)> = phases
        .iter()
        .map(|phase| (phase.name.as_str(), phase.from))
        .collect();
    let expected = [
        ("before the outbreak", 0.0),
        ("outbreak", 10.0),
        ("infected", 15.0),
        ("recovered", 45.0),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn contradicting_options_are_refused() {
    let late = scenario(&["risk-outbreak", "--start=600", "--hours=1"]);
    assert_eq!(plan(&late).unwrap_err().exit_code(), 2);
    let same = scenario(&["noisy-tenant", "--noisy=demo"]);
    assert_eq!(run(&same).unwrap_err().exit_code(), 2);
}
