//! The commands of an operator through the operators' API, with a context: as a person and as a script use them.

use std::fs;
use std::path::PathBuf;

use muster_testkit::muster::Muster;
use muster_wire::CheckInRecord;
use serde_json::{Value, json};

use crate::harness::*;

/// Devices of the fleet: more than two pages of a list.
const FLEET: u64 = 2_500;

/// The devices in the first pages that have a name.
const NAMED: u64 = 30;

const POLICY: &str = r##"
'@odata.type': '#microsoft.graph.windows10CompliancePolicy'
displayName: Windows risk
deviceThreatProtectionEnabled: true
deviceThreatProtectionRequiredSecurityLevel: low
scheduledActionsForRule:
  - ruleName: PasswordRequired
    scheduledActionConfigurations:
      - actionType: block
assignments:
  - target:
      '@odata.type': '#microsoft.graph.allDevicesAssignmentTarget'
---
'@odata.type': '#microsoft.graph.group'
displayName: Pilot
mailEnabled: false
mailNickname: pilot
securityEnabled: true
"##;

/// A server, and an operator with a home directory and the context *contoso*.
struct Operator {
    place: Installation,
    server: Server,
    /// The secrets of tokens, which no output may have.
    secrets: Vec<String>,
}

impl Operator {
    fn new(devices: u64) -> Self {
        let place = Installation::new();
        let server = place.start();
        if devices > 0 {
            let mut session = server.session(&place.pki, &place.pki.gateway("contoso", "gw-1"));
            let fleet: Vec<CheckInRecord> = (1..=devices)
                .map(|number| record(healthy(device(number), 1)))
                .collect();
            session.check_ins(&fleet);
            session.acknowledged(1);
            let mut random = Random::new(16, 0);
            for number in 1..=NAMED.min(devices) {
                let mut inventory = random_inventory(&mut random, device(number), 1);
                inventory.device_name = format!("=FIN,{number:04}");
                let archive = inventory.to_bytes().expect("it is within its limits");
                session.write(&inventory_frame(&archive));
            }
            session.acknowledged(1 + NAMED.min(devices));
            session.goodbye();
        }
        let mut operator = Self {
            place,
            server,
            secrets: Vec::new(),
        };
        operator.token("admin");
        operator.add("contoso", "admin");
        operator
    }

    /// Makes a token of the tenant in a file, through the operations endpoint.
    fn token(&mut self, name: &str) -> PathBuf {
        let file = self.place.path(name);
        let place = ["--server", &self.server.ops.base, "--tenant", "contoso"];
        let named = ["--name", name, "--out", text(&file)];
        let made = muster(&[&["token", "create"], &place[..], &named[..]].concat());
        assert_eq!(made.code, 0, "{}", made.err);
        let secret = fs::read_to_string(&file).expect("the command wrote it");
        self.secrets.push(secret.trim().to_owned());
        file
    }

    fn add(&self, name: &str, token: &str) {
        let server = self.server.api.clone().expect("it serves its API");
        let (ca, token) = (self.place.path("pki/ca.pem"), self.place.path(token));
        let place = ["--server", &server, "--ca", text(&ca)];
        let token = ["--token-file", text(&token)];
        let ended = self.run(&[&["context", "add", name], &place[..], &token[..]].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
    }

    /// Runs a command with the home of the operator, and checks that it prints no secret.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = Muster::beside_this_test().command(arguments);
        let output = command
            .env("XDG_CONFIG_HOME", self.place.path("home"))
            .output();
        let ended = CommandOutput::from_output(output.expect("the binary starts"));
        for secret in &self.secrets {
            let printed = ended.out.contains(secret) || ended.err.contains(secret);
            assert!(!printed, "{arguments:?} prints a secret");
        }
        ended
    }

    /// The standard output of a command that succeeds without a word on standard error.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{arguments:?}");
        ended.out
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.done(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).expect("it is JSON")
    }

    /// Applies a text.
    #[track_caller]
    fn apply(&self, document: &str) -> CommandOutput {
        let file = self.place.path("document");
        fs::write(&file, document).expect("a scratch directory is writable");
        self.run(&["apply", "-f", text(&file)])
    }
}

/// The last word of each line.
fn last_words(lines: &str) -> Vec<&str> {
    let words = lines.lines().map(|line| line.rsplit(' ').next());
    words.map(Option::unwrap_or_default).collect()
}

