//! The operators' API: what an operator's script does, over HTTPS with a token, beside devices that check in.

use muster_wire::CheckInRecord;
use serde_json::{Value, json};

use crate::harness::*;

const DEVICES: &str = "/v1.0/deviceManagement/managedDevices";
const POLICIES: &str = "/v1.0/deviceManagement/deviceCompliancePolicies";
const ROLES: &str = "/v1.0/deviceManagement/roleDefinitions";
const TOKENS: &str = "/beta/muster/tokens";

/// A server with 40 devices, which have names and models.
fn with_devices(place: &Installation) -> Server {
    let server = place.start();
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    let check_ins: Vec<CheckInRecord> = (1..=40)
        .map(|number| record(healthy(device(number), 1)))
        .collect();
    session.check_ins(&check_ins);
    session.acknowledged(1);
    let mut random = muster_testkit::random::Random::new(7, 0);
    for number in 1..=40 {
        let mut inventory = random_inventory(&mut random, device(number), 1);
        inventory.device_name = format!("FIN-LAP-{number:04}");
        let archive = inventory.to_bytes().expect("it is within its limits");
        session.write(&inventory_frame(&archive));
    }
    session.acknowledged(41);
    session.goodbye();
    server
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["id"].as_str()).collect()
}

#[test]
fn devices_are_listed_filtered_sorted_and_followed() {
    let place = Installation::new();
    let server = with_devices(&place);
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let all = graph.all(&format!("{DEVICES}?$top=7&$count=true"));
    assert_eq!(all.len(), 40);
    let mut distinct = ids(&all);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 40, "pages neither repeat nor miss a device");

    let named = graph.all(&format!(
        "{DEVICES}?$filter=startswith(deviceName,'fin-lap-001')&$orderby=deviceName desc"
    ));
    let names: Vec<_> = named
        .iter()
        .map(|row| row["deviceName"].as_str().unwrap())
        .collect();
    let expected: Vec<_> = (10..=19)
        .rev()
        .map(|number| format!("FIN-LAP-{number:04}"))
        .collect();
    assert_eq!(names, expected);
    let skipped = |skip: u32| {
        graph.send(
            "GET",
            &format!("{DEVICES}?$orderby=deviceName&$skip={skip}"),
            &Value::Null,
        )
    };
    assert_eq!(skipped(10_000).body["value"], json!([]));
    assert_eq!(skipped(10_001).status, 400, "it would hold them in memory");
    let count = graph.get(&format!(
        "{DEVICES}?$count=true&$top=1&$filter=complianceState eq 'compliant'"
    ));
    let overview = graph.get("/v1.0/deviceManagement/managedDeviceOverview");
    assert_eq!(count["@odata.count"], 40);
    assert_eq!(overview["enrolledDeviceCount"], 40);

    // A change by an operator, and a check-in, are in the next round of a delta query.
    let delta = graph.get(&format!("{DEVICES}/delta?$deltatoken=latest"));
    let follow = |delta: &Value| {
        let link = delta["@odata.deltaLink"]
            .as_str()
            .expect("the last page of a round");
        graph.get(&link[link.find("/v1.0").expect("the version that was asked")..])
    };
    let quiet = follow(&delta);
    assert_eq!(quiet["value"], json!([]));
    let one = format!("{DEVICES}/{}", device(3));
    let patched = graph.send("PATCH", &one, &json!({ "notes": "spare" }));
    assert_eq!(
        (patched.status, &patched.body["notes"]),
        (200, &json!("spare"))
    );
    let changed = follow(&quiet);
    assert_eq!(
        ids(changed["value"].as_array().unwrap()),
        [device(3).to_string()]
    );
    assert_eq!(graph.send("DELETE", &one, &Value::Null).status, 204);
    let removed = follow(&changed);
    assert_eq!(removed["value"][0]["@removed"]["reason"], "deleted");
    server.ops.recount_is_verified();
}

