//! Tests of reading and changing the objects of a tenant.

use serde_json::{Value, json};

use super::fixture::{Answer, DEVICE, Fake, POLICY, Server, request};
use crate::BODY_BYTES_MAX;

const SETTINGS: &str = "/tenants/demo/settings";
const CONNECTOR: &str =
    "/tenants/demo/mobileThreatDefenseConnectors/fc780465-2017-40d4-a0c5-307022471b92";
const POLICIES: &str = "/tenants/demo/deviceCompliancePolicies";
const AUDIT: &str = "/tenants/demo/auditEvents";

fn ios_policy() -> Value {
    json!({
        "@odata.type": "#microsoft.graph.iosCompliancePolicy",
        "displayName": "iOS risk",
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": "low",
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
        "assignments": [{ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }],
    })
}

fn policy() -> String {
    format!("{POLICIES}/{POLICY}")
}

fn is(answer: &Answer, status: u16, code: &str) -> bool {
    answer.status == status && answer.code() == code
}

/// The actor of what comes through the operations endpoint.
fn local_actor() -> Value {
    json!({
        "auditActorType": "ItPro",
        "userPermissions": [],
        "applicationId": null,
        "applicationDisplayName": null,
        "userPrincipalName": "local",
        "servicePrincipalName": null,
        "ipAddress": null,
        "userId": null,
    })
}

#[tokio::test]
async fn settings_exist_from_the_beginning_and_are_changed_in_part() {
    let server = Server::new();
    let initial = server.get(SETTINGS).await;
    assert_eq!(
        (initial.status.as_u16(), &initial.headers["etag"]),
        (200, &"\"0\"".parse().unwrap())
    );
    let expected = json!({
        "@odata.etag": "\"0\"",
        "@odata.type": "#microsoft.graph.deviceManagementSettings",
        "secureByDefault": false,
        "deviceComplianceCheckinThresholdDays": 30,
        "isScheduledActionEnabled": true,
        "enhancedJailBreak": false,
        "autoCreateDevices": true,
        "sensorInactiveDays": 7,
        "noSensorDataHours": 48,
        "removedRetentionDays": 30,
        "profileRetentionDays": 180,
    });
    assert_eq!(initial.json(), expected);
    let patch = json!({ "secureByDefault": true });
    let changed = server.change("PATCH", SETTINGS, patch.clone()).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.headers["etag"], "\"3\"");
    assert_eq!(changed.headers["muster-devices-changed"], "7");
    assert_eq!(changed.json()["secureByDefault"], true);
    assert_eq!(changed.json()["sensorInactiveDays"], 7);
    assert_eq!(server.get(SETTINGS).await.json(), changed.json());
    let other = server.get("/tenants/other/settings").await.json();
    assert_eq!(other, expected, "another tenant has its own");
    // The same again changes nothing and has no entry.
    let again = server.change("PATCH", SETTINGS, patch).await;
    assert_eq!(
        (again.status.as_u16(), &again.headers["etag"]),
        (200, &changed.headers["etag"])
    );
    assert_eq!(again.headers["muster-devices-changed"], "0");
    assert_eq!(
        server.get(AUDIT).await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        2,
        "the tenant was created, and the settings were changed"
    );
}

#[tokio::test]
async fn a_policy_is_created_read_listed_changed_and_deleted() {
    let server = Server::new();
    let created = server.change("POST", POLICIES, ios_policy()).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.headers["location"], policy().as_str());
    let document = created.json();
    assert_eq!(document["id"], POLICY);
    assert_eq!(document["version"], 1);
    assert_eq!(document["createdDateTime"], "2026-01-01T00:00:00Z");
    assert_eq!(server.get(&policy()).await.json(), document);
    assert_eq!(
        server.get(POLICIES).await.json(),
        json!({ "value": [document] })
    );
    let again = server.change("POST", POLICIES, ios_policy()).await;
    assert!(is(&again, 409, "objectExists"));
    let patch = json!({ "deviceThreatProtectionRequiredSecurityLevel": "secured" });
    let changed = server.change("PATCH", &policy(), patch).await.json();
    assert_eq!(
        (&changed["version"], &changed["@odata.etag"]),
        (&json!(2), &json!("\"4\""))
    );
    assert_eq!(changed["displayName"], "iOS risk");
    let deleted = server.change("DELETE", &policy(), Value::Null).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    assert_eq!(deleted.headers["muster-devices-changed"], "7");
    assert!(is(&server.get(&policy()).await, 404, "unknownObject"));
    assert!(is(
        &server.change("DELETE", &policy(), Value::Null).await,
        404,
        "unknownObject"
    ));
    assert_eq!(server.get(POLICIES).await.json(), json!({ "value": [] }));
}

