//! Which arguments are accepted, and which are rejected before anything is sent.

use super::*;
use muster_testkit::identities::Kind;

const RUN: [&str; 18] = [
    "muster-loadgen",
    "run",
    "--target",
    "127.0.0.1:4433",
    "--ops",
    "http://127.0.0.1:7441",
    "--ca",
    "ca.pem",
    "--identities",
    "pki",
    "--tenant",
    "demo",
    "--devices",
    "10",
    "--check-ins",
    "100",
    "--seed",
    "3",
];

fn parse(more: &[&str]) -> Result<RunArguments, clap::Error> {
    let arguments = RUN.iter().chain(more);
    match Cli::try_parse_from(arguments)?.command {
        Command::Run(arguments) => Ok(*arguments),
        _ => unreachable!("the arguments name run"),
    }
}

#[test]
fn the_definition_is_consistent() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn defaults_depend_on_the_kind() {
    let gateway = parse(&[]).unwrap();
    assert_eq!(
        (
            gateway.fleet.kind,
            gateway.fleet.frame(),
            gateway.shape().seed
        ),
        (Kind::Gateway, 4096, 3)
    );
    assert_eq!(parse(&["--as", "device"]).unwrap().fleet.frame(), 1);
    assert!(gateway.check().is_ok() && gateway.fleet.check().is_ok());
}

#[test]
fn a_remote_target_needs_confirmation() {
    let elsewhere = ["--target", "192.0.2.1:4433"];
    let arguments: Vec<&str> = RUN
        .iter()
        .copied()
        .filter(|argument| *argument != "--target" && *argument != RUN[3])
        .collect();
    let parse = |more: &[&str]| {
        let all = arguments.iter().chain(&elsewhere).chain(more);
        let Command::Run(run) = Cli::try_parse_from(all).unwrap().command else {
            panic!("run")
        };
        run.environment.check()
    };
    let error = parse(&[]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--i-own-this-target"), "{error}");
    assert!(parse(&["--i-own-this-target"]).is_ok());
}

#[test]
fn a_target_is_resolved_by_name_and_ipv4_is_preferred() {
    assert_eq!(
        parse_target("localhost:7440"),
        Ok(([127, 0, 0, 1], 7440).into())
    );
    assert_eq!(
        parse_target("[::1]:7440"),
        Ok("[::1]:7440".parse().unwrap())
    );
    for wrong in ["localhost", "localhost:x", ":", ""] {
        assert!(parse_target(wrong).is_err(), "{wrong}");
    }
    for given in ["localhost:7441", "http://localhost:7441/"] {
        assert_eq!(parse_ops_url(given), Ok("http://localhost:7441".to_owned()));
    }
    for wrong in ["https://localhost:7441", "http://", "", "a/b"] {
        assert!(parse_ops_url(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn values_out_of_range_are_refused() {
    for more in [
        ["--duplicates", "1.5"],
        ["--churn", "-0.1"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--seconds", "0"],
        ["--seconds", "inf"],
        ["--frame", "4097"],
        ["--window", "0"],
        ["--gateways", "0"],
    ] {
        assert!(parse(&more).is_err(), "{more:?}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for more in [
        ["--duplicates", "0.6", "--reorder", "0.6"].as_slice(),
        &["--gateways", "11"],
        &["--as", "device", "--gateways", "2"],
        &["--as", "device", "--direct", "2"],
        &["--direct", "10"],
        &["--direct", "9", "--gateways", "2"],
    ] {
        let run = parse(more).unwrap();
        let result = run.check().and_then(|()| run.fleet.check());
        assert_eq!(result.unwrap_err().exit_code(), 2, "{more:?}");
    }
}

#[test]
fn verification_needs_the_operators_endpoint() {
    let without: Vec<&str> = RUN
        .iter()
        .copied()
        .filter(|argument| *argument != "--ops" && *argument != RUN[5])
        .collect();
    assert!(Cli::try_parse_from(&without).is_err());
    assert!(Cli::try_parse_from(without.iter().chain(&["--no-verify"])).is_ok());
}

#[test]
fn a_ramp_needs_two_rates_and_no_number_of_check_ins() {
    let arguments: Vec<&str> = RUN
        .iter()
        .copied()
        .filter(|argument| !["--check-ins", "100"].contains(argument))
        .collect();
    assert!(Cli::try_parse_from(&arguments).is_err());
    let all = arguments
        .iter()
        .chain(&["--ramp", "100..400", "--steps", "4"]);
    let Command::Run(run) = Cli::try_parse_from(all).unwrap().command else {
        panic!("run")
    };
    assert_eq!(run.profile().end().unwrap().as_secs(), 20);
    for more in [
        ["--ramp", "100"].as_slice(),
        &["--ramp", "0..9"],
        &["--ramp", "1..9", "--rate", "7"],
        &["--ramp", "1..9", "--seconds", "7"],
        &["--steps", "3"],
    ] {
        assert!(parse(more).is_err(), "{more:?}");
    }
}
