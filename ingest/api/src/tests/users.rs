//! Tests of `/users`: users whom devices name, users whom operators have made, and those who are both.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fixture::Fake;
use super::operator::Operator;
use super::page::fleet::{DEVICES, fleet, one};

const USERS: &str = "/v1.0/users";
const DEVICES_PATH: &str = "/v1.0/deviceManagement/managedDevices";

fn names(rows: &[Value]) -> Vec<&str> {
    let names = rows.iter().map(|row| row["userPrincipalName"].as_str());
    names.map(|name| name.expect("a user has a name")).collect()
}

fn ada() -> Value {
    json!({
        "accountEnabled": true,
        "displayName": "Ada Lovelace",
        "mailNickname": "ada",
        "userPrincipalName": "Ada@Example.test",
        "passwordProfile": { "forceChangePasswordNextSignIn": true, "password": "secret" },
    })
}

/// A fleet in which two devices at a time name one user, in another case, and some name nobody.
fn shared(devices: usize) -> Fake {
    let mut all: Vec<_> = (0..devices).map(one).collect();
    for (number, device) in all.iter_mut().enumerate() {
        let name = match number % 10 {
            9 => String::new(),
            tail if tail % 2 == 0 => format!("User{:05}@example.test", number / 2),
            _ => format!("user{:05}@EXAMPLE.test", number / 2),
        };
        device.inventory.as_mut().unwrap().user_principal_name = name;
    }
    Fake {
        fleet: all,
        ..fleet()
    }
}

