//! Who may do what: every route, every built-in role, over the whole tenant, over the objects and devices of one scope
//! tag, and in another tenant.
//!
//! The expectations are written from section 7 of the domain, not from the code. A route without a row fails.

mod scene;

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use self::scene::{Holder, Reply, Scene, Side};
use crate::graph::route_paths;

/// The built-in roles, in the order of the columns below.
const ROLES: [&str; 9] = [
    "Administrator",
    "Endpoint Security Manager",
    "Read Only Operator",
    "Policy and Profile Manager",
    "Help Desk Operator",
    "Application Manager",
    "Intune Role Administrator",
    "Partner",
    "Metrics",
];

// One column for each role.
const READ_CONNECTORS: &str = "++++++---";
const CHANGE_CONNECTORS: &str = "++-------";
const READ_POLICIES: &str = "+++++----";
const CHANGE_POLICIES: &str = "++-+-----";
const READ_FILTERS: &str = "++++++---";
const CHANGE_FILTERS: &str = "+--+-+---";
const READ_ROLES: &str = "+++-+-+--";
const CHANGE_ROLES: &str = "+-----+--";
const READ_ORGANIZATION: &str = "+++++++--";
const CHANGE_GROUPS: &str = "+--+--+--";
const CHANGE_USERS: &str = "+--+--+--";
const READ_DEVICES: &str = "+++-++---";
const CHANGE_DEVICES: &str = "++--+----";
const DELETE_DEVICES: &str = "++-------";
const READ_MACHINES: &str = "+++-++---";
const READ_DEVICE_COUNTS: &str = "+++-+---+";
const READ_COMPLIANCE_COUNTS: &str = "+++++---+";
const READ_ONBOARDING: &str = "++++++--+";
const READ_REPORTS: &str = "+++-+----";
const READ_DEVICES_OF_USERS: &str = "+++-++---";
const READ_AUDIT: &str = "+++++----";
const MAKE_TOKENS: &str = "+--------";
const EVERYONE: &str = "+++++++++";

/// What a route is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// Nothing that has scope tags.
    Tenant,
    /// A list with what has scope tags, such as this placeholder.
    List(&'static str),
    /// The number of objects or devices with one scope tag and with any.
    Count(u32, u32),
    /// What has scope tags, by placeholders in path and body.
    Object,
    /// The same, but only a principal with all scope tags may do it.
    WholeObject,
    /// The tenant, but only a principal with all scope tags may do it.
    Whole,
}

use About::{Count, List, Object, Tenant, Whole, WholeObject};

