//! An operator with a token, who sends requests to the API over the fleet of the console's tests.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value;

use super::fixture::{Fake, graph_options};
use super::page::fleet::{add_token, fleet};
use crate::{GraphGate, new_secret};

/// The host in the links of the API.
const HOST: &str = "muster.example.test";

/// An operator.
pub(super) struct Operator {
    gate: GraphGate,
    secret: String,
}

/// A response.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: axum::http::HeaderMap,
    /// Null if there is none.
    pub(super) body: Value,
}

impl Reply {
    /// The objects of a list.
    pub(super) fn rows(&self) -> &[Value] {
        let rows = self.body["value"].as_array();
        rows.unwrap_or_else(|| panic!("no list: {self:?}"))
    }

    /// The path and query of the next page.
    pub(super) fn next(&self) -> Option<&str> {
        let link = self.body["@odata.nextLink"].as_str()?;
        let host = format!("https://{HOST}");
        Some(link.strip_prefix(&host).expect("a link to this server"))
    }
}

impl Operator {
    /// The operator with this role of the fleet.
    pub(super) fn new(role: &str) -> Self {
        Self::of(fleet(), role)
    }

    pub(super) fn of(fake: Fake, role: &str) -> Self {
        let secret = new_secret();
        add_token(&fake, 1, role, &secret, 90);
        let gate = GraphGate::default();
        gate.open(Arc::new(fake), graph_options(HOST));
        Self { gate, secret }
    }

    /// Sends a request. Blanks and quotes in the path are encoded.
    pub(super) async fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        let sent = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = Request::builder()
            .method(method)
            .uri(path.replace(' ', "%20").replace('"', "%22"))
            .header("host", HOST)
            .header("authorization", format!("Bearer {}", self.secret));
        let response = self.gate.answer(request.body(sent).unwrap()).await;
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.expect("a whole body");
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: if bytes.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&bytes).expect("the body is JSON")
            },
        }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &Value::Null).await
    }

    /// The rows of a list, with those of all its pages.
    pub(super) async fn all(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await;
            rows.extend_from_slice(page.rows());
            next = page.next().map(str::to_owned);
        }
        rows
    }
}
