//! Whole runs against a server that keeps the engine's model, and the exit codes of the binary.

mod misbehaving;
mod model_server;
mod products;
mod scenarios;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use clap::Parser;
use model_server::{Lie, ModelServer};
use muster_client::testing::Action;
use muster_loadgen::{
    cli::{Cli, Command as Subcommand, RunArguments},
    report::Report,
    run::run,
};

/// The words of a run against this server.
fn words(server: &ModelServer, more: &[&str]) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let mut words = vec![
        "muster-loadgen".to_owned(),
        "run".to_owned(),
        format!("--target={}", server.address()),
        format!("--ops={}", server.ops()),
        format!("--ca={}", path(&server.ca())),
        format!("--identities={}", path(server.directory())),
        "--tenant=demo".to_owned(),
    ];
    words.extend(more.iter().map(|word| (*word).to_owned()));
    words
}

fn arguments(server: &ModelServer, more: &[&str]) -> RunArguments {
    match Cli::parse_from(words(server, more)).command {
        Subcommand::Run(arguments) => *arguments,
        _ => unreachable!("the words say run"),
    }
}

fn report(server: &ModelServer, more: &[&str]) -> Report {
    run(&arguments(server, more)).expect("the server takes the run")
}

fn binary(words: &[String]) -> Output {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_muster-loadgen"));
    Command::new(binary)
        .args(&words[1..])
        .output()
        .expect("the binary runs")
}

const SMALL: [&str; 3] = ["--devices=300", "--check-ins=5000", "--frame=64"];

#[test]
fn a_disordered_fleet_on_three_gateways_is_verified() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
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
fn frames_of_the_first_round_are_not_of_a_known_fleet() {
    let known = |words: &[&str]| {
        let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
        let report = report(&server, words);
        assert!(report.is_verified(), "{}", report.to_text());
        let known = report.known_latency().map(|latency| latency.count());
        (report.latency().count(), known)
    };
    let all_of = |gateways| [&SMALL[..], &[gateways]].concat();
    // The fifth frame has the last of 300 first check-ins and the first of the second round.
    assert_eq!(known(&all_of("--gateways=1")), (79, Some(74)));
    // Two frames for the first check-ins of 100 devices on each of three connections.
    assert_eq!(known(&all_of("--gateways=3")), (81, Some(75)));
    let words = [
        "--devices=300",
        "--check-ins=300",
        "--frame=64",
        "--gateways=1",
    ];
    assert_eq!(known(&words), (5, None), "nothing comes after them");
}

#[test]
fn a_server_that_loses_connections_is_verified_all_the_same() {
    let lose = Action::Disconnect {
        frames: 5,
        acked: 2,
    };
    let server = ModelServer::start(&[lose, lose, Action::Acknowledge], Lie::None);
    let report = report(&server, &[&SMALL[..], &["--gateways=1"]].concat());
    assert!(report.is_verified(), "{}", report.to_text());
    assert_eq!(report.measured.progress.connections, 3);
    assert!(report.measured.progress.frames_resent > 0);
}

#[test]
fn devices_have_a_connection_each() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let words = [
        "--as=device",
        "--devices=3",
        "--check-ins=20",
        "--inventory=1",
    ];
    let report = report(&server, &words);
    assert!(report.is_verified(), "{}", report.to_text());
    assert_eq!(report.measured.progress.connections, 3);
    assert_eq!(report.latency().count(), 20, "a frame for each check-in");
    let known = report.known_latency().map(|latency| latency.count());
    assert_eq!(known, Some(17), "without the first one of each device");
}

#[test]
fn devices_and_gateways_go_side_by_side() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
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
fn an_open_loop_keeps_its_schedule() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let words = [
        "--devices=10",
        "--check-ins=100",
        "--frame=10",
        "--rate=1000",
    ];
    let report = report(&server, &words);
    assert!(report.is_verified(), "{}", report.to_text());
    // The tenth frame is due 90 ms after the first.
    assert!(
        report.measured.seconds >= 0.09,
        "{}",
        report.measured.seconds
    );
}