/// Method, path, roles, what it is about, body.
type Row = (&'static str, &'static str, &'static str, About, Value);

fn rows() -> Vec<Row> {
    let mut rows = objects();
    rows.extend(parts());
    rows.extend(devices());
    rows.extend(users());
    rows
}

/// Users: the stored one has no tags, and one whom a device names exists for those who see the device.
fn users() -> Vec<Row> {
    let null = || Value::Null;
    let new = json!({ "displayName": "new", "userPrincipalName": "new@example.org" });
    let title = || json!({ "jobTitle": "x" });
    const OF_DEVICE: &str = "/devicemanagement/manageddevices/{device}/users";
    const DEVICES: &str = "/users/{named}/manageddevices";
    vec![
        ("GET", "/users", READ_ORGANIZATION, List("named"), null()),
        ("POST", "/users", CHANGE_USERS, Tenant, new),
        (
            "GET",
            "/users/$count",
            READ_ORGANIZATION,
            Count(2, 3),
            null(),
        ),
        ("GET", "/users/{stored}", READ_ORGANIZATION, Tenant, null()),
        ("GET", "/users/{named}", READ_ORGANIZATION, Object, null()),
        ("PATCH", "/users/{stored}", CHANGE_USERS, Tenant, title()),
        ("PATCH", "/users/{named}", CHANGE_USERS, Object, title()),
        ("DELETE", "/users/{stored}", CHANGE_USERS, Tenant, null()),
        ("GET", DEVICES, READ_DEVICES_OF_USERS, Object, null()),
        ("GET", OF_DEVICE, READ_DEVICES_OF_USERS, Object, null()),
    ]
}

/// The collections of objects.
#[expect(clippy::too_many_lines, reason = "a table")]
fn objects() -> Vec<Row> {
    const AT: &str = "/devicemanagement/";
    let null = || Value::Null;
    let named = || json!({ "displayName": "changed" });
    let policy = json!({ "@odata.type": "#microsoft.graph.iosCompliancePolicy", "displayName": "new",
        "scheduledActionsForRule": [{ "scheduledActionConfigurations": [{ "actionType": "block" }] }] });
    let filter = json!({ "displayName": "new", "platform": "iOS", "rule": "device.model -eq 'x'" });
    let group = json!({ "displayName": "new", "mailEnabled": false, "mailNickname": "new", "securityEnabled": true });
    let assignment = json!({ "displayName": "new", "members": ["{group}"], "resourceScopes": ["{own_site}"],
        "roleDefinition@odata.bind": "roleDefinitions('{own_definition}')" });
    let all: [(&str, &str, &str, [About; 5], Value); 7] = [
        (
            "mobilethreatdefenseconnectors",
            READ_CONNECTORS,
            CHANGE_CONNECTORS,
            [Tenant; 5],
            json!({}),
        ),
        (
            "devicecompliancepolicies",
            READ_POLICIES,
            CHANGE_POLICIES,
            [List("policy"), Tenant, Count(1, 2), Object, Object],
            policy,
        ),
        (
            "assignmentfilters",
            READ_FILTERS,
            CHANGE_FILTERS,
            [List("filter"), Tenant, Count(1, 2), Object, Object],
            filter,
        ),
        (
            "groups",
            READ_ORGANIZATION,
            CHANGE_GROUPS,
            [Tenant; 5],
            group,
        ),
        (
            "rolescopetags",
            READ_ROLES,
            CHANGE_ROLES,
            [List("tag"), Whole, Count(2, 3), Object, WholeObject],
            named(),
        ),
        (
            "roledefinitions",
            READ_ROLES,
            CHANGE_ROLES,
            [
                List("definition"),
                Whole,
                Count(9 + 1, 9 + 2),
                Object,
                WholeObject,
            ],
            named(),
        ),
        (
            "roleassignments",
            READ_ROLES,
            CHANGE_ROLES,
            [List("assignment"), Tenant, Count(10, 11), Object, Object],
            assignment,
        ),
    ];
    let mut rows = Vec::new();
    for (name, read, change, [list, create, count, one, changes], new) in all {
        let path: &'static str = match name {
            "groups" => "/groups",
            name => String::leak(format!("{AT}{name}")),
        };
        let id = match name {
            "mobilethreatdefenseconnectors" => "{connector}",
            "devicecompliancepolicies" => "{policy}",
            "assignmentfilters" => "{filter}",
            "groups" => "{group}",
            "rolescopetags" => "{tag}",
            "roledefinitions" => "{definition}",
            _ => "{assignment}",
        };
        let of = |rest: &str| -> &'static str { String::leak(format!("{path}{rest}")) };
        let by_id = of(&format!("/{id}"));
        let patch = match name {
            "mobilethreatdefenseconnectors" => json!({ "iosEnabled": true }),
            _ => named(),
        };
        rows.extend([
            ("GET", path, read, list, null()),
            ("POST", path, change, create, new),
            ("GET", of("/$count"), read, count, null()),
            ("GET", by_id, read, one, null()),
            ("PATCH", by_id, change, changes, patch),
            ("DELETE", by_id, change, changes, null()),
        ]);
    }
    rows
}

