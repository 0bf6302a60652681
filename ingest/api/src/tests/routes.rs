//! Tests of successful responses.

use serde_json::{Value, json};

use super::fixture::{DEVICE, Fake, Server, at_risk};
use crate::Readiness;

#[tokio::test]
async fn only_a_serving_server_is_ready_and_any_is_live() {
    let ready = Server::new().get("/ready").await.json();
    assert_eq!(ready, json!({"ready": true, "phase": "serving"}));
    for (phase, poisoned) in [("draining", None), ("poisoned", Some("no space"))] {
        let server = Server::over(Fake {
            readiness: Readiness {
                phase,
                is_serving: false,
                poisoned: poisoned.map(str::to_owned),
                audit_drift: 0,
            },
            ..Fake::default()
        });
        let ready = server.get("/ready").await;
        assert_eq!(
            (ready.status.as_u16(), ready.code().as_str()),
            (503, "notReady")
        );
        let body = ready.json();
        assert_eq!(
            (&body["ready"], &body["phase"]),
            (&json!(false), &json!(phase))
        );
        assert_eq!(body.get("reason").and_then(Value::as_str), poisoned);
        let live = server.get("/live").await;
        assert_eq!(
            (live.status.as_u16(), live.json()),
            (200, json!({"live": true}))
        );
    }
}

#[tokio::test]
async fn a_server_whose_counters_have_drifted_is_not_ready_but_still_responds() {
    let mut backend = Fake::default();
    backend.readiness.audit_drift = 2;
    let server = Server::over(backend);
    let ready = server.get("/ready").await;
    assert_eq!(
        (ready.status.as_u16(), ready.code()),
        (503, "notReady".to_owned())
    );
    let body = ready.json();
    assert_eq!(
        (&body["ready"], &body["phase"], &body["reason"]),
        (&json!(false), &json!("serving"), &json!("drift"))
    );
    assert_eq!(server.get("/counts").await.status, 200);
}

#[tokio::test]
async fn counts_add_up_over_shards_and_show_every_member() {
    let answer = Server::new().get("/counts").await.json();
    let tenants = answer["tenants"].as_array().unwrap();
    let names: Vec<_> = tenants.iter().map(|tenant| &tenant["tenant"]).collect();
    assert_eq!(names, ["demo", "other"]);
    assert_eq!(
        (&tenants[0]["devices"], &tenants[0]["onboarded"]),
        (&json!(6), &json!(6))
    );
    assert_eq!(tenants[0]["compliance"]["noncompliant"], 6);
    assert_eq!(tenants[0]["compliance"]["conflict"], 0, "zeros are shown");
    assert_eq!(tenants[0]["risk"]["high"], 6);
    assert_eq!(tenants[1]["devices"], 2);
    let total = answer["total"].as_object().unwrap();
    assert!(!total.contains_key("tenant"));
    assert_eq!(
        (&total["devices"], &total["not_onboarded"]),
        (&json!(8), &json!(2))
    );
    assert_eq!(total["subsets"]["notEnrolled"], 2);
    assert_eq!(total["enrolled"], 6);
    let dimensions = [
        "onboarding_status",
        "compliance",
        "sensor",
        "risk",
        "platform",
        "managed_by",
        "partner_threat",
    ];
    let of_some = [
        ("deviceCompliancePolicyDeviceStateSummary", 6),
        ("windows_onboarding", 6),
        ("edr_onboarding", 6),
        ("advancedThreatProtectionOnboardingStateSummary", 6),
    ];
    for (name, expected) in dimensions.map(|name| (name, 8)).into_iter().chain(of_some) {
        let members = total[name].as_object().unwrap();
        let sum: u64 = members.values().filter_map(Value::as_u64).sum();
        assert_eq!(sum, expected, "{name}");
    }
}

#[tokio::test]
async fn counts_of_one_tenant_hold_nothing_of_another() {
    let answer = Server::new().get("/counts?tenant=other").await.json();
    assert_eq!(answer["tenants"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&answer["tenants"][0]["tenant"], &answer["total"]["devices"]),
        (&json!("other"), &json!(2))
    );
}

