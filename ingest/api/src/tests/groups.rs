//! Tests of groups and their members.

use serde_json::{Value, json};

use super::fixture::{Answer, DEVICE, POLICY, Server, known_devices, request};

const GROUPS: &str = "/tenants/demo/groups";
const ALL_DEVICES: &str = "/tenants/demo/groups/adadadad-808e-44e2-905a-0b7873a8a531";

fn ring() -> Value {
    json!({
        "displayName": "Ring 1",
        "description": "validation ring",
        "mailEnabled": false,
        "mailNickname": "ring1",
        "securityEnabled": true,
        "groupTypes": [],
    })
}

fn group() -> String {
    format!("{GROUPS}/{POLICY}")
}

fn is(answer: &Answer, status: u16, code: &str) -> bool {
    answer.status == status && answer.code() == code
}

/// A server with one group.
async fn server() -> Server {
    let server = Server::new();
    let created = server.change("POST", GROUPS, ring()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    server
}

fn url(device: &str) -> String {
    format!("https://graph.microsoft.com/v1.0/directoryObjects/{device}")
}

async fn members(server: &Server, target: &str) -> (Vec<String>, Option<String>) {
    let page = server.get(target).await.json();
    let rows = page["value"].as_array().unwrap().iter();
    let ids = rows.map(|row| {
        assert_eq!(row["@odata.type"], "#microsoft.graph.device");
        row["id"].as_str().unwrap().to_owned()
    });
    let next = page
        .get("@odata.nextLink")
        .map(|next| next.as_str().unwrap().to_owned());
    (ids.collect(), next)
}

#[tokio::test]
async fn a_group_is_created_read_listed_changed_and_deleted() {
    let server = Server::new();
    let created = server.change("POST", GROUPS, ring()).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.headers["location"], group().as_str());
    let mut expected = json!({
        "@odata.etag": "\"3\"",
        "@odata.type": "#microsoft.graph.group",
        "id": POLICY,
        "displayName": "Ring 1",
        "description": "validation ring",
        "mailEnabled": false,
        "mailNickname": "ring1",
        "securityEnabled": true,
        "groupTypes": [],
        "membershipRule": null,
        "membershipRuleProcessingState": null,
        "createdDateTime": "2026-01-01T00:00:00Z",
    });
    assert_eq!(created.json(), expected);
    assert_eq!(server.get(&group()).await.json(), expected);
    // A document that was read can be sent back.
    let same = server.change("PATCH", &group(), expected.clone()).await;
    assert_eq!((same.status.as_u16(), same.text.as_str()), (204, ""));
    assert_eq!(same.headers["etag"], "\"3\"");
    let patch = json!({ "displayName": "Ring 2" });
    let changed = server.change("PATCH", &group(), patch).await;
    assert_eq!((changed.status.as_u16(), changed.text.as_str()), (204, ""));
    assert_eq!(changed.headers["etag"], "\"4\"");
    expected["displayName"] = "Ring 2".into();
    expected["@odata.etag"] = "\"4\"".into();
    let all = server.get(ALL_DEVICES).await.json();
    assert_eq!(
        (&all["displayName"], &all["createdDateTime"]),
        (&json!("All devices"), &Value::Null)
    );
    assert_eq!(
        server.get(GROUPS).await.json(),
        json!({ "value": [expected, all] })
    );
    let deleted = server.change("DELETE", &group(), Value::Null).await;
    assert_eq!(deleted.status, 204);
    assert!(is(&server.get(&group()).await, 404, "unknownObject"));
}

#[tokio::test]
async fn a_bad_group_lists_every_fault() {
    let body = json!({
        "mailEnabled": true,
        "mailNickname": "ring 1",
        "groupTypes": ["Unified"],
        "membershipRule": "(device",
        "members@odata.bind": [url(DEVICE)],
    });
    let refused = Server::new().change("POST", GROUPS, body).await;
    assert!(is(&refused, 400, "badRequest"), "{}", refused.text);
    let json = refused.json();
    let details = json["details"].as_array().unwrap().iter();
    let mut faults: Vec<_> = details
        .map(|detail| {
            (
                detail["target"].as_str().unwrap(),
                detail["code"].as_str().unwrap(),
            )
        })
        .collect();
    faults.sort_unstable();
    let expected = [
        ("displayName", "missing"),
        ("groupTypes", "invalid"),
        ("mailEnabled", "invalid"),
        ("mailNickname", "invalid"),
        ("members@odata.bind", "unknownProperty"),
        ("membershipRule", "invalid"),
        ("securityEnabled", "missing"),
    ];
    assert_eq!(faults, expected);
}

#[tokio::test]
async fn a_member_is_added_and_removed_by_reference() {
    let server = server().await;
    let add = format!("{}/members/$ref", group());
    let body = json!({ "@odata.id": url(DEVICE) });
    let added = server.change("POST", &add, body.clone()).await;
    assert_eq!((added.status.as_u16(), added.text.as_str()), (204, ""));
    assert_eq!(added.headers["etag"], "\"4\"");
    let list = format!("{}/members", group());
    assert_eq!(
        members(&server, &list).await,
        (vec![DEVICE.to_owned()], None)
    );
    let again = server.change("POST", &add, body).await;
    assert!(is(&again, 400, "badRequest"), "{}", again.text);
    let bad = server
        .change("POST", &add, json!({ "@odata.id": "x", "more": 1 }))
        .await;
    assert!(is(&bad, 400, "badRequest"));
    assert_eq!(bad.json()["details"].as_array().unwrap().len(), 2);
    let remove = format!("{list}/{DEVICE}/$ref");
    let removed = server.change("DELETE", &remove, Value::Null).await;
    assert_eq!((removed.status.as_u16(), removed.text.as_str()), (204, ""));
    assert_eq!(members(&server, &list).await, (Vec::new(), None));
    let again = server.change("DELETE", &remove, Value::Null).await;
    assert!(is(&again, 404, "unknownMember"), "{}", again.text);
    let bad = server
        .change("DELETE", &format!("{list}/7/$ref"), Value::Null)
        .await;
    assert!(is(&bad, 400, "badRequest"));
}