/// What belongs to objects, and the tenant.
#[expect(clippy::too_many_lines, reason = "a table")]
fn parts() -> Vec<Row> {
    let null = || Value::Null;
    let to_site = json!({ "assignments": [{ "target":
        { "@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": "{site}" } }] });
    let actions = json!({ "deviceComplianceScheduledActionForRules":
        [{ "ruleName": "PasswordRequired", "scheduledActionConfigurations": [{ "actionType": "block" }] }] });
    let member = json!({ "@odata.id": "https://x/devices/{device}" });
    let settings = json!({ "settings": { "secureByDefault": true } });
    vec![
        (
            "POST",
            "/devicemanagement/devicecompliancepolicies/{policy}/assign",
            CHANGE_POLICIES,
            Object,
            to_site.clone(),
        ),
        (
            "GET",
            "/devicemanagement/devicecompliancepolicies/{policy}/assignments",
            READ_POLICIES,
            Object,
            null(),
        ),
        (
            "POST",
            "/devicemanagement/devicecompliancepolicies/{policy}/scheduleactionsforrules",
            CHANGE_POLICIES,
            Object,
            actions,
        ),
        (
            "POST",
            "/devicemanagement/rolescopetags/{tag}/assign",
            CHANGE_ROLES,
            WholeObject,
            to_site,
        ),
        (
            "GET",
            "/devicemanagement/rolescopetags/{tag}/assignments",
            READ_ROLES,
            Object,
            null(),
        ),
        (
            "GET",
            "/groups/{ring}/members",
            READ_ORGANIZATION,
            List("device"),
            null(),
        ),
        (
            "GET",
            "/groups/{ring}/members/$count",
            READ_ORGANIZATION,
            Count(1, 2),
            null(),
        ),
        (
            "POST",
            "/groups/{group}/members/$ref",
            CHANGE_GROUPS,
            Object,
            member,
        ),
        (
            "DELETE",
            "/groups/{ring}/members/{device}/$ref",
            CHANGE_GROUPS,
            Object,
            null(),
        ),
        (
            "GET",
            "/devicemanagement",
            READ_ORGANIZATION,
            Tenant,
            null(),
        ),
        (
            "PATCH",
            "/devicemanagement",
            CHANGE_POLICIES,
            Tenant,
            settings,
        ),
        (
            "GET",
            "/devicemanagement/settings",
            READ_ORGANIZATION,
            Tenant,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/auditevents",
            READ_AUDIT,
            List("policy"),
            null(),
        ),
        (
            "GET",
            "/devicemanagement/auditevents/{event}",
            READ_AUDIT,
            Object,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/auditevents/getauditcategories",
            READ_AUDIT,
            Tenant,
            null(),
        ),
        ("GET", "/muster/audit/verify", READ_AUDIT, Whole, null()),
        ("GET", "/muster/tokens", READ_ROLES, Tenant, null()),
        ("GET", "/muster/tokens/{token}", READ_ROLES, Tenant, null()),
        (
            "POST",
            "/muster/tokens",
            MAKE_TOKENS,
            Whole,
            json!({ "displayName": "new", "role": "Partner" }),
        ),
        (
            "DELETE",
            "/muster/tokens/{token}",
            MAKE_TOKENS,
            Whole,
            null(),
        ),
        ("POST", "/muster/signincodes", EVERYONE, Tenant, null()),
    ]
}

/// Devices, their counts and reports.
#[expect(clippy::too_many_lines, reason = "a table")]
fn devices() -> Vec<Row> {
    let null = || Value::Null;
    const OF_STATE: &str = "/devicemanagement/manageddevices/{device}/devicecompliancepolicystates/{policy}/settingstates";
    vec![
        (
            "GET",
            "/devicemanagement/manageddevices",
            READ_DEVICES,
            List("device"),
            null(),
        ),
        (
            "GET",
            "/devicemanagement/manageddevices/$count",
            READ_DEVICES,
            Count(1, 2),
            null(),
        ),
        (
            "GET",
            "/devicemanagement/manageddevices/delta",
            READ_DEVICES,
            List("device"),
            null(),
        ),
        (
            "GET",
            "/devicemanagement/manageddevices/{device}",
            READ_DEVICES,
            Object,
            null(),
        ),
        (
            "PATCH",
            "/devicemanagement/manageddevices/{device}",
            CHANGE_DEVICES,
            Object,
            json!({ "notes": "x" }),
        ),
        (
            "DELETE",
            "/devicemanagement/manageddevices/{device}",
            DELETE_DEVICES,
            Object,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/manageddevices/{device}/devicecompliancepolicystates",
            READ_DEVICES,
            Object,
            null(),
        ),
        ("GET", OF_STATE, READ_DEVICES, Object, null()),
        (
            "GET",
            "/api/machines",
            READ_MACHINES,
            List("device"),
            null(),
        ),
        (
            "GET",
            "/api/machines/{device}",
            READ_MACHINES,
            Object,
            null(),
        ),
        (
            "GET",
            "/muster/devices/{device}/why",
            READ_DEVICES,
            Object,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/manageddeviceoverview",
            READ_DEVICE_COUNTS,
            Tenant,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/devicecompliancepolicydevicestatesummary",
            READ_COMPLIANCE_COUNTS,
            Tenant,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/devicecompliancepolicysettingstatesummaries",
            READ_COMPLIANCE_COUNTS,
            Tenant,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/advancedthreatprotectiononboardingstatesummary",
            READ_ONBOARDING,
            Tenant,
            null(),
        ),
        (
            "GET",
            "/muster/counts",
            READ_COMPLIANCE_COUNTS,
            Tenant,
            null(),
        ),
        (
            "GET",
            "/devicemanagement/reports/exportjobs",
            READ_REPORTS,
            Tenant,
            null(),
        ),
        (
            "POST",
            "/devicemanagement/reports/exportjobs",
            READ_REPORTS,
            Tenant,
            json!({ "reportName": "Devices" }),
        ),
        (
            "GET",
            "/devicemanagement/reports/exportjobs/{job}",
            READ_REPORTS,
            Object,
            null(),
        ),
        (
            "DELETE",
            "/devicemanagement/reports/exportjobs/{job}",
            READ_REPORTS,
            Object,
            null(),
        ),
        (
            "POST",
            "/devicemanagement/reports/getdevicenoncompliancereport",
            READ_REPORTS,
            List("device"),
            json!({}),
        ),
        (
            "POST",
            "/devicemanagement/reports/getdeviceswithoutcompliancepolicyreport",
            READ_REPORTS,
            Tenant,
            json!({}),
        ),
    ]
}

