//! Devices as other clients than Graph's see them: machines of Defender, rows of interactive reports, and their users.

use muster_wire::CheckInRecord;
use serde_json::{Value, json};

use crate::harness::*;

const USERS: &str = "/v1.0/users";
const REPORT: &str =
    "/beta/deviceManagement/reports/microsoft.graph.getDevicesWithoutCompliancePolicyReport";

/// A server with 24 devices, of which each two have a user, in different cases.
fn with_devices(place: &Installation) -> Server {
    let server = place.start();
    let credentials = place.pki.gateway("contoso", "gw-1");
    let mut session = server.session(&place.pki, &credentials);
    let check_ins: Vec<CheckInRecord> = (1..=24)
        .map(|number| record(healthy(device(number), 1)))
        .collect();
    session.check_ins(&check_ins);
    session.acknowledged(1);
    let mut random = muster_testkit::random::Random::new(7, 0);
    for number in 1..=24 {
        let mut inventory = random_inventory(&mut random, device(number), 1);
        inventory.device_name = format!("FIN-LAP-{number:04}");
        inventory.tags = vec![format!("floor-{}", number % 3)];
        inventory.user_principal_name = match number % 2 {
            0 => format!("User{}@example.test", number / 2),
            _ => format!("user{}@EXAMPLE.test", number / 2),
        };
        let archive = inventory.to_bytes().expect("it is within its limits");
        session.write(&inventory_frame(&archive));
    }
    session.acknowledged(25);
    session.goodbye();
    server
}

#[test]
fn machines_are_listed_and_filtered_in_the_words_of_defender() {
    let place = Installation::new();
    let server = with_devices(&place);
    let graph = Graph::new(&place, &server, "contoso", "Help Desk Operator");
    let all = graph.all("/api/machines?$top=10");
    assert_eq!(all.len(), 24);
    assert_eq!(all[0]["healthStatus"], "Active");
    assert_eq!(all[0]["onboardingStatus"], "onboarded");
    let tagged = graph.all("/api/machines?$filter=machineTags/any(tag: tag eq 'floor-2')");
    assert_eq!(tagged.len(), 8);
    let one = graph.get(&format!("/api/machines/{}", device(7)));
    assert_eq!(one["computerDnsName"], "FIN-LAP-0007");
    let active = graph.get("/api/machines?$filter=healthStatus eq 'Active'&$count=true&$top=1");
    assert_eq!(active["@odata.count"], 24);
    server.ops.create_tenants(&["fabrikam"]);
    let foreign = Graph::new(&place, &server, "fabrikam", "Administrator");
    for path in [
        "/api/machines".to_owned(),
        format!("/api/machines/{}", device(7)),
    ] {
        assert_eq!(
            foreign.send("GET", &path, &Value::Null).status,
            404,
            "{path}"
        );
    }
}

#[test]
fn an_interactive_report_is_read_in_parts() {
    let place = Installation::new();
    let server = with_devices(&place);
    let graph = Graph::new(&place, &server, "contoso", "Read Only Operator");
    let mut names = Vec::new();
    for skip in [0, 10, 20] {
        let body = json!({ "select": ["DeviceName"], "orderBy": ["DeviceName desc"], "skip": skip, "top": 10 });
        let part = graph.send("POST", REPORT, &body);
        assert_eq!(part.status, 200, "{:?}", part.body);
        assert_eq!(part.body["TotalRowCount"], 24);
        let rows = part.body["Values"].as_array().unwrap();
        names.extend(rows.iter().map(|row| row[0].as_str().unwrap().to_owned()));
    }
    let expected: Vec<_> = (1..=24)
        .rev()
        .map(|number| format!("FIN-LAP-{number:04}"))
        .collect();
    assert_eq!(names, expected);
}

#[test]
fn users_come_from_devices_and_keep_what_operators_add_over_a_kill() {
    let place = Installation::new();
    let server = with_devices(&place);
    let graph = Graph::new(&place, &server, "contoso", "Administrator");
    let all = graph.all(&format!("{USERS}?$top=5&$count=true"));
    assert_eq!(all.len(), 13, "user0 and user12 have one device");
    let path = format!("{USERS}/user6@example.test");
    let named = graph.get(&path);
    let own = graph.all(&format!("{path}/managedDevices?$orderby=deviceName"));
    let names: Vec<_> = own.iter().map(|row| &row["deviceName"]).collect();
    assert_eq!(names, ["FIN-LAP-0012", "FIN-LAP-0013"]);
    assert_eq!(own[0]["userId"], named["id"]);

    let patched = graph.send("PATCH", &path, &json!({ "displayName": "Ada Lovelace" }));
    assert_eq!(patched.status, 204, "{:?}", patched.body);
    let other = json!({ "displayName": "Bob", "userPrincipalName": "bob@example.test" });
    let made = graph.send("POST", USERS, &other);
    assert_eq!(made.status, 201, "{:?}", made.body);
    let token = graph.token.clone();
    server.kill();

    let server = place.start();
    let graph = Graph::with_token(&place, &server, &token);
    let ada = graph.get(&format!("{USERS}/{}", named["id"].as_str().unwrap()));
    assert_eq!(ada["displayName"], "Ada Lovelace");
    assert_eq!(graph.all(USERS).len(), 14);
    let expanded = graph.get(&format!(
        "/v1.0/deviceManagement/managedDevices/{}?$expand=users",
        device(13)
    ));
    assert_eq!(expanded["users"][0]["displayName"], "Ada Lovelace");
    let events =
        graph.all("/v1.0/deviceManagement/auditEvents?$filter=activityType eq 'Create User'");
    assert_eq!(events.len(), 2);
    assert_eq!(graph.send("DELETE", &path, &Value::Null).status, 204);
    assert_eq!(graph.get(&path)["displayName"], "user6@example.test");
}