#[test]
fn objects_are_applied_read_and_deleted_by_name() {
    let operator = Operator::new(0);
    let created = operator.apply(POLICY);
    assert_eq!(last_words(&created.out), ["created"; 2], "{}", created.err);
    let again = operator.apply(POLICY);
    assert_eq!(last_words(&again.out), ["unchanged"; 2], "{}", again.err);

    // What was read can be applied, with a change of the policy itself, then of its assignments.
    let mut policy = operator.json(&["get", "policy", "windows risk"]);
    assert_eq!(policy["assignments"].as_array().map(Vec::len), Some(1));
    let unchanged = operator.apply(&policy.to_string());
    assert_eq!(
        last_words(&unchanged.out),
        ["unchanged"],
        "{}",
        unchanged.err
    );
    policy["deviceThreatProtectionRequiredSecurityLevel"] = "medium".into();
    let changed = operator.apply(&policy.to_string());
    assert_eq!(last_words(&changed.out), ["configured"], "{}", changed.err);
    let group = operator.json(&["get", "groups", "Pilot"]);
    policy["assignments"] = json!([{ "target": {
        "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": group["id"] } }]);
    let assigned = operator.apply(&policy.to_string());
    assert_eq!(
        last_words(&assigned.out),
        ["configured"],
        "{}",
        assigned.err
    );
    let selected = operator.json(&["get", "policy", "Windows risk", "--select", "displayName"]);
    assert_eq!(selected, json!({ "displayName": "Windows risk" }));
    let described = operator.done(&["describe", "policies", "Windows risk"]);
    for word in [
        "medium",
        "assignments[0].target.groupId",
        group["id"].as_str().unwrap(),
    ] {
        assert!(
            described.contains(word),
            "{word} is missing in\n{described}"
        );
    }
    let settings =
        "'@odata.type': '#microsoft.graph.deviceManagementSettings'\nsecureByDefault: true\n";
    for expected in ["configured", "unchanged"] {
        let applied = operator.apply(settings);
        assert_eq!(last_words(&applied.out), [expected], "{}", applied.err);
    }
    assert_eq!(operator.json(&["get", "settings"])["secureByDefault"], true);

    let deleted = operator.done(&["delete", "policy", "Windows risk"]);
    assert_eq!(last_words(&deleted), ["deleted"]);
    let gone = operator.run(&["describe", "policy", "Windows risk"]);
    assert_eq!(gone.one_fault(10), "there is no policy Windows risk");
    assert_eq!(operator.json(&["get", "policies"]), json!([]));

    let events = operator.done(&["audit", "list", "--top", "3", "-o", "csv"]);
    let lines: Vec<_> = events.lines().collect();
    assert_eq!(lines.len(), 4, "{events}");
    assert!(
        lines[1]
            .to_lowercase()
            .contains(",admin,delete devicecompliancepolicy,"),
        "{events}"
    );
}

#[test]
fn a_document_that_is_refused_is_named_with_every_fault() {
    let operator = Operator::new(0);
    let tag = r##"{"@odata.type": "#microsoft.graph.roleScopeTag", "displayName": "north"}"##;
    let faults = r##"{"@odata.type": "#microsoft.graph.iosCompliancePolicy", "displayName": "bad",
        "deviceThreatProtectionRequiredSecurityLevel": "none", "colour": "red"}"##;
    let refused = operator.apply(&format!("[{tag},{faults}]"));
    assert_eq!(
        (refused.code, last_words(&refused.out)),
        (11, vec!["created"])
    );
    for word in [
        "document 2 (bad)",
        "400 BadRequest",
        "colour",
        "SecurityLevel",
        "request-id",
    ] {
        assert!(refused.err.contains(word), "{word}: {}", refused.err);
    }
    assert_eq!(refused.err.lines().count(), 1, "{}", refused.err);
    let again = operator.apply(tag);
    assert_eq!(last_words(&again.out), ["unchanged"], "{}", again.err);
}

#[test]
fn the_rules_of_the_guide_can_be_applied() {
    let operator = Operator::new(0);
    let guide = repository_root().join("docs/guide/first-day.md");
    let guide = fs::read_to_string(guide).expect("the guide is there");
    let (_, rules) = guide
        .split_once("rules.yaml <<'END'\n")
        .expect("the file begins");
    let (rules, _) = rules.split_once("\nEND\n").expect("the file ends");
    let applied = operator.apply(rules);
    let expected = ["created", "created", "configured"];
    assert_eq!(last_words(&applied.out), expected, "{}", applied.err);
    let again = operator.apply(rules);
    assert_eq!(last_words(&again.out), ["unchanged"; 3], "{}", again.err);
}