/// A path with one name for every placeholder.
fn shape(path: &str) -> String {
    let is_placeholder = |segment: &&str| segment.starts_with('{');
    let segments = path.split('/');
    let segments = segments.map(|segment| {
        if is_placeholder(&segment) {
            "{}"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_has_a_row() {
    let rows = rows();
    let listed: BTreeSet<_> = rows
        .iter()
        .map(|(method, path, ..)| (*method, shape(path)))
        .collect();
    let paths = route_paths();
    assert!(paths.len() > 40, "the router tells its paths: {paths:?}");
    let scene = Scene::new();
    for path in paths {
        for method in [
            Method::GET,
            Method::POST,
            Method::PATCH,
            Method::PUT,
            Method::DELETE,
        ] {
            let sent = path.replace(['{', '}'], "");
            let reply = scene.send(Holder::Whole("Administrator"), &method, &sent, &Value::Null);
            let exists = reply.await.status != StatusCode::METHOD_NOT_ALLOWED;
            let has_row = listed.contains(&(method.as_str(), shape(&path)));
            assert_eq!(exists, has_row, "{method} {path}");
        }
    }
}

/// The status that a request must have; `None` for any success.
fn expected_status(row: &Row, holder: Holder, side: Side) -> Option<StatusCode> {
    let (method, path, roles, about, body) = row;
    let column = ROLES
        .iter()
        .position(|known| *known == holder.role())
        .unwrap();
    let is_limited = matches!(holder, Holder::Limited(_));
    let is_elsewhere = matches!(holder, Holder::Elsewhere(_));
    let is_foreign = side == Side::Foreign && is_limited || is_elsewhere;
    match about {
        _ if roles.as_bytes()[column] != b'+' => Some(StatusCode::FORBIDDEN),
        Object | WholeObject if is_foreign => Some(StatusCode::NOT_FOUND),
        Whole | WholeObject if is_limited => Some(StatusCode::FORBIDDEN),
        // A tenant without machines.
        _ if is_elsewhere && *path == "/api/machines" => Some(StatusCode::NOT_FOUND),
        // There is one connector, with the same id everywhere.
        _ if is_elsewhere && path.contains('{') && !path.contains("{connector}") => {
            Some(StatusCode::NOT_FOUND)
        }
        _ if *method == "POST" && path.ends_with("connectors") => Some(StatusCode::CONFLICT),
        // What it refers to does not exist there.
        _ if is_elsewhere && body["roleDefinition@odata.bind"].is_string() => {
            Some(StatusCode::BAD_REQUEST)
        }
        // Objects have it.
        _ if *method == "DELETE" && path.contains("{tag}") => Some(StatusCode::CONFLICT),
        _ => None,
    }
}

/// Whether a list or a number is that of what exists for the holder.
fn is_complete(reply: &Reply, row: &Row, holder: Holder, scene: &Scene) -> bool {
    let (sees_own, sees_foreign) = match holder {
        Holder::Whole(_) => (true, true),
        Holder::Limited(_) => (true, false),
        Holder::Elsewhere(_) => (false, false),
    };
    match row.3 {
        List(name) => {
            let has = |side| {
                reply
                    .text
                    .contains(&format!("\"{}\"", scene.id(name, side)))
            };
            (has(Side::Own), has(Side::Foreign)) == (sees_own, sees_foreign)
        }
        Count(limited, whole) if sees_own => {
            let count = if sees_foreign { whole } else { limited };
            reply.text == count.to_string()
        }
        _ => true,
    }
}

#[tokio::test]
async fn the_matrix_of_routes_roles_tenants_and_tags() {
    let scene = Scene::new();
    let mut wrong = Vec::new();
    for row in &rows() {
        let (method, path, _, _, body) = row;
        let method: Method = method.parse().unwrap();
        for role in ROLES {
            for holder in [
                Holder::Whole(role),
                Holder::Limited(role),
                Holder::Elsewhere(role),
            ] {
                for side in [Side::Own, Side::Foreign] {
                    let reply = scene.ask(holder, side, &method, path, body).await;
                    let expected = expected_status(row, holder, side);
                    let is_right = match expected {
                        Some(status) => reply.status == status,
                        None => {
                            reply.status.is_success() && is_complete(&reply, row, holder, &scene)
                        }
                    };
                    if !is_right {
                        let Reply { status, text } = reply;
                        wrong.push(format!(
                            "{method} {path} by {holder:?}, {side:?}: {status} instead of {expected:?}: {text}"
                        ));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn counts_are_over_the_devices_that_the_principal_sees() {
    let scene = Scene::new();
    let get = async |holder, path: &str| {
        let reply = scene.send(holder, &Method::GET, path, &Value::Null).await;
        serde_json::from_str::<Value>(&reply.text).unwrap()
    };
    for (holder, expected) in [
        (Holder::Whole("Endpoint Security Manager"), 2_usize),
        (Holder::Limited("Endpoint Security Manager"), 1),
    ] {
        let overview = get(holder, "/devicemanagement/managedDeviceOverview").await;
        assert_eq!(overview["enrolledDeviceCount"], expected);
        let counts = get(holder, "/muster/counts").await;
        assert_eq!(counts["devices"], expected, "{counts}");
        let table = get(holder, "/muster/counts?by=platform").await;
        assert_eq!(table["value"][0]["count"], expected, "{table}");
        let list = get(
            holder,
            "/devicemanagement/managedDevices?$count=true&$orderby=deviceName",
        )
        .await;
        assert_eq!(list["@odata.count"], expected);
        let rows = list["value"].as_array().unwrap().iter();
        let mut tags: Vec<_> = rows.map(|row| row["roleScopeTagIds"].to_string()).collect();
        tags.sort_unstable();
        assert_eq!(tags, [r#"["1"]"#, r#"["2"]"#][..expected]);
        let of_tag = get(
            holder,
            "/devicemanagement/managedDevices?$filter=roleScopeTagIds/any(tag:tag eq '2')",
        )
        .await;
        assert_eq!(of_tag["value"].as_array().unwrap().len(), expected - 1);
    }
}

#[tokio::test]
async fn requests_of_a_batch_have_the_rights_of_their_principal() {
    let scene = Scene::new();
    let device = scene.id("device", Side::Foreign);
    let urls = [
        "/deviceManagement/managedDevices".to_owned(),
        format!("/deviceManagement/managedDevices/{device}"),
    ];
    let requests = urls.iter().enumerate();
    let requests: Vec<_> = requests
        .map(|(id, url)| json!({ "id": id.to_string(), "method": "GET", "url": url }))
        .collect();
    let body = json!({ "requests": requests });
    for (holder, devices, status) in [
        (Holder::Whole("Help Desk Operator"), 2, 200),
        (Holder::Limited("Help Desk Operator"), 1, 404),
    ] {
        let reply = scene.send(holder, &Method::POST, "/$batch", &body).await;
        let reply: Value = serde_json::from_str(&reply.text).unwrap();
        let responses = reply["responses"].as_array().unwrap();
        let listed = responses[0]["body"]["value"].as_array().unwrap();
        assert_eq!(listed.len(), devices, "{reply}");
        assert_eq!(responses[1]["status"], status, "{reply}");
    }
}