#[tokio::test]
async fn members_that_do_not_exist_are_all_named() {
    let server = server().await;
    let (one, other) = (DEVICE.replace('0', "8"), DEVICE.replace('0', "9"));
    let body = json!({ "members@odata.bind": [url(&other), url(DEVICE), url(&one)] });
    let refused = server.change("PATCH", &group(), body).await;
    assert!(is(&refused, 404, "unknownDevice"), "{}", refused.text);
    let json = refused.json();
    let details = json["details"].as_array().unwrap();
    assert_eq!(details.len(), 2);
    for (detail, id) in details.iter().zip([one, other]) {
        assert!(
            detail["message"].as_str().unwrap().ends_with(&id),
            "{detail}"
        );
    }
    assert_eq!(
        members(&server, &format!("{}/members", group())).await.0,
        [""; 0]
    );
}

#[tokio::test]
async fn members_are_listed_page_by_page() {
    let server = server().await;
    let all = known_devices();
    let urls: Vec<_> = all.iter().map(|id| url(id)).collect();
    let body = json!({ "members@odata.bind": urls });
    assert_eq!(server.change("PATCH", &group(), body).await.status, 204);
    let list = format!("{}/members", group());
    let mut sorted = all.clone();
    sorted.sort_unstable();
    assert_eq!(members(&server, &list).await, (sorted.clone(), None));
    assert_eq!(members(&server, &format!("{list}?$top=5000")).await.1, None);
    let mut target = format!("{list}?%24top=3");
    let mut found = Vec::new();
    loop {
        let (page, next) = members(&server, &target).await;
        assert!(page.len() == 3 || next.is_none());
        found.extend(page);
        let Some(next) = next else { break };
        assert!(
            next.starts_with(&format!("http://127.0.0.1:7441{list}?$top=3&$skiptoken=")),
            "{next}"
        );
        // A member that goes meanwhile shifts no page.
        let gone = format!("{list}/{}/$ref", found.last().unwrap());
        assert_eq!(
            server.change("DELETE", &gone, Value::Null).await.status,
            204
        );
        target = next;
    }
    assert_eq!(found, sorted);
    let other = format!(
        "{list}?$skiptoken={}{}",
        "0".repeat(32),
        DEVICE.replace('-', "")
    );
    let capitals = target.replace("skiptoken=7a", "skiptoken=7A");
    for query in [
        "$top=0",
        "$top=-1",
        "$top=x",
        "$skiptoken=",
        "$skiptoken=x",
        "$top=1&$top=2",
        "top=1",
    ] {
        let answer = server.get(&format!("{list}?{query}")).await;
        assert!(is(&answer, 400, "badRequest"), "{query}");
    }
    for foreign in [other, capitals] {
        assert!(
            is(&server.get(&foreign).await, 400, "badRequest"),
            "{foreign}"
        );
    }
}

#[tokio::test]
async fn the_built_in_group_is_read_only() {
    let server = Server::new();
    let patch = json!({ "displayName": "x" });
    let bind = json!({ "members@odata.bind": [url(DEVICE)] });
    for (method, path, body) in [
        ("PATCH", ALL_DEVICES.to_owned(), patch),
        ("PATCH", ALL_DEVICES.to_owned(), bind),
        ("DELETE", ALL_DEVICES.to_owned(), Value::Null),
        (
            "POST",
            format!("{ALL_DEVICES}/members/$ref"),
            json!({ "@odata.id": DEVICE }),
        ),
        (
            "DELETE",
            format!("{ALL_DEVICES}/members/{DEVICE}/$ref"),
            Value::Null,
        ),
        ("GET", format!("{ALL_DEVICES}/members"), Value::Null),
    ] {
        let refused = server.change(method, &path, body).await;
        assert!(
            is(&refused, 400, "builtIn"),
            "{method} {path}: {}",
            refused.text
        );
    }
}

#[tokio::test]
async fn a_stale_change_of_members_changes_nothing() {
    let server = server().await;
    let mut change = request("POST", &format!("{}/members/$ref", group()))
        .map(|_| json!({ "@odata.id": DEVICE }).to_string().into());
    change
        .headers_mut()
        .insert("if-match", "\"9\"".parse().unwrap());
    assert!(is(&server.send(change).await, 412, "preconditionFailed"));
    let unknown = group().replace("00aa", "00ab");
    assert!(is(
        &server.get(&format!("{unknown}/members")).await,
        404,
        "unknownObject"
    ));
    let body = json!({ "@odata.id": DEVICE });
    let refused = server
        .change("POST", &format!("{unknown}/members/$ref"), body)
        .await;
    assert!(is(&refused, 404, "unknownObject"));
}

#[tokio::test]
async fn changes_of_members_are_audited() {
    let server = server().await;
    let body = json!({ "members@odata.bind": [url(DEVICE)] });
    server.change("PATCH", &group(), body).await;
    let page = server.get("/tenants/demo/auditEvents?limit=1").await.json();
    let event = &page["value"][0];
    assert_eq!(event["activityType"], "SetReference Group");
    let expected = json!([{ "displayName": "members", "oldValue": null, "newValue": format!("[\"{DEVICE}\"]") }]);
    assert_eq!(event["resources"][0]["modifiedProperties"], expected);
}