#[tokio::test]
async fn cells_are_sorted_by_tenant_and_facets() {
    let server = Server::new();
    let answer = server.get("/cells").await.json();
    let cells = answer["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2);
    let expected = json!({
        "tenant": "demo", "facets": at_risk().word().0,
        "count": 6, "platform": "windows", "management_agent": "mdm", "managed_by": "intune",
        "onboarding_status": "onboarded", "risk": "high", "partner_threat": "unknown",
        "sensor": "active", "compliance": "noncompliant",
        "threat_setting": "nonCompliant", "threat_setting_reason": null,
    });
    assert_eq!(cells[0], expected);
    assert_eq!(
        (&cells[1]["tenant"], &cells[1]["count"]),
        (&json!("other"), &json!(2))
    );
    let one = server.get("/cells?tenant=demo").await.json();
    assert_eq!(one, json!({ "cells": [expected] }));
}

#[tokio::test]
async fn a_policy_shows_the_platforms_that_have_a_threshold() {
    let answer = Server::new().get("/policy?tenant=other").await.json();
    let platforms = json!(["windows", "iOS", "android", "androidEnterprise"]);
    for map in [
        "policy_assigned",
        "thresholds",
        "connector",
        "blocked_on_missing_partner_data",
    ] {
        let keys: Vec<_> = answer[map].as_object().unwrap().keys().collect();
        assert_eq!(json!(keys), platforms, "{map}");
    }
    assert_eq!(answer["policy_assigned"]["windows"], true);
    assert_eq!(answer["thresholds"]["windows"], "medium");
    assert_eq!(answer["connector"]["windows"], "enabled");
    assert_eq!(answer["blocked_on_missing_partner_data"]["iOS"], true);
    assert_eq!(answer["blocked_on_missing_partner_data"]["windows"], false);
    assert_eq!(
        (&answer["tenant"], &answer["revision"]),
        (&json!("other"), &json!(4))
    );
    assert_eq!(
        (&answer["secure_by_default"], &answer["auto_create_devices"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(answer["sensor_inactive_seconds"], 604_800);
    assert_eq!(answer["no_sensor_data_seconds"], 172_800);
    assert_eq!(answer["report_valid_seconds"], 2_592_000);
}

#[tokio::test]
async fn a_device_shows_its_state_its_times_and_why() {
    let answer = Server::new()
        .get(&format!("/devices/demo/{DEVICE}"))
        .await
        .json();
    assert_eq!(
        (&answer["id"], &answer["tenant"], &answer["seq"]),
        (&json!(DEVICE), &json!("demo"), &json!(42))
    );
    assert_eq!(
        (&answer["compliance"], &answer["is_compliant"]),
        (&json!("noncompliant"), &json!(false))
    );
    assert_eq!(answer["first_seen"], "2026-01-01T00:00:00Z");
    assert_eq!(answer["last_check_in"], "2026-01-01T01:00:00Z");
    assert_eq!(answer["stale_since"], "2026-01-01T01:13:20Z");
    assert_eq!(answer["last_full_report"], "2026-01-01T00:00:00Z");
    assert_eq!(answer["payload"], "000000ab");
    let flags = [
        "sensorRunning",
        "commandAndControlOk",
        "telemetryOk",
        "registered",
    ];
    assert_eq!(answer["flags"], json!(flags));
    assert_eq!(
        (&answer["owner"], &answer["tags"]),
        (&json!("company"), &json!(["floor"]))
    );
    let inventory = &answer["inventory"];
    assert_eq!(
        (
            &answer["inventory_revision"],
            &inventory["device_name"],
            &inventory["model"]
        ),
        (&json!(3), &json!("till 4"), &Value::Null)
    );
    let why = answer["why"].to_string();
    for rule in ["R3", "R7 row 6", "R17 row 6"] {
        assert!(why.contains(rule), "{why}");
    }
}

#[tokio::test]
async fn sessions_are_listed_up_to_a_limit_with_their_total() {
    let server = Server::new();
    let answer = server.get("/sessions?limit=2").await.json();
    assert_eq!(
        (
            answer["sessions"].as_array().unwrap().len(),
            &answer["total"]
        ),
        (2, &json!(3))
    );
    let first = json!({
        "id": 0, "identity": "muster://demo/gateway/gw-1", "remote": "127.0.0.1:0",
        "connected_at": "2026-01-01T00:00:00Z", "records_received": 5,
        "records_acknowledged": 4, "frames_in_flight": 1,
    });
    assert_eq!(answer["sessions"][0], first);
    assert_eq!(
        server.get("/sessions").await.json()["sessions"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn a_recount_lists_its_differences_and_is_marked_as_online() {
    let answer = Server::new().post("/recount", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let expected = json!({
        "verified": false, "devices": 7, "cells": 2, "differing_cells": 1,
        "differences": [{
            "tenant": "demo", "facets": at_risk().word().0, "counted_on_disk": 2, "counter": 3,
        }],
        "view_drift": 0, "online": true,
    });
    assert_eq!(answer.text, expected.to_string(), "in this order");
}

#[tokio::test]
async fn a_backup_is_requested_by_directory_and_returns_its_path() {
    let server = Server::new();
    let answer = server.post("/backup", r#"{"directory":"monday"}"#).await;
    assert_eq!(answer.json(), json!({"directory": "/backups/monday"}));
    for body in ["", "{}", r#"{"directory":"a","more":1}"#] {
        let answer = server.post("/backup", body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "badRequest"),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_clock_shows_its_step_which_can_be_confirmed() {
    let server = Server::new();
    let expected = json!({
        "time": "2026-01-01T00:00:00Z",
        "wall": "2026-01-09T00:00:00Z",
        "step": {"seconds": 691_200.0, "follows_in_seconds": 230},
    });
    assert_eq!(server.get("/clock").await.json(), expected);
    let answer = server.post("/clock/confirm", "").await;
    let expected = json!({"before": "2026-01-01T00:00:00Z", "after": "2026-01-09T00:00:00Z"});
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
}

#[tokio::test]
async fn metrics_are_the_text_of_the_backend() {
    let answer = Server::new().get("/metrics").await;
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert_eq!(answer.text, "# EOF\n");
}
