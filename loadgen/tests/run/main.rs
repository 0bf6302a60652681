//! Whole runs against a server that applies the engine's model, and the exit codes of the binary.

mod misbehaving;
mod model_server;
mod products;
mod scenarios;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use clap::Parser;
use model_server::{InjectedFault, ModelServer};
use muster_client::testing::Action;
use muster_loadgen::{
    cli::{Cli, Command as Subcommand, RunArguments},
    report::Report,
    run::run,
};

/// The arguments of a run against this server.
fn command_line(server: &ModelServer, more: &[&str]) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let mut arguments = vec![
        "muster-loadgen".to_owned(),
        "run".to_owned(),
        format!("--target={}", server.address()),
        format!("--ops={}", server.ops()),
        format!("--ca={}", path(&server.ca())),
        format!("--identities={}", path(server.directory())),
        "--tenant=demo".to_owned(),
    ];
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    arguments
}

fn arguments(server: &ModelServer, more: &[&str]) -> RunArguments {
    match Cli::parse_from(command_line(server, more)).command {
        Subcommand::Run(arguments) => *arguments,
        _ => unreachable!("the arguments name run"),
    }
}

fn report(server: &ModelServer, more: &[&str]) -> Report {
    run(&arguments(server, more)).expect("the server takes the run")
}

fn binary(arguments: &[String]) -> Output {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_muster-loadgen"));
    Command::new(binary)
        .args(&arguments[1..])
        .output()
        .expect("the binary runs")
}

const SMALL: [&str; 3] = ["--devices=300", "--check-ins=5000", "--frame=64"];

#[test]
fn a_fleet_with_duplicates_and_reordering_on_three_gateways_is_verified() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let disorder = [
        "--duplicates=0.1",
        "--reorder=0.1",
        "--churn=0.3",
        "--inventory=0.5",
        "--gateways=3",
    ];
    let report = report(&server, &[&SMALL[..], &disorder[..]].concat());
    assert!(report.is_verified(), "{}", report.to_text());
    assert_eq!(report.measured.acked, 5000);
    assert_eq!(report.measured.progress.connections, 3);
    let answers = report.answers().map(|(_, count)| count);
    assert_eq!(answers.iter().sum::<u64>(), 5000);
    assert!(answers[1] > 0 && answers[2] > 0, "{answers:?}");
    assert!(report.measured.inventories > 100);
    assert_eq!(report.latency().count(), 5000_u64.div_ceil(64 * 3) * 3);
}

#[test]
fn the_known_latency_excludes_frames_of_the_first_round() {
    let known = |arguments: &[&str]| {
        let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
        let report = report(&server, arguments);
        assert!(report.is_verified(), "{}", report.to_text());
        let known = report.known_latency().map(|latency| latency.count());
        (report.latency().count(), known)
    };
    let all_of = |gateways| [&SMALL[..], &[gateways]].concat();
    // The fifth frame contains the last of the 300 first check-ins and the start of the second round.
    assert_eq!(known(&all_of("--gateways=1")), (79, Some(74)));
    // Three connections with two frames each for the first check-ins of their 100 devices.
    assert_eq!(known(&all_of("--gateways=3")), (81, Some(75)));
    let arguments = [
        "--devices=300",
        "--check-ins=300",
        "--frame=64",
        "--gateways=1",
    ];
    assert_eq!(known(&arguments), (5, None), "there is no second round");
}

#[test]
fn a_run_with_lost_connections_is_verified() {
    let disconnect = Action::Disconnect {
        frames: 5,
        acked: 2,
    };
    let actions = [disconnect, disconnect, Action::Acknowledge];
    let server = ModelServer::start(&actions, InjectedFault::None);
    let report = report(&server, &[&SMALL[..], &["--gateways=1"]].concat());
    assert!(report.is_verified(), "{}", report.to_text());
    assert_eq!(report.measured.progress.connections, 3);
    assert!(report.measured.progress.frames_resent > 0);
}

#[test]
fn each_device_has_its_own_connection() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let arguments = [
        "--as=device",
        "--devices=3",
        "--check-ins=20",
        "--inventory=1",
    ];
    let report = report(&server, &arguments);
    assert!(report.is_verified(), "{}", report.to_text());
    assert_eq!(report.measured.progress.connections, 3);
    assert_eq!(report.latency().count(), 20, "one frame per check-in");
    let known = report.known_latency().map(|latency| latency.count());
    assert_eq!(known, Some(17), "without the first frame of each device");
}

#[test]
fn direct_devices_connect_in_addition_to_gateways() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let report = report(
        &server,
        &[&SMALL[..], &["--direct=3", "--rate=20000"]].concat(),
    );
    assert!(report.is_verified(), "{}", report.to_text());
    assert_eq!(report.measured.progress.connections, 5);
    assert_eq!(report.measured.acked, 5000);
    assert_eq!(report.counts.unwrap()["devices"], 300);
}

#[test]
fn an_open_loop_follows_its_schedule() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let arguments = [
        "--devices=10",
        "--check-ins=100",
        "--frame=10",
        "--rate=1000",
    ];
    let report = report(&server, &arguments);
    assert!(report.is_verified(), "{}", report.to_text());
    // The tenth frame is due 90 ms after the first.
    assert!(
        report.measured.seconds >= 0.09,
        "{}",
        report.measured.seconds
    );
}