/// The model is far slower than the schedule, which has 100,000 frames due.
#[test]
fn what_a_schedule_offers_is_sent_or_held_back_and_the_rest_is_verified() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let words = [
        "--devices=300",
        "--check-ins=1000000000000",
        "--frame=10",
        "--window=1",
        "--rate=1000000",
        "--seconds=1",
        "--duplicates=0.1",
        "--reorder=0.1",
    ];
    let report = report(&server, &words);
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
fn a_closed_loop_with_an_end_offers_what_it_sends() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let words = [
        "--devices=300",
        "--check-ins=1000000000000",
        "--frame=10",
        "--seconds=1",
    ];
    let report = report(&server, &words);
    assert!(report.is_verified(), "{}", report.to_text());
    let measured = &report.measured;
    assert!(measured.sent > 0);
    assert_eq!((measured.offered, measured.held_back), (measured.sent, 0));
}

#[test]
fn an_end_after_the_last_check_in_changes_nothing() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let words = ["--rate=1000000", "--seconds=3600"];
    let report = report(&server, &[&SMALL[..], &words[..]].concat());
    assert!(report.is_verified(), "{}", report.to_text());
    let measured = &report.measured;
    assert_eq!(
        (measured.offered, measured.sent, measured.held_back),
        (5000, 5000, 0)
    );
}

#[test]
fn a_server_that_counts_one_device_wrong_is_found_out() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::OneDevice);
    let output = binary(&words(&server, &[&SMALL[..], &["--json"]].concat()));
    assert_eq!(output.status.code(), Some(7));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["verified"], false);
    assert_eq!(json["differences"]["cells"], 1);
}

#[test]
fn a_verified_run_prints_one_json_object_and_ends_with_0() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let output = binary(&words(&server, &[&SMALL[..], &["--json"]].concat()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(json["verified"], true);
    assert_eq!(json["counts"]["devices"], 300);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn a_server_is_found_by_its_name_and_without_a_scheme() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let mut words = words(&server, &[&SMALL[..], &["--json"]].concat());
    words[2] = format!("--target=localhost:{}", server.address().port());
    words[3] = words[3].replace("http://127.0.0.1", "localhost");
    let output = binary(&words);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_tenant_with_devices_is_refused_but_can_be_loaded() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    assert!(report(&server, &SMALL).is_verified());
    let again = binary(&words(&server, &SMALL));
    assert_eq!(again.status.code(), Some(2));
    let text = String::from_utf8_lossy(&again.stderr);
    assert!(text.contains("already has 300 devices"), "{text}");
    let report = report(&server, &[&SMALL[..], &["--no-verify"]].concat());
    assert!(!report.is_verified() && !report.is_wrong());
}

#[test]
fn faults_end_with_the_code_of_the_table() {
    let server = ModelServer::start(&[Action::Acknowledge], Lie::None);
    let code = |change: &dyn Fn(&mut Vec<String>)| {
        let mut words = words(&server, &SMALL);
        change(&mut words);
        let output = binary(&words);
        assert!(output.stdout.is_empty(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().expect("it was not killed"), text)
    };
    let (usage, text) = code(&|words| words[2] = "--target=192.0.2.1:1".to_owned());
    assert!(
        usage == 2 && text.contains("--i-own-this-target"),
        "{usage} {text}"
    );
    assert_eq!(code(&|words| words.push("--frame=0".to_owned())).0, 2);
    assert_eq!(
        code(&|words| words[3] = "--ops=127.0.0.1:1".to_owned()).0,
        8
    );
    let (usage, text) = code(&|words| words[2] = "--target=nowhere.invalid:7440".to_owned());
    assert!(
        usage == 2 && text.contains("localhost:7440"),
        "{usage} {text}"
    );
    assert_eq!(
        code(&|words| words[4] = "--ca=/nowhere/ca.pem".to_owned()).0,
        4
    );
    assert_eq!(
        code(&|words| words[5] = "--identities=/nowhere".to_owned()).0,
        4
    );
    assert_eq!(code(&|words| words[6] = "--tenant=nobody".to_owned()).0, 4);
    let as_device = |words: &mut Vec<String>| words.push("--as=device".to_owned());
    let (usage, text) = code(&as_device);
    assert!(
        usage == 2 && text.contains("of 3 devices"),
        "{usage} {text}"
    );
}

#[test]
fn no_arguments_print_the_help() {
    let output = binary(&["muster-loadgen".to_owned()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: muster-loadgen"));
}

/// A result that is lost must not look like success.
#[test]
fn a_result_that_cannot_be_printed_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full");
    let ended = Command::new(env!("CARGO_BIN_EXE_muster-loadgen"))
        .args(["rate", "--devices=10", "--check-ins=10"])
        .stdout(full.expect("Linux has it"))
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let because = "muster-loadgen: cannot write to standard output: ";
    assert!(said.starts_with(because), "{said}");
}