#[test]
fn a_policy_is_in_force_when_its_assignment_is_answered_and_survives_a_kill() {
    let place = Installation::new();
    let server = with_devices(&place);
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let policy = json!({
        "@odata.type": "microsoft.graph.windows10CompliancePolicy",
        "displayName": "Windows risk",
        "deviceThreatProtectionEnabled": true,
        "deviceThreatProtectionRequiredSecurityLevel": "secured",
        "scheduledActionsForRule": [{ "ruleName": "PasswordRequired", "scheduledActionConfigurations": [
            { "actionType": "block", "gracePeriodHours": 0, "notificationTemplateId": "" }
        ]}],
    });
    let created = graph.send("POST", POLICIES, &policy);
    assert_eq!(created.status, 201, "{:?}", created.body);
    let path = format!("{POLICIES}/{}", created.body["id"].as_str().unwrap());
    let assignment = json!({ "assignments": [
        { "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } }
    ]});
    let assigned = graph.send("POST", &format!("{path}/assign"), &assignment);
    assert_eq!(assigned.status, 200, "{:?}", assigned.body);
    let state = |graph: &Graph| {
        let path = format!("{DEVICES}/{}/deviceCompliancePolicyStates", device(1));
        graph.get(&path)["value"][0]["displayName"].clone()
    };
    assert_eq!(state(&graph), "Windows risk");
    let unknown = graph.send("PATCH", &path, &json!({ "colour": "red" }));
    assert_eq!(unknown.status, 400);
    assert!(
        unknown.body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("colour")
    );
    let token = graph.token.clone();
    server.kill();

    let server = place.start();
    let graph = Graph::with_token(&place, &server, &token);
    assert_eq!(state(&graph), "Windows risk");
    let events = graph.all("/v1.0/deviceManagement/auditEvents?$filter=activityType eq 'assign DeviceCompliancePolicy'");
    assert_eq!(events[0]["actor"]["servicePrincipalName"], "Administrator");
}

#[test]
fn a_token_opens_one_tenant_within_its_role_until_it_is_revoked() {
    let place = Installation::new();
    let server = with_devices(&place);
    server.ops.create_tenants(&["fabrikam"]);
    let admin = Graph::new(&place, &server, "contoso", "Administrator");
    let reader = Graph::new(&place, &server, "contoso", "Read Only Operator");
    let foreign = Graph::new(&place, &server, "fabrikam", "Administrator");
    assert_eq!(reader.all(DEVICES).len(), 40);
    assert_eq!(foreign.all(DEVICES).len(), 0);
    let one = format!("{DEVICES}/{}", device(1));
    assert_eq!(foreign.send("GET", &one, &Value::Null).status, 404);
    let refused = reader.send("PATCH", &one, &json!({ "notes": "x" }));
    assert_eq!(refused.status, 403);
    assert_eq!(refused.body["error"]["code"], "Authorization_RequestDenied");
    assert_eq!(reader.send("POST", TOKENS, &json!({})).status, 403);
    let nobody = Graph::with_token(&place, &server, "muster_nothing");
    assert_eq!(nobody.send("GET", DEVICES, &Value::Null).status, 401);

    let tokens = admin.all(TOKENS);
    let of_reader = tokens
        .iter()
        .find(|token| token["role"] == "Read Only Operator")
        .unwrap();
    assert!(of_reader.get("secret").is_none(), "a secret is shown once");
    let path = format!("{TOKENS}/{}", of_reader["id"].as_str().unwrap());
    assert_eq!(admin.send("DELETE", &path, &Value::Null).status, 204);
    assert_eq!(reader.send("GET", DEVICES, &Value::Null).status, 401);
}

#[test]
fn the_first_token_is_made_before_the_first_start() {
    let place = Installation::new();
    let data = place.data();
    let made = muster(&[
        "token",
        "create",
        "--data-dir",
        text(&data),
        "--tenant",
        "contoso",
        "--name",
        "first",
    ]);
    assert_eq!(made.code, 0, "{}", made.err);
    let token = made.out.trim().to_owned();
    let server = place.start();
    let graph = Graph::with_token(&place, &server, &token);
    assert_eq!(graph.all(DEVICES).len(), 0);
    let listed = graph.all(TOKENS);
    assert_eq!(listed[0]["displayName"], "first");
    // A running server owns its directory.
    let refused = muster(&[
        "token",
        "create",
        "--data-dir",
        text(&data),
        "--tenant",
        "contoso",
        "--name",
        "second",
    ]);
    refused.one_fault(6);
}

#[test]
fn a_role_that_operators_define_decides_what_its_tokens_may_do() {
    let place = Installation::new();
    let server = with_devices(&place);
    let admin = Graph::new(&place, &server, "contoso", "Administrator");
    let role = |actions: &[&str]| {
        let actions: Vec<_> = actions
            .iter()
            .map(|action| format!("Microsoft.Intune_{action}"))
            .collect();
        let permission = json!({ "resourceActions": [{ "allowedResourceActions": actions }] });
        json!({ "displayName": "Stock taker", "rolePermissions": [permission] })
    };
    let created = admin.send("POST", ROLES, &role(&["ManagedDevices_Read"]));
    assert_eq!(created.status, 201, "{:?}", created.body);
    let path = format!("{ROLES}/{}", created.body["id"].as_str().unwrap());
    // Its name is that of the actor of the operations endpoint, and must not be taken for it.
    let wanted = json!({ "displayName": "local", "role": "stock taker" });
    let token = admin.send("POST", TOKENS, &wanted);
    assert_eq!(token.status, 201, "{:?}", token.body);
    assert_eq!(token.body["role"], "Stock taker");
    let taker = Graph::with_token(&place, &server, token.body["secret"].as_str().unwrap());

    let one = format!("{DEVICES}/{}", device(1));
    let notes = json!({ "notes": "counted" });
    assert_eq!(taker.all(DEVICES).len(), 40);
    assert_eq!(taker.send("GET", POLICIES, &Value::Null).status, 403);
    assert_eq!(taker.send("PATCH", &one, &notes).status, 403);
    let refused = admin.send("DELETE", &path, &Value::Null);
    assert_eq!(refused.status, 409, "a token has it: {:?}", refused.body);

    let wider = role(&["ManagedDevices_Read", "ManagedDevices_Update"]);
    assert_eq!(admin.send("PATCH", &path, &wider).status, 200);
    assert_eq!(taker.send("PATCH", &one, &notes).status, 200);
    let events = admin
        .all("/v1.0/deviceManagement/auditEvents?$filter=activityType eq 'Patch ManagedDevice'");
    let actor = &events[0]["actor"];
    assert_eq!(actor["auditActorType"], "Application");
    assert_eq!(actor["servicePrincipalName"], "local");
    assert_eq!(actor["applicationId"], token.body["id"]);

    let narrower = role(&[]);
    assert_eq!(admin.send("PATCH", &path, &narrower).status, 200);
    assert_eq!(taker.send("GET", DEVICES, &Value::Null).status, 403);
}

#[test]
fn a_batch_carries_out_its_requests_in_order() {
    let place = Installation::new();
    let server = with_devices(&place);
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let one = format!("deviceManagement/managedDevices/{}", device(1));
    let batch = json!({ "requests": [
        { "id": 1, "method": "PATCH", "url": one, "body": { "notes": "first" } },
        { "id": "two", "method": "GET", "url": one, "dependsOn": ["1"] },
        { "id": "3", "method": "GET", "url": "/deviceManagement/nothing" },
        { "id": "4", "method": "DELETE", "url": one, "dependsOn": ["3"] },
        { "id": "5", "method": "POST", "url": "/$batch", "body": { "requests": [] } },
        { "id": "6", "method": "GET", "url": "/v1.0/deviceManagement/managedDevices?$top=2" },
    ] });
    let answered = graph.send("POST", "/v1.0/$batch", &batch);
    assert_eq!(answered.status, 200, "{:?}", answered.body);
    let responses = answered.body["responses"].as_array().unwrap();
    let statuses: Vec<_> = responses
        .iter()
        .map(|response| {
            (
                response["id"].as_str().unwrap(),
                response["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        statuses,
        [
            ("1", 200),
            ("two", 200),
            ("3", 404),
            ("4", 424),
            ("5", 400),
            ("6", 200)
        ]
    );
    assert_eq!(responses[1]["body"]["notes"], "first");
    assert_eq!(responses[1]["headers"]["Content-Type"], "application/json");
    assert_eq!(responses[4]["body"]["error"]["code"], "BadRequest");
    assert_eq!(responses[5]["body"]["value"].as_array().unwrap().len(), 2);
}

#[test]
fn a_delta_query_with_a_filter_says_that_a_device_has_left_it() {
    let place = Installation::new();
    let server = with_devices(&place);
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let round = |link: &str| {
        let page = graph.get(&link[link.find("/v1.0").expect("the version that was asked")..]);
        let next = page["@odata.deltaLink"]
            .as_str()
            .expect("one page")
            .to_owned();
        (page["value"].as_array().unwrap().clone(), next)
    };
    let notes = |number, text: &str| {
        let one = format!("{DEVICES}/{}", device(number));
        let patched = graph.send("PATCH", &one, &json!({ "notes": text }));
        assert_eq!(patched.status, 200);
    };
    notes(3, "spare");
    let (found, link) = round(&format!("{DEVICES}/delta?$filter=notes eq 'spare'"));
    assert_eq!(ids(&found), [device(3).to_string()]);
    notes(3, "in use");
    notes(4, "spare");
    notes(5, "lost");
    let (found, _) = round(&link);
    let row = |number| {
        let id = json!(device(number).to_string());
        found.iter().find(|row| row["id"] == id).unwrap()
    };
    assert_eq!(found.len(), 3);
    assert_eq!(row(3)["@removed"]["reason"], "changed");
    assert_eq!(row(4)["notes"], "spare");
    assert_eq!(row(5)["@removed"]["reason"], "changed");
}

/// A policy for all Windows devices that requires nothing. Returns its path.
fn policy_for_all(graph: &Graph) -> String {
    let policy = json!({
        "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
        "displayName": "Windows baseline",
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }],
    });
    let created = graph.send("POST", POLICIES, &policy);
    assert_eq!(created.status, 201, "{:?}", created.body);
    let path = format!(
        "{POLICIES}/{}",
        created.body["id"].as_str().expect("Graph has it")
    );
    let all = json!({ "target": { "@odata.type": "#microsoft.graph.allDevicesAssignmentTarget" } });
    let all = json!({ "assignments": [all] });
    let assigned = graph.send("POST", &format!("{path}/assign"), &all);
    assert_eq!(assigned.status, 200, "{:?}", assigned.body);
    path
}

fn state_of(graph: &Graph) -> String {
    let device = graph.get(&format!("{DEVICES}/{}", device(1)));
    device["complianceState"]
        .as_str()
        .expect("Graph has it")
        .to_owned()
}

/// The names of the settings that fail, of the only policy of the device.
fn failing_settings(graph: &Graph) -> Vec<String> {
    let states = format!("{DEVICES}/{}/deviceCompliancePolicyStates", device(1));
    let policies = graph.get(&states);
    let id = policies["value"][0]["id"].as_str().expect("Graph has it");
    let settings = graph.get(&format!("{states}/{id}/settingStates"));
    let settings = settings["value"].as_array().expect("Graph has it").iter();
    let failing = settings.filter(|setting| setting["state"] == "nonCompliant");
    let names = failing.map(|setting| {
        setting["settingName"]
            .as_str()
            .expect("Graph has it")
            .to_owned()
    });
    names.collect()
}

#[test]
fn each_setting_of_a_policy_decides_by_itself_and_is_named() {
    let place = Installation::new();
    let server = place.start();
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    session.check_ins(&[record(healthy(device(1), 1))]);
    session.acknowledged(1);
    let send_version = |session: &mut Session, revision, build| {
        let mut inventory = inventory_of(device(1), &[]);
        inventory.revision = revision;
        inventory.os_version = muster_wire::Inventory::pack_version([10, 0, build, 0]);
        let archive = inventory.to_bytes().expect("it is within its limits");
        session.write(&inventory_frame(&archive));
        session.acknowledged(1 + u64::from(revision));
    };
    send_version(&mut session, 1, 19_045);
    let path = policy_for_all(&graph);
    let state = || state_of(&graph);
    let failing = || failing_settings(&graph);
    assert_eq!(state(), "compliant");
    let none = json!({ "osMinimumVersion": null, "osMaximumVersion": null, "storageRequireEncryption": false });
    for (requirement, name) in [
        (
            json!({ "osMinimumVersion": "10.0.19046" }),
            "OsMinimumVersion",
        ),
        (
            json!({ "osMaximumVersion": "10.0.19044" }),
            "OsMaximumVersion",
        ),
        (
            json!({ "storageRequireEncryption": true }),
            "StorageRequireEncryption",
        ),
    ] {
        assert_eq!(graph.send("PATCH", &path, &requirement).status, 200);
        assert_eq!(
            (state().as_str(), failing()),
            ("noncompliant", vec![name.to_owned()])
        );
        assert_eq!(graph.send("PATCH", &path, &none).status, 200);
        assert_eq!(state(), "compliant");
    }
    let impossible = json!({ "osMinimumVersion": "10.0.2", "osMaximumVersion": "10.0.1" });
    assert_eq!(graph.send("PATCH", &path, &impossible).status, 400);
    // The version rises over the minimum: no check-in is needed, and a restart changes nothing.
    let minimum = json!({ "osMinimumVersion": "10.0.19046" });
    assert_eq!(graph.send("PATCH", &path, &minimum).status, 200);
    assert_eq!(state(), "noncompliant");
    send_version(&mut session, 2, 19_046);
    assert_eq!(state(), "compliant");
    server.ops.recount_is_verified();
    let token = graph.token.clone();
    server.kill();
    let server = place.start();
    let graph = Graph::with_token(&place, &server, &token);
    let device = graph.get(&format!("{DEVICES}/{}", device(1)));
    assert_eq!(device["complianceState"], "compliant");
    server.ops.recount_is_verified();
}