/// The model is much slower than the schedule, in which 100,000 frames are due.
#[test]
fn everything_offered_is_sent_or_held_back_and_the_run_is_verified() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let arguments = [
        "--devices=300",
        "--check-ins=1000000000000",
        "--frame=10",
        "--window=1",
        "--rate=1000000",
        "--seconds=1",
        "--duplicates=0.1",
        "--reorder=0.1",
    ];
    let report = report(&server, &arguments);
    assert!(report.is_verified(), "{}", report.to_text());
    let json = report.to_json();
    let number = |key: &str| json[key].as_u64().expect("a number");
    assert_eq!(number("check_ins_offered"), 1_000_000);
    assert_eq!(
        number("check_ins_sent") + number("check_ins_held_back"),
        1_000_000
    );
    assert_eq!(number("check_ins_sent"), number("check_ins_acked"));
    assert!(number("check_ins_held_back") > 0 && number("check_ins_sent") > 0);
    assert_eq!(json["saturated"], true);
}

#[test]
fn a_closed_loop_with_a_time_limit_offers_what_it_sends() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let arguments = [
        "--devices=300",
        "--check-ins=1000000000000",
        "--frame=10",
        "--seconds=1",
    ];
    let report = report(&server, &arguments);
    assert!(report.is_verified(), "{}", report.to_text());
    let measured = &report.measured;
    assert!(measured.sent > 0);
    assert_eq!((measured.offered, measured.held_back), (measured.sent, 0));
}

#[test]
fn a_time_limit_after_the_last_check_in_has_no_effect() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let arguments = ["--rate=1000000", "--seconds=3600"];
    let report = report(&server, &[&SMALL[..], &arguments[..]].concat());
    assert!(report.is_verified(), "{}", report.to_text());
    let measured = &report.measured;
    assert_eq!(
        (measured.offered, measured.sent, measured.held_back),
        (5000, 5000, 0)
    );
}

#[test]
fn one_device_too_many_in_the_counts_is_found() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::ExtraDevice);
    let output = binary(&command_line(&server, &[&SMALL[..], &["--json"]].concat()));
    assert_eq!(output.status.code(), Some(7));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["verified"], false);
    assert_eq!(json["differences"]["cells"], 1);
}

#[test]
fn a_verified_run_prints_one_json_object_and_exits_with_0() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let output = binary(&command_line(&server, &[&SMALL[..], &["--json"]].concat()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["verified"], true);
    assert_eq!(json["counts"]["devices"], 300);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn names_and_addresses_without_a_scheme_are_accepted() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let mut arguments = command_line(&server, &[&SMALL[..], &["--json"]].concat());
    arguments[2] = format!("--target=localhost:{}", server.address().port());
    arguments[3] = arguments[3].replace("http://127.0.0.1", "localhost");
    let output = binary(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_tenant_with_devices_requires_no_verify() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    assert!(report(&server, &SMALL).is_verified());
    let again = binary(&command_line(&server, &SMALL));
    assert_eq!(again.status.code(), Some(2));
    let text = String::from_utf8_lossy(&again.stderr);
    assert!(text.contains("already has 300 devices"), "{text}");
    let report = report(&server, &[&SMALL[..], &["--no-verify"]].concat());
    assert!(!report.is_verified() && !report.has_differences());
}

#[test]
fn errors_have_the_documented_exit_codes() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let code = |change: &dyn Fn(&mut Vec<String>)| {
        let mut arguments = command_line(&server, &SMALL);
        change(&mut arguments);
        let output = binary(&arguments);
        assert!(output.stdout.is_empty(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().expect("it exits by itself"), text)
    };
    let (usage, text) = code(&|arguments| arguments[2] = "--target=192.0.2.1:1".to_owned());
    assert!(
        usage == 2 && text.contains("--i-own-this-target"),
        "{usage} {text}"
    );
    assert_eq!(
        code(&|arguments| arguments.push("--frame=0".to_owned())).0,
        2
    );
    assert_eq!(
        code(&|arguments| arguments[3] = "--ops=127.0.0.1:1".to_owned()).0,
        8
    );
    let (usage, text) =
        code(&|arguments| arguments[2] = "--target=nowhere.invalid:7440".to_owned());
    assert!(
        usage == 2 && text.contains("localhost:7440"),
        "{usage} {text}"
    );
    assert_eq!(
        code(&|arguments| arguments[4] = "--ca=/nowhere/ca.pem".to_owned()).0,
        4
    );
    assert_eq!(
        code(&|arguments| arguments[5] = "--identities=/nowhere".to_owned()).0,
        4
    );
    assert_eq!(
        code(&|arguments| arguments[6] = "--tenant=nobody".to_owned()).0,
        4
    );
    let as_device = |arguments: &mut Vec<String>| arguments.push("--as=device".to_owned());
    let (usage, text) = code(&as_device);
    assert!(
        usage == 2 && text.contains("of 3 devices"),
        "{usage} {text}"
    );
}

#[test]
fn the_help_is_printed_without_arguments() {
    let output = binary(&["muster-loadgen".to_owned()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: muster-loadgen"));
}

/// A lost result must not look like success.
#[test]
fn a_result_that_cannot_be_printed_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_muster-loadgen"))
        .args(["rate", "--devices=10", "--check-ins=10"])
        .stdout(full.expect("Linux has /dev/full"))
        .output()
        .expect("the binary runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let expected = "muster-loadgen: cannot write to standard output: ";
    assert!(stderr.starts_with(expected), "{stderr}");
}