#[tokio::test]
async fn whom_devices_name_is_listed_once_and_found_by_id_and_name() {
    let operator = Operator::of(shared(1_000), "Read Only Operator");
    let all = operator.all(&format!("{USERS}?$top=60&$count=true")).await;
    let listed = names(&all);
    assert_eq!(listed.len(), 500, "an even number names each");
    assert!(listed.is_sorted(), "by name without $orderby");
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len(), 500);
    for query in [
        "",
        "$filter=startswith(displayName,'user')",
        "$search=\"displayName:example\"",
    ] {
        let counted = operator
            .get(&format!("{USERS}?$top=1&$count=true&{query}"))
            .await;
        assert_eq!(counted.body["@odata.count"], 500, "{query}");
        let count = operator.get(&format!("{USERS}/$count?{query}")).await;
        assert_eq!(count.body, 500, "{query}");
    }
    let expected = json!({
        "@odata.type": "#microsoft.graph.user",
        "id": all[4]["id"],
        "displayName": "user00004@example.test",
        "userPrincipalName": "user00004@example.test",
        "accountEnabled": null,
        "mailNickname": null,
        "mail": null,
        "givenName": null,
        "surname": null,
        "jobTitle": null,
        "department": null,
    });
    assert_eq!(all[4], expected);
    for key in [all[4]["id"].as_str().unwrap(), "USER00004@Example.Test"] {
        for path in [format!("{USERS}/{key}"), format!("/beta/users('{key}')")] {
            let found = operator.get(&path).await;
            assert_eq!(found.body["id"], all[4]["id"], "{path}");
        }
    }
    let descending = operator
        .all(&format!("{USERS}?$orderby=displayName desc&$top=90"))
        .await;
    assert!(names(&descending).iter().rev().eq(&listed));
    let skipped = operator
        .get(&format!("{USERS}?$skip=498&$select=displayName"))
        .await;
    assert_eq!(skipped.rows().len(), 2);
    assert_eq!(skipped.rows()[0].as_object().unwrap().len(), 3);
    let found = operator
        .all(&format!(
            "{USERS}?$filter=id eq '{}'",
            all[7]["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(names(&found), [listed[7]]);
    for (path, status) in [
        ("/v1.0/users/nobody@example.test", 404),
        ("/v1.0/users/00000000-0000-8000-8000-000000000000", 404),
        ("/v1.0/users?$skip=10001", 400),
        ("/v1.0/users?$filter=colour eq 'red'", 400),
        ("/v1.0/users?$expand=manager", 400),
        ("/v1.0/users?$skiptoken=x", 400),
    ] {
        assert_eq!(operator.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_user_is_made_read_changed_and_deleted() {
    let operator = Operator::new("Intune Role Administrator");
    let made = operator.send("POST", USERS, &ada()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["id"].as_str().unwrap().to_owned();
    let location = format!("https://muster.example.test{USERS}/{id}");
    assert_eq!(made.headers["location"], location.as_str());
    assert!(
        !made.body.to_string().contains("secret"),
        "no password is kept"
    );
    assert_eq!(made.body["userPrincipalName"], "Ada@Example.test");
    let again = operator.send("POST", USERS, &ada()).await;
    assert_eq!(
        (again.status, &again.body["error"]["code"]),
        (409, &json!("Conflict"))
    );

    let path = format!("{USERS}/ada@example.test");
    let read = operator.get(&path).await;
    assert_eq!(read.body, made.body);
    assert_eq!(read.headers["etag"], made.headers["etag"]);
    let patch = json!({ "department": "Engines", "jobTitle": "Analyst" });
    assert_eq!(operator.send("PATCH", &path, &patch).await.status, 204);
    let whole = operator.get(&format!("{USERS}/{id}")).await.body;
    assert_eq!(
        (&whole["department"], &whole["displayName"]),
        (&json!("Engines"), &json!("Ada Lovelace"))
    );
    let back = operator.send("PATCH", &path, &whole).await;
    assert_eq!(
        back.status, 204,
        "a whole document may be sent back: {back:?}"
    );
    for (body, target) in [
        (
            json!({ "userPrincipalName": "b@example.test" }),
            "userPrincipalName",
        ),
        (json!({ "colour": "red" }), "colour"),
        (json!({ "displayName": "" }), "displayName"),
    ] {
        let refused = operator.send("PATCH", &path, &body).await;
        assert_eq!(refused.status, 400, "{body}");
        assert_eq!(refused.body["error"]["details"][0]["target"], target);
    }
    for body in [
        json!({}),
        json!({ "displayName": "x", "userPrincipalName": "x" }),
    ] {
        assert_eq!(
            operator.send("POST", USERS, &body).await.status,
            400,
            "{body}"
        );
    }
    let found = operator
        .all(&format!("{USERS}?$filter=department eq 'engines'"))
        .await;
    assert_eq!(found.len(), 1);
    let count = operator.get(&format!("{USERS}/$count")).await;
    assert_eq!(count.body, DEVICES + 1);
    assert_eq!(
        operator.send("DELETE", &path, &Value::Null).await.status,
        204
    );
    assert_eq!(operator.get(&path).await.status, 404);
    assert_eq!(
        operator.send("DELETE", &path, &Value::Null).await.status,
        404
    );
}

#[tokio::test]
async fn a_stored_user_and_one_whom_a_device_names_are_one() {
    let operator = Operator::new("Administrator");
    let path = format!("{USERS}/user12@example.test");
    let named = operator.get(&path).await.body;
    let before = operator.get(&format!("{USERS}/$count")).await.body;
    let other = json!({ "userPrincipalName": "user13@example.test" });
    assert_eq!(operator.send("PATCH", &path, &other).await.status, 400);
    let missing = format!("{USERS}/nobody@example.test");
    assert_eq!(
        operator
            .send("PATCH", &missing, &json!({ "mail": "x" }))
            .await
            .status,
        404
    );

    let by_id = format!("{USERS}/{}", named["id"].as_str().unwrap());
    let patch = json!({ "displayName": "Grace Hopper", "surname": "Hopper" });
    assert_eq!(operator.send("PATCH", &by_id, &patch).await.status, 204);
    let stored = operator.get(&path).await.body;
    assert_eq!(
        (&stored["id"], &stored["surname"]),
        (&named["id"], &json!("Hopper"))
    );
    assert_eq!(stored["userPrincipalName"], "user12@example.test");
    let after = operator.get(&format!("{USERS}/$count")).await.body;
    assert_eq!(after, before, "no further user");
    let all = operator.all(&format!("{USERS}?$top=70")).await;
    let twins = all.iter().filter(|row| row["id"] == named["id"]);
    assert_eq!(twins.count(), 1);
    // What is stored hides what devices tell, also from a filter.
    let hidden = operator
        .all(&format!(
            "{USERS}?$filter=displayName eq 'user12@example.test'"
        ))
        .await;
    assert_eq!(hidden.len(), 0);

    assert_eq!(
        operator.send("DELETE", &by_id, &Value::Null).await.status,
        204
    );
    assert_eq!(
        operator.get(&path).await.body,
        named,
        "the device still names the user"
    );
}

#[tokio::test]
async fn a_user_has_devices_and_a_device_has_its_user() {
    let operator = Operator::new("Administrator");
    let path = format!("{USERS}/user12@example.test");
    let patch = json!({ "surname": "Hopper" });
    assert_eq!(operator.send("PATCH", &path, &patch).await.status, 204);
    let stored = operator.get(&path).await.body;
    let by_id = format!("{USERS}/{}", stored["id"].as_str().unwrap());
    let own = operator.all(&format!("{by_id}/managedDevices")).await;
    assert_eq!(own.len(), 1);
    assert_eq!(
        (&own[0]["userId"], &own[0]["userPrincipalName"]),
        (&stored["id"], &json!("user12@example.test"))
    );
    let device = format!("{DEVICES_PATH}/{}", own[0]["id"].as_str().unwrap());
    let users = operator.get(&format!("{device}/users")).await;
    assert_eq!(
        users.rows(),
        [stored
            .as_object()
            .map(|whole| {
                let mut user = whole.clone();
                user.remove("@odata.context");
                Value::Object(user)
            })
            .unwrap()]
    );
    let expanded = operator.get(&format!("{device}?$expand=users")).await;
    assert_eq!(expanded.body["users"], json!(users.rows()));
    let by_user = operator
        .all(&format!(
            "{DEVICES_PATH}?$filter=userId eq '{}'",
            stored["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(by_user, own);
    let none = operator
        .all(&format!("{by_id}/managedDevices?$filter=deviceName eq 'x'"))
        .await;
    assert_eq!(none.len(), 0);
}

#[tokio::test]
async fn users_are_read_and_changed_by_those_who_may() {
    for (role, reads, changes) in [
        ("Read Only Operator", 200, 403),
        ("Help Desk Operator", 200, 403),
        ("Policy and Profile Manager", 200, 201),
        ("Metrics", 403, 403),
        ("Partner", 403, 403),
    ] {
        let operator = Operator::new(role);
        assert_eq!(operator.get(USERS).await.status, reads, "{role}");
        assert_eq!(
            operator.get(&format!("{USERS}/$count")).await.status,
            reads,
            "{role}"
        );
        assert_eq!(
            operator.send("POST", USERS, &ada()).await.status,
            changes,
            "{role}"
        );
        let path = format!("{USERS}/user1@example.test");
        let patched = operator.send("PATCH", &path, &json!({ "mail": "x" })).await;
        assert_eq!(patched.status == 403, changes == 403, "{role}");
        let deleted = operator.send("DELETE", &path, &Value::Null).await;
        assert_eq!(deleted.status == 403, changes == 403, "{role}");
    }
    // Who may read users may not read devices by them.
    let manager = Operator::new("Policy and Profile Manager");
    let devices = format!("{USERS}/user1@example.test/managedDevices");
    assert_eq!(manager.get(&devices).await.status, 403);
}
