//! The audit log of a real server: who was refused, what was exported, and a verification that survives a restart.

use serde_json::{Value, json};

use crate::harness::*;

const EVENTS: &str = "/v1.0/deviceManagement/auditEvents";
const GROUPS: &str = "/v1.0/groups";
const JOBS: &str = "/v1.0/deviceManagement/reports/exportJobs";

/// The report of `muster audit verify` with further arguments.
fn verified(arguments: &[&str]) -> Value {
    let ended = muster(&[&["audit", "verify", "--json"], arguments].concat());
    let report: Value = serde_json::from_str(&ended.out).expect("it prints JSON");
    assert_eq!(report["verified"], true, "{report}");
    report
}

#[test]
fn refused_requests_and_exports_are_in_a_log_that_can_be_verified() {
    let place = Installation::new();
    let server = place.start();
    let admin = Graph::new(&place, &server, "contoso", "Administrator");
    let early = verified(&["--server", &server.ops.base]);
    let pin = early["head"].as_str().expect("a head");
    let limited = Graph::new(&place, &server, "contoso", "Metrics");
    let path = format!("{GROUPS}?$top=3");
    assert_eq!(limited.send("GET", &path, &Value::Null).status, 403);
    let wanted = json!({ "reportName": "Devices", "filter": "OwnerType eq '1'" });
    assert_eq!(admin.send("POST", JOBS, &wanted).status, 201);

    let events = admin.all(EVENTS);
    let export = &events[0];
    assert_eq!(export["activityType"], "Create DeviceManagementExportJob");
    assert_eq!(export["actor"]["ipAddress"], "127.0.0.1");
    let refused = &events[1];
    assert_eq!(refused["activityResult"], "Failure");
    assert_eq!(refused["actor"]["ipAddress"], "127.0.0.1");
    assert_eq!(refused["resources"][0]["displayName"], GROUPS);

    let online = verified(&["--server", &server.ops.base, "--pin", pin]);
    let asked = admin.get(&format!("/beta/muster/audit/verify?pin={pin}"));
    assert_eq!(asked, online);
    server.stop();
    let data = place.data();
    let offline = verified(&["--data-dir", text(&data), "--pin", pin]);
    assert_eq!(offline, online);
    let server = place.start();
    let head = online["head"].as_str().expect("a head");
    verified(&["--server", &server.ops.base, "--pin", head]);
    let other = format!("1:{}", "0".repeat(64));
    let ended = muster(&[
        "audit",
        "verify",
        "--server",
        &server.ops.base,
        "--pin",
        &other,
    ]);
    assert_eq!(ended.code, 7);
}
