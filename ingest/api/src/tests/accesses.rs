//! What the audit log says of accesses: refused requests, sign-ins, exports and downloads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::fixture::{Fake, graph_options};
use super::page::fleet::{add_token, fleet};
use crate::{ApiError, Backend, GraphGate, RefusedCause, new_secret};

const AUDIT: &str = "/v1.0/deviceManagement/auditEvents";
const JOBS: &str = "/v1.0/deviceManagement/reports/exportJobs";
const DEVICES: &str = "/v1.0/deviceManagement/managedDevices";

/// An API whose requests come from 192.0.2.7.
struct Graph {
    gate: GraphGate,
    fake: Arc<Fake>,
    admin: String,
    /// Of a principal that may only read counts.
    limited: String,
}

impl Graph {
    fn new() -> Self {
        Self::over(fleet())
    }

    fn over(fake: Fake) -> Self {
        let [admin, limited] = [(); 2].map(|()| new_secret());
        add_token(&fake, 1, "Administrator", &admin, 90);
        add_token(&fake, 2, "Metrics", &limited, 90);
        let (fake, gate) = (Arc::new(fake), GraphGate::default());
        gate.open(Arc::clone(&fake) as _, graph_options("muster.example.test"));
        Self {
            gate,
            fake,
            admin,
            limited,
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: &Value,
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = request.header("content-type", "application/json");
        let mut request = request.body(body).unwrap();
        let peer: SocketAddr = "[::ffff:192.0.2.7]:4711".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        let (head, body) = self.gate.answer(request).await.into_parts();
        let bytes = to_bytes(body, 1 << 22).await.unwrap();
        // The task that records it runs.
        yield_now().await;
        let json = serde_json::from_slice(&bytes).unwrap_or_default();
        (head.status, json)
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.send("GET", path, token, &Value::Null).await
    }

    /// The audit events, newest first.
    async fn events(&self) -> Vec<Value> {
        let (status, page) = self.get(AUDIT, &self.admin).await;
        assert_eq!(status, 200, "{page}");
        page["value"].as_array().unwrap().clone()
    }

    fn refused(&self, cause: RefusedCause) -> u64 {
        self.fake.access_counters().refused(cause)
    }
}

/// The names and new values of an event.
fn values(event: &Value) -> Vec<(&str, &str)> {
    let modified = event["resources"][0]["modifiedProperties"].as_array();
    modified
        .unwrap()
        .iter()
        .map(|property| {
            assert_eq!(property["oldValue"], Value::Null);
            let text = |name: &str| property[name].as_str().unwrap();
            (text("displayName"), text("newValue"))
        })
        .collect()
}

#[tokio::test]
async fn a_refused_request_is_recorded_with_who_from_where_what_and_why() {
    let graph = Graph::new();
    let path = format!("{DEVICES}/x?$select=secret");
    let (status, _) = graph.send("PATCH", &path, &graph.limited, &json!({})).await;
    assert_eq!(status, 403);
    let events = graph.events().await;
    assert_eq!(events.len(), 1 + 1, "after the creation of the tenant");
    let event = &events[0];
    assert_eq!(event["displayName"], "Patch Request");
    assert_eq!(event["activityOperationType"], "Patch");
    assert_eq!(event["activityResult"], "Failure");
    assert_eq!(event["actor"]["auditActorType"], "Application");
    assert_eq!(event["actor"]["servicePrincipalName"], "Ada Lovelace");
    assert_eq!(event["actor"]["ipAddress"], "192.0.2.7");
    let reason = "The role of the caller does not allow Microsoft.Intune_ManagedDevices_Update.";
    let path = format!("{DEVICES}/x");
    assert_eq!(event["resources"][0]["displayName"], path);
    assert_eq!(
        values(event),
        [("method", "PATCH"), ("path", &path), ("reason", reason)],
        "and not its query"
    );
    assert_eq!(graph.refused(RefusedCause::Forbidden), 1);
}

#[tokio::test]
async fn a_refused_request_of_a_batch_is_recorded() {
    let graph = Graph::new();
    let requests = json!([{ "id": "1", "method": "DELETE", "url": "/groups/x" }]);
    let batch = json!({ "requests": requests });
    let (status, answer) = graph
        .send("POST", "/v1.0/$batch", &graph.limited, &batch)
        .await;
    assert_eq!(
        (status.as_u16(), &answer["responses"][0]["status"]),
        (200, &json!(403))
    );
    let events = graph.events().await;
    assert_eq!(events[0]["activityType"], "Delete Request");
    assert_eq!(events[0]["resources"][0]["displayName"], "/v1.0/groups/x");
}

#[tokio::test(start_paused = true)]
async fn a_script_in_a_loop_makes_few_records_that_count_all() {
    let graph = Graph::new();
    for _ in 0..200 {
        let (status, _) = graph.get("/v1.0/groups", &graph.limited).await;
        assert_eq!(status, 403);
    }
    assert_eq!(graph.events().await.len(), 1 + 5);
    sleep(Duration::from_secs(61)).await;
    let events = graph.events().await;
    assert_eq!(events.len(), 1 + 6);
    assert!(values(&events[0]).contains(&("unrecorded", "194")));
    assert_eq!(graph.refused(RefusedCause::Forbidden), 200);
    assert_eq!(graph.fake.access_counters().unrecorded(), 0);
}

#[tokio::test]
async fn who_is_not_known_is_counted_and_never_in_the_log() {
    let graph = Graph::new();
    let unknown = new_secret();
    for (token, cause) in [
        ("", RefusedCause::TokenMissing),
        ("x", RefusedCause::TokenUnknown),
        (&unknown, RefusedCause::TokenUnknown),
    ] {
        let before = graph.refused(cause);
        assert_eq!(graph.get(DEVICES, token).await.0, 401);
        assert_eq!(graph.refused(cause), before + 1, "{}", cause.name());
    }
    let sign_in = graph.send("POST", "/sign-in", "", &Value::Null).await;
    assert_eq!(sign_in.0, 401);
    assert_eq!(graph.refused(RefusedCause::SignIn), 1);
    assert_eq!(graph.events().await.len(), 1);
}

#[tokio::test]
async fn an_export_and_its_downloads_are_recorded() {
    let graph = Graph::new();
    let filter = "OwnerType eq '1'";
    let wanted =
        json!({ "reportName": "Devices", "filter": filter, "select": ["DeviceId", "OwnerType"] });
    let (status, job) = graph.send("POST", JOBS, &graph.admin, &wanted).await;
    assert_eq!(status, 201, "{job}");
    let id = job["id"].as_str().unwrap();
    let events = graph.events().await;
    assert_eq!(
        events[0]["activityType"],
        "Create DeviceManagementExportJob"
    );
    assert_eq!(events[0]["resources"][0]["resourceId"], id);
    assert_eq!(
        values(&events[0]),
        [
            ("job", id),
            ("report", "Devices"),
            ("format", "csv"),
            ("filter", filter),
            ("select", "DeviceId,OwnerType"),
        ]
    );
    let link = loop {
        let (_, job) = graph.get(&format!("{JOBS}('{id}')"), &graph.admin).await;
        if job["status"] == "completed" {
            break job["url"].as_str().unwrap().to_owned();
        }
    };
    let path = link.strip_prefix("https://muster.example.test").unwrap();
    assert_eq!(graph.get(path, "").await.0, 200);
    let event = &graph.events().await[0];
    assert_eq!(event["activityType"], "Get DeviceManagementExportJob");
    assert_eq!(event["resources"][0]["resourceId"], id);
    assert_eq!(event["actor"]["ipAddress"], "192.0.2.7");
    assert!(!event.to_string().contains("sig="), "no link: {event}");
}

#[tokio::test]
async fn an_export_that_cannot_be_recorded_does_not_begin() {
    let fake = Fake {
        failure: Some(|| ApiError::StorePoisoned),
        ..fleet()
    };
    let graph = Graph::over(fake);
    let wanted = json!({ "reportName": "Devices" });
    let (status, _) = graph.send("POST", JOBS, &graph.admin, &wanted).await;
    assert_eq!(status, 503);
    let (_, jobs) = graph.get(JOBS, &graph.admin).await;
    assert_eq!(jobs["value"], json!([]));
}

#[tokio::test]
async fn a_sign_in_is_recorded() {
    let graph = Graph::new();
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", &graph.limited)
        .finish();
    let mut request = Request::builder()
        .method("POST")
        .uri("/sign-in")
        .body(Body::from(form))
        .unwrap();
    let peer: SocketAddr = "192.0.2.9:1".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = graph.gate.answer(request).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    yield_now().await;
    let event = &graph.events().await[0];
    assert_eq!(event["activityType"], "signIn Console");
    assert_eq!(event["activityResult"], "Success");
    assert_eq!(event["actor"]["ipAddress"], "192.0.2.9");
    // A page that the role does not allow is a refused request, too.
    let request = Request::builder()
        .uri("/devices?risk=high")
        .header("cookie", cookie.split(';').next().unwrap());
    let answer = graph
        .gate
        .answer(request.body(Body::empty()).unwrap())
        .await;
    assert_eq!(answer.status(), 403);
    yield_now().await;
    let event = &graph.events().await[0];
    assert_eq!(event["activityResult"], "Failure");
    assert_eq!(event["resources"][0]["displayName"], "/devices");
}

#[tokio::test]
async fn a_secret_is_in_no_event() {
    let graph = Graph::new();
    let wanted = json!({ "displayName": "script", "role": "Metrics" });
    let (status, token) = graph
        .send("POST", "/v1.0/muster/tokens", &graph.admin, &wanted)
        .await;
    assert_eq!(status, 201, "{token}");
    let (status, _) = graph
        .send(
            "DELETE",
            &format!("/v1.0/muster/tokens/{}", token["id"].as_str().unwrap()),
            &graph.admin,
            &Value::Null,
        )
        .await;
    assert_eq!(status, 204);
    let events = graph.events().await;
    assert_eq!(events[0]["activityType"], "Delete Token");
    assert_eq!(events[1]["activityType"], "Create Token");
    let names: Vec<_> = values(&events[1])
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>();
    assert!(names.contains(&"displayName") && names.contains(&"roleDefinitionId"));
    assert!(
        !names
            .iter()
            .any(|name| name.contains("ash") || name.contains("ecret"))
    );
    let secret = token["secret"].as_str().unwrap();
    assert!(!Value::from(events).to_string().contains(secret));
}

#[tokio::test]
async fn an_auditor_verifies_the_log_and_others_do_not() {
    let graph = Graph::new();
    let path = "/v1.0/muster/audit/verify";
    let (status, report) = graph.get(path, &graph.admin).await;
    assert_eq!((status.as_u16(), &report["verified"]), (200, &json!(true)));
    let pin = report["head"].as_str().unwrap();
    let (status, pinned) = graph.get(&format!("{path}?pin={pin}"), &graph.admin).await;
    assert_eq!((status.as_u16(), &pinned["verified"]), (200, &json!(true)));
    for bad in ["?pin=7", "?pin=", "?head=7"] {
        let (status, _) = graph.get(&format!("{path}{bad}"), &graph.admin).await;
        assert_eq!(status, 400, "{bad}");
    }
    assert_eq!(graph.get(path, &graph.limited).await.0, 403);
}
