//! Users of an issuer: what they may do, who they are in audit events, and what everyone else is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::fixture::{Fake, graph_options};
use crate::oidc::tests::signing::SigningKey;
use crate::oidc::tests::{claims, claims_with, known, settings};
use crate::{GraphGate, GraphOptions, IssuerSettings, Issuers, TokenRefusal};

const ROLES: &[(&str, &str)] = &[
    ("Muster.Admin", "Administrator"),
    ("Muster.Reader", "Read Only Operator"),
    ("Muster.Helper", "help desk operator"),
    ("Muster.Gone", "A role that no one has made"),
];

struct Place {
    gate: GraphGate,
    fake: Arc<Fake>,
    issuers: Arc<Issuers>,
    key: SigningKey,
}

impl Place {
    fn new() -> Self {
        Self::with(settings("demo", ROLES))
    }

    fn with(settings: IssuerSettings) -> Self {
        let key = SigningKey::p256("key");
        let issuers = Arc::new(known(vec![settings], &[&key]));
        let (gate, fake) = (GraphGate::default(), Arc::new(Fake::default()));
        let options = GraphOptions {
            issuers: Arc::clone(&issuers),
            ..graph_options("muster.example.test")
        };
        gate.open(Arc::clone(&fake) as _, options);
        Self {
            gate,
            fake,
            issuers,
            key,
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "muster.example.test")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        let response = self.gate.answer(request.body(body).unwrap()).await;
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let document = serde_json::from_slice(&bytes).unwrap_or_default();
        (head.status, document)
    }

    async fn get(&self, path: &str, token: &str) -> (StatusCode, Value) {
        self.send("GET", path, token, Value::Null).await
    }

    fn token(&self, claims: &Value) -> String {
        self.key.token("ES256", claims)
    }

    fn with_roles(&self, roles: Value) -> String {
        self.token(&claims_with("roles", roles))
    }
}

const GROUPS: &str = "/v1.0/groups";

fn group() -> Value {
    json!({
        "displayName": "Field", "mailEnabled": false, "mailNickname": "field", "securityEnabled": true,
    })
}

#[tokio::test]
async fn a_user_may_do_what_any_of_their_roles_allows() {
    for (roles, made) in [
        (json!(["Muster.Admin"]), 201),
        (json!("Muster.Reader"), 403),
        (json!(["Muster.Helper"]), 403),
        (json!(["Muster.Reader", "Muster.Admin"]), 201),
        (json!(["Other", "Muster.Reader", 7, null]), 403),
    ] {
        let place = Place::new();
        let token = place.with_roles(roles.clone());
        let (status, _) = place.get(GROUPS, &token).await;
        assert_eq!(status, 200, "{roles}");
        let (status, body) = place.send("POST", GROUPS, &token, group()).await;
        assert_eq!(status, made, "{roles}: {body}");
        let counters = place.issuers.counters();
        assert_eq!(counters.accepted.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_user_without_a_role_is_told_so() {
    let place = Place::new();
    for roles in [
        json!([]),
        Value::Null,
        json!(["muster.admin"]),
        json!("Administrator"),
        json!({ "Muster.Admin": true }),
        json!(["Muster.Gone"]),
    ] {
        let token = place.with_roles(roles.clone());
        let (status, body) = place.get(GROUPS, &token).await;
        assert_eq!(status, 403, "{roles}");
        assert_eq!(body["error"]["code"], "Authorization_RequestDenied");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("no role") && message.contains("claim roles"),
            "{message}"
        );
    }
    assert_eq!(place.issuers.counters().refused(TokenRefusal::NoRole), 6);
}

#[tokio::test]
async fn every_bad_token_gets_one_answer() {
    let place = Place::new();
    let other = SigningKey::p256("key");
    let mut answers = Vec::new();
    for token in [
        "muster_unknown".to_owned(),
        "x".to_owned(),
        place.token(&claims_with("exp", 1.into())),
        place.token(&claims_with("aud", "other".into())),
        place.token(&claims_with("iss", "https://other.example.test".into())),
        other.token("ES256", &claims()),
    ] {
        let (status, mut body) = place.get(GROUPS, &token).await;
        body["error"].as_object_mut().unwrap().remove("innerError");
        answers.push((status, body));
    }
    assert_eq!(answers[0].0, 401);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    // As does a good one whose tenant does not exist.
    let place = Place::with(settings("nowhere", ROLES));
    let (status, mut body) = place.get(GROUPS, &place.token(&claims())).await;
    body["error"].as_object_mut().unwrap().remove("innerError");
    assert_eq!((status, body), answers[0]);
    let counters = place.issuers.counters();
    assert_eq!(counters.refused(TokenRefusal::UnknownTenant), 1);
}

#[tokio::test]
async fn audit_events_name_the_user() {
    let place = Place::new();
    let token = place.token(&claims());
    let (status, _) = place.send("POST", GROUPS, &token, group()).await;
    assert_eq!(status, 201);
    let events = "/v1.0/deviceManagement/auditEvents?$filter=actor/userId%20eq%20'user-1'";
    let (status, body) = place.get(events, &token).await;
    assert_eq!(status, 200, "{body}");
    let actor = &body["value"][0]["actor"];
    assert_eq!(actor["auditActorType"], "ItPro");
    assert_eq!(actor["userPrincipalName"], "ada@example.test");
    assert_eq!(actor["userId"], "user-1");
    assert_eq!(actor["servicePrincipalName"], Value::Null);
    let control = place.fake.control.lock().unwrap();
    let actor = control.1.last().map(|entry| &entry.actor);
    let actor = format!("{actor:?}");
    assert!(
        actor.contains("login.example.test"),
        "the log also has the issuer: {actor}"
    );
}

#[tokio::test]
async fn a_user_has_no_token_that_could_sign_in_to_the_console() {
    let place = Place::new();
    let token = place.token(&claims());
    let (status, body) = place
        .send("POST", "/beta/muster/signInCodes", &token, Value::Null)
        .await;
    assert_eq!(status, 400, "{body}");
}
