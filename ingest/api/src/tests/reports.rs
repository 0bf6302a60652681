//! Tests of interactive reports, and of who may have reports at all.

use serde_json::{Value, json};

use super::operator::{Operator, Reply};

const NONCOMPLIANCE: &str = "/beta/deviceManagement/reports/getDeviceNonComplianceReport";
const WITHOUT_POLICY: &str =
    "/v1.0/deviceManagement/reports/microsoft.graph.getDevicesWithoutCompliancePolicyReport";

async fn ask(operator: &Operator, path: &str, body: Value) -> Reply {
    let reply = operator.send("POST", path, &body).await;
    assert_eq!(reply.status, 200, "{body}: {reply:?}");
    assert_eq!(reply.headers["content-type"], "application/octet-stream");
    reply
}

/// The values of a column of a report, and its type.
fn column(report: &Reply, name: &str) -> (String, Vec<Value>) {
    let schema = report.body["Schema"].as_array().unwrap();
    let index = schema.iter().position(|column| column["Column"] == name);
    let index = index.unwrap_or_else(|| panic!("no column {name}: {schema:?}"));
    let kind = schema[index]["PropertyType"].as_str().unwrap().to_owned();
    let rows = report.body["Values"].as_array().unwrap();
    (kind, rows.iter().map(|row| row[index].clone()).collect())
}

#[tokio::test]
async fn a_report_has_the_devices_and_values_of_their_list() {
    let operator = Operator::new("Help Desk Operator");
    let devices = operator
        .all("/v1.0/deviceManagement/managedDevices?$orderby=deviceName")
        .await;
    let expected: Vec<_> = devices
        .iter()
        .filter(|device| {
            let state = device["complianceState"].as_str().unwrap();
            ["noncompliant", "inGracePeriod"].contains(&state)
        })
        .collect();
    assert!(expected.len() > 5, "the fleet has such devices");
    let report = ask(
        &operator,
        NONCOMPLIANCE,
        json!({ "orderBy": ["DeviceName"] }),
    )
    .await;
    assert_eq!(report.body["TotalRowCount"], expected.len());
    let (kind, names) = column(&report, "DeviceName");
    let sorted: Vec<_> = expected
        .iter()
        .map(|device| device["deviceName"].clone())
        .collect();
    assert_eq!((kind.as_str(), names), ("String", sorted.clone()));
    let (kind, states) = column(&report, "ComplianceState");
    assert_eq!(kind, "Int64");
    let (_, words) = column(&report, "ComplianceState_loc");
    for ((device, number), word) in expected.iter().zip(states).zip(words) {
        match device["complianceState"].as_str() {
            Some("noncompliant") => assert_eq!((number, word), (json!(2), json!("Not compliant"))),
            _ => assert_eq!((number, word), (json!(254), json!("In grace period"))),
        }
    }
    assert_eq!(column(&report, "LastContact").0, "DateTime");

    // In parts, as a portal reads it.
    let mut parts = Vec::new();
    for skip in (0..expected.len()).step_by(4) {
        let body = json!({
            "select": ["DeviceName", "OwnerType", "OwnerType_loc"], "orderBy": ["DeviceName asc"],
            "skip": skip, "top": 4, "search": "", "groupBy": [], "filter": "", "sessionId": "",
        });
        let part = ask(&operator, NONCOMPLIANCE, body).await;
        assert_eq!(part.body["TotalRowCount"], expected.len());
        assert_eq!(part.body["Schema"].as_array().unwrap().len(), 3);
        parts.extend(column(&part, "DeviceName").1);
    }
    assert_eq!(parts, sorted);
    let unsorted = ask(&operator, NONCOMPLIANCE, json!({ "skip": 3, "top": 2 })).await;
    let all = ask(&operator, NONCOMPLIANCE, json!({})).await;
    assert_eq!(
        unsorted.body["Values"],
        json!(all.body["Values"].as_array().unwrap()[3..5])
    );
}

#[tokio::test]
async fn a_report_is_filtered_and_searched() {
    let operator = Operator::new("Read Only Operator");
    let count = async |body: Value| {
        let report = ask(&operator, NONCOMPLIANCE, body).await;
        let rows = report.body["Values"].as_array().unwrap().len();
        assert_eq!(report.body["TotalRowCount"], rows);
        rows
    };
    let all = count(json!({})).await;
    let grace = count(json!({ "filter": "(ComplianceState eq '254')" })).await;
    let firm = count(json!({ "filter": "ComplianceState eq 'noncompliant'" })).await;
    assert!(grace > 0 && firm > 0);
    assert_eq!(grace + firm, all);
    let owned = count(json!({ "filter": "(OwnerType eq '1') and (OS eq 'Windows')" })).await;
    assert!(owned > 0 && owned < all);
    let found = count(json!({ "search": "laptop" })).await;
    assert!(found > 0 && found < all);
    assert_eq!(
        count(json!({ "search": "laptop", "filter": "OS eq 'macOS'" })).await,
        0
    );
    let without = ask(
        &operator,
        WITHOUT_POLICY,
        json!({ "filter": "OS eq 'macOS'" }),
    )
    .await;
    let (_, systems) = column(&without, "OS");
    assert!(!systems.is_empty() && systems.iter().all(|system| system == "macOS"));
    for body in [
        json!({ "select": ["Colour"] }),
        json!({ "select": "DeviceName" }),
        json!({ "filter": "Colour eq 'red'" }),
        json!({ "filter": 7 }),
        json!({ "orderBy": ["IMEI"] }),
        json!({ "orderBy": "DeviceName" }),
        json!({ "groupBy": ["OS"] }),
        json!({ "top": 0 }),
        json!({ "top": 1_001 }),
        json!({ "skip": -1 }),
        json!({ "skip": 10_001, "orderBy": ["DeviceName"] }),
        json!({ "limit": 5 }),
        json!([]),
    ] {
        let refused = operator.send("POST", NONCOMPLIANCE, &body).await;
        assert_eq!(refused.status, 400, "{body}");
    }
}

#[tokio::test]
async fn whoever_may_read_counts_alone_gets_no_report_of_devices() {
    let metrics = Operator::new("Metrics");
    let overview = "/v1.0/deviceManagement/managedDeviceOverview";
    assert_eq!(metrics.get(overview).await.status, 200);
    let jobs = "/v1.0/deviceManagement/reports/exportJobs";
    for path in [NONCOMPLIANCE, WITHOUT_POLICY, jobs] {
        let refused = metrics
            .send("POST", path, &json!({ "reportName": "Devices" }))
            .await;
        assert_eq!(refused.status, 403, "{path}");
    }
}
