//! The OpenAPI document: it is the one that is checked in, and what it says about actions and options is true.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use muster_control::{
    Action, Actor, Change, Command, Handling, Key, ObjectId, Precondition, Rights,
};
use muster_engine::{TenantIndex, Timestamp};
use serde_json::{Value, json};

use super::fixture::{DEVICE, Fake, POLICY, graph_options};
use crate::secrets::TokenRequest;
use crate::{GraphGate, new_secret};

/// With this variable the test writes the document instead of comparing it.
const WRITE: &str = "MUSTER_WRITE_OPENAPI";

/// The API, and the secret of a token.
pub(super) struct Graph {
    pub(super) gate: GraphGate,
    pub(super) secret: String,
}

impl Graph {
    /// An API whose token may carry out these actions; all if there are none.
    pub(super) fn with_actions(actions: Option<&[Action]>) -> Self {
        let fake = Fake::default();
        let role = match actions {
            None => "Administrator".to_owned(),
            Some(actions) => define_role(&fake, actions),
        };
        let secret = new_secret();
        let now = Timestamp::from_seconds(1_767_225_600);
        let control = fake.control.lock().unwrap().0.clone();
        let request = TokenRequest {
            name: "test",
            role: &role,
            valid_days: 1,
        };
        let token = request
            .token(&control, TenantIndex(0), &secret, now)
            .unwrap();
        let id = ObjectId::from_bytes([9; 16]);
        apply(&fake, Change::Issue { id, token });
        let gate = GraphGate::default();
        gate.open(Arc::new(fake), graph_options("muster.example.test"));
        Self { gate, secret }
    }

    async fn send(&self, method: &str, path: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.secret));
        let response = self
            .gate
            .answer(request.body(Body::from("{}")).unwrap())
            .await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 8 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

fn apply(fake: &Fake, change: Change) {
    let command = Command {
        address: None,
        actor: Actor::Local,
        rights: Rights::local(),
        at: Timestamp::from_seconds(1_767_225_600),
        tenant: TenantIndex(0),
        expected: Precondition::Nothing,
        handling: Handling::Strict,
        change,
    };
    let plane = &mut fake.control.lock().unwrap().0;
    let entry = plane.decide(&command).unwrap();
    plane.apply(&entry).unwrap();
}

/// Defines a role that allows these actions; its id.
fn define_role(fake: &Fake, actions: &[Action]) -> String {
    let names: Vec<_> = actions
        .iter()
        .map(|action| full_name(action.name()))
        .collect();
    let document = json!({
        "displayName": "test",
        "rolePermissions": [{ "resourceActions": [{ "allowedResourceActions": names }] }],
    });
    let id = ObjectId::from_bytes([8; 16]);
    let key = Key::RoleDefinition(id);
    let properties = document.as_object().unwrap().clone();
    apply(fake, Change::Create { key, properties });
    id.to_string()
}

fn full_name(action: &str) -> String {
    format!("Microsoft.Intune_{action}")
}

/// The document, as the server sends it.
async fn document() -> Value {
    let graph = Graph::with_actions(None);
    let request = Request::builder()
        .uri("/openapi.json")
        .body(Body::empty())
        .unwrap();
    let response = graph.gate.answer(request).await;
    assert_eq!(response.status(), 200, "without a token");
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = to_bytes(response.into_body(), 8 << 20).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Every operation: method, path, declaration.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
        .collect()
}

/// A URL of an operation.
fn url(path: &str) -> String {
    let path = path.replace("{id}", DEVICE).replace("{member}", DEVICE);
    format!("/v1.0{}", path.replace("{state}", POLICY))
}

#[tokio::test]
async fn the_openapi_document_is_that_of_the_operations() {
    let crate_directory = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets the variable");
    let path = PathBuf::from(crate_directory).join("../../docs/reference/openapi.json");
    let document = document().await;
    let text = format!("{document:#}\n");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/reference/openapi.json is not what the operations give. To write it: {WRITE}=1 cargo nextest run -p \
         muster-api the_openapi_document, and look at its diff."
    );
}

/// The actions that the description of an operation names.
fn needed(operation: &Value) -> Vec<Action> {
    let text = operation["description"].as_str().unwrap_or_default();
    let all = Action::ALL.iter().copied();
    all.filter(|action| text.contains(&format!("`{}`", full_name(action.name()))))
        .collect()
}

#[tokio::test]
async fn an_operation_needs_the_actions_that_it_names_and_no_other() {
    let document = document().await;
    for (method, path, operation) in operations(&document) {
        let needed = needed(operation);
        let method = method.to_uppercase();
        for action in &needed {
            let others = Action::ALL.iter().copied();
            let others = others.filter(|other| other != action && *other != Action::ManageTokens);
            let others: Vec<_> = others.collect();
            let (status, body) = Graph::with_actions(Some(&others))
                .send(&method, &url(path))
                .await;
            let message = body["error"]["message"].as_str().unwrap_or_default();
            assert!(
                status == 403 && message.contains(&full_name(action.name())),
                "{method} {path} without {action:?}: {status} {body}"
            );
        }
        // No role but the administrator can have this one.
        let actions = (!needed.contains(&Action::ManageTokens)).then_some(&*needed);
        let (status, body) = Graph::with_actions(actions).send(&method, &url(path)).await;
        let declared = operation["responses"].as_object().unwrap();
        assert!(
            status != 403 && declared.contains_key(&status.to_string()),
            "{method} {path}: {status} {body}"
        );
    }
}

#[tokio::test]
async fn every_operation_needs_a_token_and_refuses_unknown_options_if_it_has_options() {
    let document = document().await;
    let mut graph = Graph::with_actions(None);
    for (method, path, operation) in operations(&document) {
        let has_options = operation["parameters"]
            .as_array()
            .is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "$select"));
        if has_options {
            let (status, _) = graph
                .send(&method.to_uppercase(), &format!("{}?$x=1", url(path)))
                .await;
            assert!([400, 404].contains(&status), "{method} {path}: {status}");
        }
    }
    graph.secret.push('x');
    for (method, path, _) in operations(&document) {
        let (status, body) = graph.send(&method.to_uppercase(), &url(path)).await;
        assert_eq!(status, 401, "{method} {path}: {body}");
    }
}

#[tokio::test]
async fn the_examples_of_options_are_accepted() {
    let document = document().await;
    let graph = Graph::with_actions(None);
    let mut seen = 0;
    for (method, path, operation) in operations(&document) {
        if path.contains('{') {
            continue;
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default();
            for (_, example) in parameter["examples"].as_object().into_iter().flatten() {
                let value = example["value"].as_str().unwrap();
                let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
                let (status, body) = graph
                    .send(
                        &method.to_uppercase(),
                        &format!("{}?{name}={value}", url(path)),
                    )
                    .await;
                assert_eq!(status, 200, "{path}?{name}={value}: {body}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[tokio::test]
async fn every_reference_leads_somewhere_and_every_id_is_unique() {
    let document = document().await;
    let mut ids = BTreeSet::new();
    for (.., operation) in operations(&document) {
        assert!(
            ids.insert(operation["operationId"].as_str().unwrap()),
            "{operation}"
        );
    }
    let mut open = vec![&document];
    let mut references = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let pointer = target.strip_prefix('#').expect("in this document");
                    assert!(document.pointer(pointer).is_some(), "{target}");
                    references += 1;
                }
                open.extend(members.values());
            }
            Value::Array(elements) => open.extend(elements),
            _ => (),
        }
    }
    assert!(references > 100, "{references}");
}
