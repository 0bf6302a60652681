//! Tests of Defender's list of machines.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fixture::Fake;
use super::operator::Operator;
use super::page::fleet::{DEVICES, fleet, one};

const MACHINES: &str = "/api/machines";

/// A fleet of this size.
fn fleet_of(devices: usize) -> Fake {
    Fake {
        fleet: (0..devices).map(one).collect(),
        ..fleet()
    }
}

fn ids(rows: &[Value]) -> BTreeSet<&str> {
    rows.iter().filter_map(|row| row["id"].as_str()).collect()
}

#[tokio::test]
async fn a_machine_is_a_device_in_the_words_of_defender() {
    let operator = Operator::new("Administrator");
    let list = operator.get("/api/Machines?$top=1").await;
    assert_eq!(list.status, 200, "{list:?}");
    let context = "https://muster.example.test/api/$metadata#Machines";
    assert_eq!(list.body["@odata.context"], context);
    let id = "7b1c4c9e-5c7f-4d0f-9a2e-000000000000";
    let machine = operator
        .get(&format!("{MACHINES}/{}", id.to_uppercase()))
        .await;
    let mut expected = list.rows()[0].clone();
    expected["@odata.context"] = json!(format!("{context}/$entity"));
    assert_eq!(machine.body, expected);
    let device = operator
        .get(&format!("/v1.0/deviceManagement/managedDevices/{id}"))
        .await
        .body;
    assert_eq!(machine.body["computerDnsName"], device["deviceName"]);
    assert_eq!(machine.body["aadDeviceId"], device["azureADDeviceId"]);
    assert_eq!(machine.body["machineTags"], json!(["floor-4"]));
    for name in [
        "exposureLevel",
        "deviceValue",
        "lastIpAddress",
        "rbacGroupId",
    ] {
        assert_eq!(machine.body[name], Value::Null, "{name}");
    }
    let unknown = operator
        .get(&format!("{MACHINES}/{}", id.replace('7', "8")))
        .await;
    assert_eq!(unknown.status, 404);
    for path in [
        "/v1.0/machines",
        "/api/deviceManagement/managedDevices",
        "/api/$batch",
    ] {
        assert_eq!(operator.get(path).await.status, 404, "{path}");
    }
    assert_eq!(
        operator.send("POST", MACHINES, &json!({})).await.status,
        405
    );
}

#[tokio::test]
async fn every_filter_selects_the_machines_whose_values_match() {
    let operator = Operator::new("Read Only Operator");
    let all = operator.all(MACHINES).await;
    assert_eq!(all.len(), DEVICES);
    let member = |name: &str, value: &str| {
        let rows = all.iter().filter(|row| row[name] == value);
        rows.count()
    };
    for (name, value) in [
        ("healthStatus", "Active"),
        ("healthStatus", "NoSensorDataImpairedCommunication"),
        ("onboardingStatus", "onboarded"),
        ("onboardingStatus", "CanBeOnboarded"),
        ("riskScore", "High"),
        ("riskScore", "None"),
        ("osPlatform", "Windows11"),
        ("osPlatform", "WindowsServer2025"),
        ("version", "24H2"),
        ("version", "26.1.0.0"),
        ("managedBy", "MDE"),
    ] {
        let expected = member(name, value);
        assert!(expected > 0, "the fleet has a machine with {name} {value}");
        let filter = format!("$filter={name} eq '{}'", value.to_uppercase());
        let found = operator.all(&format!("{MACHINES}?{filter}&$top=40")).await;
        assert_eq!(found.len(), expected, "{filter}");
        let counted = operator
            .get(&format!("{MACHINES}?{filter}&$count=true"))
            .await;
        assert_eq!(counted.body["@odata.count"], expected, "{filter}");
    }
    for (filter, expected) in [
        ("machineTags/any(t: t eq 'floor-4')", DEVICES),
        ("machineTags/any(t: startswith(t, 'floor-5'))", 0),
        ("exposureLevel eq 'High'", 0),
        ("deviceValue eq null", DEVICES),
        ("lastIpAddress eq '10.0.0.1'", 0),
        ("rbacGroupId eq 140", 0),
        ("osBuild ge 26100", member("version", "24H2")),
        (
            "healthStatus eq null",
            all.iter()
                .filter(|row| row["healthStatus"].is_null())
                .count(),
        ),
        (
            "lastSeen gt 2000-01-01T00:00:00Z",
            all.iter().filter(|row| !row["lastSeen"].is_null()).count(),
        ),
        (
            "startswith(computerDnsName,'srv-')",
            member("osPlatform", "WindowsServer2025"),
        ),
        ("aadDeviceId eq '7b1c4c9e-5c7f-4d0f-9a2e-000000000009'", 1),
        (
            "id eq '7b1c4c9e-5c7f-4d0f-9a2e-000000000009' and riskScore ne 'High' or id eq ''",
            1,
        ),
    ] {
        let found = operator.get(&format!("{MACHINES}?$filter={filter}")).await;
        assert_eq!(found.rows().len(), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_query_that_is_not_one_of_machines_is_refused() {
    let operator = Operator::new("Read Only Operator");
    for query in [
        "$filter=healthStatus eq 'Well'",
        "$filter=userPrincipalName eq 'x'",
        "$orderby=lastSeen",
        "$search=x",
        "$expand=tags",
        "$top=0",
        "$top=10001",
        "$skiptoken=x",
    ] {
        let refused = operator.get(&format!("{MACHINES}?{query}")).await;
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_long_page_has_as_many_machines_as_were_asked_for() {
    let operator = Operator::of(fleet_of(2_500), "Administrator");
    for (query, expected, has_more) in [
        ("", 1_000, true),
        ("$top=1000", 1_000, true),
        ("$top=2499", 2_499, true),
        ("$top=10000", 2_500, false),
        ("$top=2500", 2_500, false),
        ("$top=1500&$skip=1200", 1_300, false),
    ] {
        let page = operator
            .get(&format!("{MACHINES}?$select=id&{query}"))
            .await;
        let rows = page.rows();
        assert_eq!(ids(rows).len(), rows.len(), "{query}: each once");
        let found = (rows.len(), page.next().is_some());
        assert_eq!(found, (expected, has_more), "{query}");
    }
    let filter = "$filter=riskScore ne 'Medium'";
    let whole = operator
        .get(&format!("{MACHINES}?{filter}&$top=10000&$count=true"))
        .await;
    let in_pages = operator.all(&format!("{MACHINES}?{filter}&$top=300")).await;
    assert_eq!(whole.rows(), in_pages);
    assert!(in_pages.len() > 1_000, "it spans several parts");
    let all = operator
        .all(&format!("{MACHINES}?$top=1100&$select=computerDnsName"))
        .await;
    assert_eq!(ids(&all).len(), 2_500);
    assert_eq!(all[0].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn whoever_may_not_read_devices_and_onboarding_gets_no_machine() {
    for role in ["Metrics", "Partner", "Policy and Profile Manager"] {
        let operator = Operator::new(role);
        for path in [
            MACHINES,
            "/api/machines/7b1c4c9e-5c7f-4d0f-9a2e-000000000000",
        ] {
            let refused = operator.get(path).await;
            assert_eq!(refused.status, 403, "{role} {path}");
        }
    }
    let nobody = Operator::of(
        Fake {
            cells: Vec::new(),
            fleet: Vec::new(),
            ..fleet()
        },
        "Administrator",
    );
    let none = nobody.get(MACHINES).await;
    assert_eq!(none.body["error"]["code"], "ResourceNotFound");
}