#[tokio::test]
async fn a_connector_is_put_in_place_of_another_and_patched() {
    let server = Server::new();
    assert!(is(&server.get(CONNECTOR).await, 404, "unknownObject"));
    let put = server
        .change("PUT", CONNECTOR, json!({ "iosEnabled": true }))
        .await;
    assert_eq!(
        (put.status.as_u16(), &put.json()["iosEnabled"]),
        (200, &json!(true))
    );
    let patch = json!({ "windowsEnabled": true });
    let patched = server
        .change("PATCH", CONNECTOR, patch.clone())
        .await
        .json();
    assert_eq!(
        (&patched["iosEnabled"], &patched["windowsEnabled"]),
        (&json!(true), &json!(true))
    );
    let put = server.change("PUT", CONNECTOR, patch).await.json();
    assert_eq!(
        put["iosEnabled"], false,
        "absent properties have their defaults"
    );
    let list = server
        .get("/tenants/demo/mobileThreatDefenseConnectors")
        .await;
    assert_eq!(list.json(), json!({ "value": [put] }));
    let other = CONNECTOR.replace("fc78", "fc79");
    let refused = server.change("PUT", &other, json!({})).await;
    assert!(is(&refused, 400, "badRequest"));
    assert_eq!(refused.json()["details"][0]["target"], "id");
}

#[tokio::test]
async fn a_stale_order_changes_nothing() {
    let server = Server::new();
    let change = async |etag: &'static str| {
        let body = json!({ "sensorInactiveDays": 9 }).to_string();
        let mut change = request("PATCH", SETTINGS).map(|_| body.into());
        change
            .headers_mut()
            .insert("if-match", etag.parse().unwrap());
        server.send(change).await
    };
    assert!(is(&change("\"9\"").await, 412, "preconditionFailed"));
    assert_eq!(server.get(SETTINGS).await.json()["sensorInactiveDays"], 7);
    for malformed in ["0", "\"x\"", "\"0\", \"1\"", ""] {
        assert!(
            is(&change(malformed).await, 400, "badRequest"),
            "{malformed}"
        );
    }
    assert_eq!(change("\"0\"").await.status, 200);
    assert!(is(&change("\"0\"").await, 412, "preconditionFailed"));
    assert_eq!(change("*").await.status, 200);
    let mut change = request("PUT", CONNECTOR).map(|_| "{}".into());
    change
        .headers_mut()
        .insert("if-none-match", "*".parse().unwrap());
    assert!(is(&server.send(change).await, 400, "badRequest"));
}

#[tokio::test]
async fn a_bad_document_lists_every_fault() {
    let server = Server::new();
    let body = json!({
        "displayName": "",
        "deviceThreatProtectionEnabled": "yes",
        "passwordRequired": true,
    });
    let refused = server.change("POST", POLICIES, body).await;
    assert!(is(&refused, 400, "badRequest"));
    let json = refused.json();
    let details: Vec<_> = json["details"].as_array().unwrap().iter().collect();
    let faults: Vec<_> = details
        .iter()
        .map(|detail| (&detail["target"], &detail["code"]))
        .collect();
    let expected = [
        ("@odata.type", "missing"),
        ("displayName", "invalid"),
        ("deviceThreatProtectionEnabled", "invalid"),
        ("scheduledActionsForRule", "missing"),
    ];
    assert_eq!(
        faults,
        expected
            .map(|(target, code)| (json!(target), json!(code)))
            .each_ref()
            .map(|(a, b)| (a, b))
    );
    let message = details[2]["message"].as_str().unwrap();
    assert!(message.contains("allowed: true or false"), "{message}");
    for body in ["", "{", "[]", "null", "{} {}"] {
        let mut patch = request("PATCH", SETTINGS);
        *patch.body_mut() = body.into();
        let refused = server.send(patch).await;
        assert!(is(&refused, 400, "badRequest"), "{body}");
    }
    let long = json!({ "x".repeat(BODY_BYTES_MAX): true });
    let refused = server.change("PATCH", SETTINGS, long).await;
    assert!(is(&refused, 413, "bodyTooLarge"), "{}", refused.text);
}

