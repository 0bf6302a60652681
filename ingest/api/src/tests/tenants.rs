//! Tests of tenants, which come and go.

use serde_json::{Value, json};

use super::fixture::{Answer, DEVICE, Server, request};

fn is(answer: &Answer, status: u16, code: &str) -> bool {
    answer.status == status && answer.code() == code
}

fn names(list: &Answer) -> Vec<String> {
    let list = list.json();
    let rows = list["value"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_tenant_is_created_read_listed_renamed_and_deleted() {
    let server = Server::new();
    let body = json!({ "name": "contoso", "displayName": "Contoso" });
    let created = server.change("POST", "/tenants", body.clone()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(created.headers["location"], "/tenants/contoso");
    let mut expected = json!({
        "@odata.etag": "\"3\"",
        "@odata.type": "#microsoft.graph.tenant",
        "name": "contoso",
        "displayName": "Contoso",
        "createdDateTime": "2026-01-01T00:00:00Z",
    });
    assert_eq!(created.json(), expected);
    assert_eq!(server.get("/tenants/contoso").await.json(), expected);
    assert_eq!(
        names(&server.get("/tenants").await),
        ["demo", "other", "contoso"]
    );
    assert_eq!(server.get("/tenants/contoso/settings").await.status, 200);
    let again = server.change("POST", "/tenants", body).await;
    assert!(is(&again, 409, "objectExists"), "{}", again.text);
    let patch = json!({ "displayName": "Contoso Ltd" });
    let renamed = server.change("PATCH", "/tenants/contoso", patch).await;
    expected["displayName"] = "Contoso Ltd".into();
    expected["@odata.etag"] = "\"4\"".into();
    assert_eq!((renamed.status.as_u16(), renamed.json()), (200, expected));
    let mut stale = request("DELETE", "/tenants/contoso");
    stale
        .headers_mut()
        .insert("if-match", "\"3\"".parse().unwrap());
    assert!(is(&server.send(stale).await, 412, "preconditionFailed"));
    let deleted = server
        .change("DELETE", "/tenants/contoso", Value::Null)
        .await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    assert_eq!(names(&server.get("/tenants").await), ["demo", "other"]);
    for path in [
        "/tenants/contoso",
        "/tenants/contoso/settings",
        "/counts?tenant=contoso",
    ] {
        assert!(is(&server.get(path).await, 404, "unknownTenant"), "{path}");
    }
}

#[tokio::test]
async fn a_tenant_without_a_name_or_with_another_one_is_refused() {
    let server = Server::new();
    for (method, path, body, target) in [
        ("POST", "/tenants", json!({}), "name"),
        ("POST", "/tenants", json!({ "name": "Contoso" }), "name"),
        (
            "POST",
            "/tenants",
            json!({ "name": "a", "displayName": "" }),
            "displayName",
        ),
        (
            "POST",
            "/tenants",
            json!({ "name": "a", "limit": 1 }),
            "limit",
        ),
        ("PATCH", "/tenants/demo", json!({ "name": "other" }), "name"),
    ] {
        let refused = server.change(method, path, body).await;
        assert!(is(&refused, 400, "badRequest"), "{}", refused.text);
        assert_eq!(refused.json()["details"][0]["target"], target);
    }
    assert_eq!(names(&server.get("/tenants").await), ["demo", "other"]);
}

#[tokio::test]
async fn the_devices_of_a_deleted_tenant_are_in_no_count() {
    let server = Server::new();
    let refused = server.change("DELETE", "/tenants/demo", Value::Null).await;
    assert!(is(&refused, 409, "tenantHasDevices"), "{}", refused.text);
    // Devices that checked in while their tenant was deleted: the fake still reports them.
    let deleted = server.change("DELETE", "/tenants/other", Value::Null).await;
    assert_eq!(deleted.status, 204);
    let counts = server.get("/counts").await.json();
    assert_eq!(counts["tenants"].as_array().unwrap().len(), 1);
    assert_eq!(counts["total"]["devices"], 6);
    let cells = server.get("/cells").await.json();
    assert_eq!(cells["cells"].as_array().unwrap().len(), 1);
    let device = format!("/devices/other/{DEVICE}");
    assert!(is(&server.get(&device).await, 404, "unknownTenant"));
}

#[tokio::test]
async fn who_deleted_a_tenant_is_audited() {
    let server = Server::new();
    server.change("DELETE", "/tenants/other", Value::Null).await;
    server
        .change(
            "PATCH",
            "/tenants/demo/settings",
            json!({ "sensorInactiveDays": 9 }),
        )
        .await;
    let page = server.get("/auditEvents?limit=2").await.json();
    let events = page["value"].as_array().unwrap();
    let shown: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["activityType"].as_str().unwrap(),
                event["resources"][0]["resourceId"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [("Delete Tenant", "other"), ("Create Tenant", "other")]
    );
    assert_eq!(events[0]["actor"]["userPrincipalName"], "local");
    let next = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(next, "http://127.0.0.1:7441/auditEvents?limit=2&before=2");
    let last = server.get(next).await.json();
    assert_eq!(last["value"][0]["resources"][0]["resourceId"], "demo");
}