#[test]
fn devices_are_listed_over_several_pages_in_every_format() {
    let operator = Operator::new(FLEET);
    let ndjson = operator.done(&["devices", "-o", "ndjson"]);
    let mut ids: Vec<String> = ndjson
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a document"))
        .map(|row| row["id"].as_str().expect("it has an id").to_owned())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, FLEET);
    let filter = ["--filter", "complianceState eq 'compliant'"];
    let listed = |more: &[&str]| {
        let list = [&["devices", "list"], &filter[..], more].concat();
        operator.done(&list)
    };
    let all: Value = serde_json::from_str(&listed(&["-o", "json"])).expect("a list");
    assert_eq!(all.as_array().map(|rows| rows.len() as u64), Some(FLEET));
    let table = listed(&[]);
    assert_eq!(
        table.matches("compliant").count() as u64,
        FLEET,
        "one in each row"
    );
    assert_eq!(
        table.matches("deviceName").count(),
        3,
        "a table for each page"
    );

    let named = ["--select", "id,deviceName", "--search", "fin", "-o", "csv"];
    let csv = listed(&named);
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "id,deviceName");
    assert_eq!(lines.len() as u64, NAMED + 1);
    assert!(
        lines.iter().any(|line| line.ends_with(",\"'=FIN,0007\"")),
        "{csv}"
    );
    let csv = listed(&["-o", "csv", "--top", "1700"]);
    assert_eq!(csv.lines().count(), 1_701);
    let wrong = operator.run(&["devices", "--filter", "colour eq 'red'", "-o", "json"]);
    assert!(wrong.one_fault(11).contains("colour"), "{}", wrong.err);
}

#[test]
fn a_device_is_explained_and_deleted_and_the_rest_is_counted_and_exported() {
    let operator = Operator::new(NAMED);
    let one = operator.json(&["devices", "show", "=FIN,0007"]);
    assert_eq!(one["id"], json!(device(7).to_string()));
    let why = operator.done(&["devices", "why", one["id"].as_str().unwrap()]);
    assert!(why.contains("compliance is compliant"), "{why}");
    let deleted = operator.done(&["devices", "delete", "=FIN,0007"]);
    assert_eq!(last_words(&deleted), ["deleted"]);
    let left = NAMED - 1;
    assert_eq!(operator.json(&["counts"])["devices"], left);
    let by = operator.json(&["counts", "--by", "complianceState,platform"]);
    let counted = by.as_array().expect("rows").iter();
    let counted: u64 = counted
        .map(|row| row["count"].as_u64().expect("a number"))
        .sum();
    assert_eq!(counted, left);

    let file = operator.place.path("devices.csv");
    let columns = ["--select", "DeviceId,DeviceName", "--out", text(&file)];
    let out = operator.done(&[&["export", "Devices"], &columns[..]].concat());
    assert_eq!(out, "", "the report is in the file");
    let exported = fs::read_to_string(&file).expect("the report is there");
    assert_eq!(exported.lines().next(), Some("DeviceId,DeviceName"));
    assert_eq!(exported.lines().count() as u64, left + 1);
    let json = operator.done(&["export", "Devices", "--format", "json", "-o", "-"]);
    let report: Value = serde_json::from_str(&json).expect("a report");
    assert_eq!(
        report["values"].as_array().map(|rows| rows.len() as u64),
        Some(left)
    );
    assert_eq!(
        operator.json(&["get", "export-jobs"]),
        json!([]),
        "jobs are deleted"
    );
    let unknown = operator.run(&["export", "Penguins"]);
    assert!(unknown.one_fault(11).contains("DeviceNonCompliance"));
}

#[test]
fn a_revoked_token_and_a_server_of_another_authority_are_told_with_what_to_do() {
    let mut operator = Operator::new(0);
    let made = operator.place.path("reader");
    let create = [
        "token",
        "create",
        "--name",
        "reader",
        "--role",
        "Read Only Operator",
    ];
    let out = operator.done(&[&create[..], &["--out", text(&made)]].concat());
    assert_eq!(out, "", "the secret is in the file");
    let secret = fs::read_to_string(&made).expect("the command wrote it");
    operator.secrets.push(secret.trim().to_owned());
    operator.add("reader", "reader");
    let as_reader = |arguments: &[&str]| {
        let context = ["--context", "reader"];
        operator.run(&[arguments, &context].concat())
    };
    assert_eq!(as_reader(&["counts"]).code, 0);
    let denied = as_reader(&["token", "revoke", "admin"]);
    assert!(
        denied
            .one_fault(11)
            .contains("403 Authorization_RequestDenied")
    );
    let listed = operator.done(&["token", "list", "-o", "csv"]);
    assert!(listed.contains("reader,Read Only Operator"), "{listed}");
    let revoked = operator.done(&["token", "revoke", "reader"]);
    assert_eq!(last_words(&revoked), ["revoked"]);
    let refused = as_reader(&["counts"]);
    let line = refused.one_fault(11);
    assert!(line.contains("401 InvalidAuthenticationToken"), "{line}");
    assert!(line.contains("muster context add"), "{line}");

    let other = Installation::new();
    let server = operator.server.api.clone().expect("it serves its API");
    let (ca, token) = (other.path("pki/ca.pem"), operator.place.path("admin"));
    let place = ["--server", &server, "--ca", text(&ca)];
    let token = ["--token-file", text(&token)];
    operator.done(&[&["context", "add", "other"], &place[..], &token[..]].concat());
    let refused = operator.run(&["counts", "--context", "other"]);
    let line = refused.one_fault(4);
    assert!(
        line.contains("another authority issued it") && line.contains("--ca"),
        "{line}"
    );
}