#[tokio::test]
async fn more_faults_than_are_listed_are_counted() {
    let unknown = (0..150).map(|number| (format!("x{number}"), json!(true)));
    let body = Value::Object(unknown.collect());
    let refused = Server::new().change("PATCH", SETTINGS, body).await.json();
    let details = refused["details"].as_array().unwrap();
    assert_eq!(
        (details.len(), &details[100]["message"]),
        (101, &json!("50 more faults"))
    );
}

#[tokio::test]
async fn without_permission_every_change_is_refused_and_nothing_else() {
    let server = Server::over(Fake {
        takes_changes: false,
        ..Fake::default()
    });
    for (method, path) in [
        ("PATCH", SETTINGS),
        ("PUT", CONNECTOR),
        ("PATCH", CONNECTOR),
        ("DELETE", CONNECTOR),
        ("POST", POLICIES),
        ("PATCH", &policy()),
        ("DELETE", &policy()),
    ] {
        let refused = server.change(method, path, json!({})).await;
        assert!(is(&refused, 403, "changesOff"), "{method} {path}");
    }
    for path in [SETTINGS, POLICIES, AUDIT] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn unknown_names_and_ids_are_not_found() {
    let server = Server::new();
    for path in ["settings", "deviceCompliancePolicies", "auditEvents"] {
        let answer = server.get(&format!("/tenants/nobody/{path}")).await;
        assert!(is(&answer, 404, "unknownTenant"), "{path}");
    }
    assert!(is(
        &server.get(&format!("{POLICIES}/1")).await,
        400,
        "badRequest"
    ));
    let refused = server.change("POST", SETTINGS, json!({})).await;
    assert!(is(&refused, 405, "methodNotAllowed"));
    assert_eq!(
        refused.headers["allow"]
            .to_str()
            .unwrap()
            .matches("PATCH")
            .count(),
        1
    );
}

#[tokio::test]
async fn an_audit_says_who_when_and_what_page_by_page() {
    let server = Server::new();
    for days in 1..=5 {
        server
            .change("PATCH", SETTINGS, json!({ "sensorInactiveDays": days }))
            .await;
    }
    server.change("POST", POLICIES, ios_policy()).await;
    let page = server.get(&format!("{AUDIT}?limit=4")).await.json();
    let ids = |page: &Value| -> Vec<String> {
        let events = page["value"].as_array().unwrap().iter();
        events
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids(&page), ["8", "7", "6", "5"]);
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(
        next,
        format!("http://127.0.0.1:7441{AUDIT}?limit=4&before=5")
    );
    let last = server.get(next).await.json();
    assert_eq!(ids(&last), ["4", "3", "1"]);
    assert_eq!(last.get("@odata.nextLink"), None);
    let created = &page["value"][0];
    assert_eq!(created["displayName"], "Create DeviceCompliancePolicy");
    assert_eq!(created["resources"][0]["displayName"], "iOS risk");
    assert_eq!(created["resources"][0]["resourceId"], POLICY);
    let expected = json!({
        "id": "7",
        "displayName": "Patch DeviceManagementSettings",
        "componentName": "DeviceConfiguration",
        "category": "DeviceConfiguration",
        "activity": null,
        "correlationId": null,
        "activityType": "Patch DeviceManagementSettings",
        "activityOperationType": "Patch",
        "activityDateTime": "2026-01-01T00:00:00.0000000Z",
        "activityResult": "Success",
        "actor": local_actor(),
        "resources": [{
            "displayName": null,
            "auditResourceType": "DeviceManagementSettings",
            "resourceId": null,
            "modifiedProperties": [
                { "displayName": "sensorInactiveDays", "oldValue": "4", "newValue": "5" },
            ],
        }],
    });
    assert_eq!(page["value"][1], expected);
    for query in ["limit=0", "limit=101", "before=x", "before=-1"] {
        let answer = server.get(&format!("{AUDIT}?{query}")).await;
        assert!(is(&answer, 400, "badRequest"), "{query}");
    }
}

#[tokio::test]
async fn the_history_of_an_object_has_its_changes_and_no_others() {
    let server = Server::new();
    let patch = async |days: u32| {
        let body = json!({ "sensorInactiveDays": days });
        server.change("PATCH", SETTINGS, body).await
    };
    patch(1).await;
    server.change("POST", POLICIES, ios_policy()).await;
    patch(2).await;
    let body = json!({ "description": "for phones" });
    server.change("PATCH", &policy(), body).await;
    server.change("DELETE", &policy(), Value::Null).await;
    let ids = |page: &Value| -> Vec<String> {
        let events = page["value"].as_array().unwrap().iter();
        events
            .map(|event| event["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let path = format!("{}/history", policy());
    let page = server.get(&format!("{path}?limit=2")).await.json();
    assert_eq!(ids(&page), ["7", "6"], "also of an object that was deleted");
    let modified = &page["value"][1]["resources"][0]["modifiedProperties"];
    let expected =
        json!({ "displayName": "description", "oldValue": "", "newValue": "for phones" });
    assert!(
        modified.as_array().unwrap().contains(&expected),
        "{modified}"
    );
    let next = page["@odata.nextLink"].as_str().unwrap();
    let expected = format!("http://127.0.0.1:7441{path}?limit=2&before=6");
    assert_eq!(next, expected);
    let last = server.get(next).await.json();
    assert_eq!(
        (ids(&last), last.get("@odata.nextLink")),
        (vec!["4".to_owned()], None)
    );
    let settings = server
        .get(&format!("{SETTINGS}/history?limit=1"))
        .await
        .json();
    assert_eq!(ids(&settings), ["5"]);
    let next = settings["@odata.nextLink"].as_str().unwrap();
    assert_eq!(ids(&server.get(next).await.json()), ["3"]);
    for never in [format!("{CONNECTOR}/history"), path.replace("00aa", "00ab")] {
        assert!(
            is(&server.get(&never).await, 404, "unknownObject"),
            "{never}"
        );
    }
    let built_in = "/tenants/demo/groups/adadadad-808e-44e2-905a-0b7873a8a531/history";
    assert_eq!(server.get(built_in).await.json(), json!({ "value": [] }));
    assert!(is(
        &server.get(&format!("{path}?limit=0")).await,
        400,
        "badRequest"
    ));
}

#[tokio::test]
async fn the_numbers_of_a_device_are_reset_if_changes_are_allowed() {
    let path = |device: &str| format!("/tenants/demo/devices/{device}/resetSequence");
    let server = Server::new();
    let done = server.change("POST", &path(DEVICE), json!({})).await;
    assert_eq!(done.status, 200);
    let expected = json!({
        "id": DEVICE,
        "tenant": "demo",
        "seq_before": u64::MAX,
        "seq": 1_767_229_200_000_u64,
        "inventory_revision_before": 3,
        "inventory_revision": 3,
    });
    assert_eq!(done.json(), expected);
    let history = format!("/tenants/demo/devices/{DEVICE}/history");
    let history = server.get(&history).await.json();
    let audit = server.get(&format!("{AUDIT}?limit=1")).await.json();
    assert_eq!(history["value"], audit["value"]);
    let expected = json!([{
        "id": "3",
        "displayName": "resetSequence ManagedDevice",
        "componentName": "Device",
        "category": "Device",
        "activity": null,
        "correlationId": null,
        "activityType": "resetSequence ManagedDevice",
        "activityOperationType": "Action",
        "activityDateTime": "2026-01-01T00:00:00.0000000Z",
        "activityResult": "Success",
        "actor": local_actor(),
        "resources": [{
            "displayName": null,
            "auditResourceType": "ManagedDevice",
            "resourceId": DEVICE,
            "modifiedProperties": [
                { "displayName": "seq", "oldValue": u64::MAX.to_string(), "newValue": "1767229200000" },
                { "displayName": "inventoryRevision", "oldValue": "3", "newValue": "3" },
            ],
        }],
    }]);
    assert_eq!(history["value"], expected);
    let other = DEVICE.replace('0', "9");
    for (device, status, code) in [
        (other.as_str(), 404, "unknownDevice"),
        ("7", 400, "badRequest"),
    ] {
        let answer = server.change("POST", &path(device), json!({})).await;
        assert!(is(&answer, status, code), "{device}");
    }
}

#[tokio::test]
async fn the_stale_devices_of_a_tenant_are_listed() {
    let listed = Server::new().get("/tenants/demo/staleDevices").await;
    let expected = json!({ "devices": [
        { "id": DEVICE, "seq": 42, "stale_since": "2026-01-01T01:13:20Z" },
    ] });
    assert_eq!(listed.json(), expected);
}
