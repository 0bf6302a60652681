//! The named workloads, run from the binary.

use muster_client::testing::Action;

use crate::{
    binary,
    model_server::{InjectedFault, ModelServer},
};

#[test]
fn every_scenario_is_verified() {
    let common = ["--devices=300", "--json"];
    for arguments in [
        ["steady", "--compress=14400"].as_slice(),
        &["enrolment-storm", "--compress=7200", "--collect=20"],
        &["reconnect-storm", "--within=0.2", "--check-ins-each=3"],
        &["reconnect-storm", "--as=device"],
        &["risk-outbreak", "--compress=14400", "--inventory=0.2"],
    ] {
        let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
        let mut all = scenario_command_line(&server, arguments, &common);
        if arguments.contains(&"--as=device") {
            all.push("--devices=3".to_owned());
            all.retain(|argument| argument != "--devices=300");
        }
        let output = binary(&all);
        assert_eq!(output.status.code(), Some(0), "{arguments:?} {output:?}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        assert_eq!(json["verified"], true, "{arguments:?} {json}");
        assert_eq!(json["workload"], arguments[0]);
        assert_eq!(
            json["check_ins_offered"], json["check_ins_acked"],
            "{arguments:?} {json}"
        );
        let known = if arguments[0] == "enrolment-storm" {
            &serde_json::Value::Null
        } else {
            &json["ack_latency_ms"]
        };
        assert_eq!(
            &json["ack_latency_known_ms"], known,
            "{arguments:?}: warm-up"
        );
        assert_eq!(
            json["reconnects"], 0,
            "deliberate reconnects are not counted"
        );
    }
}

#[test]
fn a_noisy_tenant_and_the_quiet_one_are_both_verified() {
    let server = ModelServer::start(&[Action::Acknowledge], InjectedFault::None);
    let arguments = [
        "noisy-tenant",
        "--noisy=loud",
        "--rate=200",
        "--part-seconds=1",
        "--noisy-gateways=2",
    ];
    let fleets = [
        "--devices=50",
        "--frame=10",
        "--noisy-devices=100",
        "--json",
    ];
    let output = binary(&scenario_command_line(&server, &arguments, &fleets));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(output.status.code(), Some(0), "{json}");
    assert_eq!(json["verified"], true, "{json}");
    assert_eq!(json["other_tenant"]["verified"], true, "{json}");
    assert!(
        json["other_tenant"]["check_ins_acked"].as_u64() > Some(100),
        "more than in the warm-up"
    );
    let phases = json["phases"].as_array().expect("phases");
    assert_eq!(phases.len(), 3, "{json}");
}

fn scenario_command_line(server: &ModelServer, arguments: &[&str], more: &[&str]) -> Vec<String> {
    let mut all = crate::command_line(server, more);
    all[1] = "scenario".to_owned();
    for (index, argument) in arguments.iter().enumerate() {
        all.insert(2 + index, (*argument).to_owned());
    }
    all
}
