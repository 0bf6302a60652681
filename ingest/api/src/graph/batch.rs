//! `$batch`: at most 20 requests in one, carried out in their order, with the principal of the batch.
//!
//! A request whose dependency failed is answered with 424. Absolute and versioned URLs are accepted if they are of this
//! server, because SDKs send them.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::body;
use super::call::Call;
use super::error::GraphError;
use super::route::{call_of, route, unknown_path};

/// The path of a batch.
pub(super) const PATH: &str = "/$batch";

/// Requests of a batch.
const REQUESTS_MAX: usize = 20;

/// Bytes of the responses together: a page of a thousand devices has about 1.5 MB.
const RESPONSES_BYTES_MAX: usize = 16 << 20;

/// A request of a batch.
struct Item {
    id: String,
    depends_on: Vec<String>,
    request: Result<Request<Body>, GraphError>,
}

/// `POST $batch`.
pub(super) async fn answer(
    call: Call,
    resources: &Router,
    request: Request<Body>,
) -> Result<Response, GraphError> {
    if request.method() != Method::POST {
        let mut refused = GraphError::method_not_allowed(request.method()).into_response();
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
        return Ok(refused);
    }
    let (parts, body) = request.into_parts();
    let document = body::object(&parts.headers, body).await?;
    let items = items(&call, &document)?;
    let mut statuses: BTreeMap<String, StatusCode> = BTreeMap::new();
    let mut responses = Vec::with_capacity(items.len());
    let mut room = RESPONSES_BYTES_MAX;
    for item in items {
        let failed = item.depends_on.iter().find(|id| {
            statuses
                .get(&id.to_ascii_lowercase())
                .is_none_or(|status| !status.is_success())
        });
        let answered = match (failed, item.request) {
            (Some(id), _) => Err(failed_dependency(id)),
            (None, Err(error)) => Err(error),
            (None, Ok(request)) => {
                let (principal, origin) = (call.principal.clone(), call.origin.clone());
                match call_of(&call.api, principal, origin, &request) {
                    Some((_, path)) if path == PATH => {
                        Err(GraphError::bad_request("A batch cannot have a batch."))
                    }
                    Some((call, path)) => route(resources, call, &path, request).await,
                    None => Err(unknown_path()),
                }
            }
        };
        let response = answered.unwrap_or_else(IntoResponse::into_response);
        statuses.insert(item.id.to_ascii_lowercase(), response.status());
        let response = ItemResponse::of(item.id, response, room).await;
        room = room.saturating_sub(response.body.as_ref().map_or(0, |body| body.get().len()));
        responses.push(response);
    }
    Ok(axum::Json(json!({ "responses": responses })).into_response())
}

fn failed_dependency(id: &str) -> GraphError {
    GraphError {
        status: StatusCode::FAILED_DEPENDENCY,
        code: "FailedDependency",
        message: format!("Request {id} failed."),
        details: Vec::new(),
    }
}

/// The requests of a batch; the first fault refuses all of them.
fn items(call: &Call, document: &Map<String, Value>) -> Result<Vec<Item>, GraphError> {
    let requests = document.get("requests").and_then(Value::as_array);
    let requests = requests.filter(|all| (1..=REQUESTS_MAX).contains(&all.len()));
    let requests = requests.ok_or_else(|| {
        GraphError::bad_request(format!(
            "A batch has a list 'requests' of 1 to {REQUESTS_MAX}."
        ))
    })?;
    let items = requests.iter().map(|request| item(call, request));
    let items = items.collect::<Result<Vec<Item>, _>>()?;
    let mut seen = std::collections::BTreeSet::new();
    for item in &items {
        let is_known = |id: &String| seen.contains(&id.to_ascii_lowercase());
        if !item.depends_on.iter().all(is_known) {
            let message = format!("Request {} depends on one that is not before it.", item.id);
            return Err(GraphError::bad_request(message));
        }
        if !seen.insert(item.id.to_ascii_lowercase()) {
            return Err(GraphError::bad_request(format!(
                "The id {} is not unique.",
                item.id
            )));
        }
    }
    Ok(items)
}

fn item(call: &Call, json: &Value) -> Result<Item, GraphError> {
    let bad = |what: &str| {
        GraphError::bad_request(format!("A request of the batch has no valid {what}."))
    };
    let id = id(json.get("id")).ok_or_else(|| bad("id"))?;
    let method = json.get("method").and_then(Value::as_str);
    let method = method.map(str::to_ascii_uppercase);
    let method = method.and_then(|method| method.parse::<Method>().ok());
    let method = method.ok_or_else(|| bad("method"))?;
    let url = json
        .get("url")
        .and_then(Value::as_str)
        .ok_or_else(|| bad("url"))?;
    let depends_on = match json.get("dependsOn") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(ids)) => {
            let ids = ids.iter().map(|each| self::id(Some(each)));
            ids.collect::<Option<_>>().ok_or_else(|| bad("dependsOn"))?
        }
        Some(_) => return Err(bad("dependsOn")),
    };
    Ok(Item {
        request: request(call, method, url, json),
        id,
        depends_on,
    })
}

/// An id: a string or an integer.
fn id(json: Option<&Value>) -> Option<String> {
    match json? {
        Value::String(id) if (1..=128).contains(&id.chars().count()) => Some(id.clone()),
        Value::Number(id) if id.is_i64() || id.is_u64() => Some(id.to_string()),
        _ => None,
    }
}

fn request(
    call: &Call,
    method: Method,
    url: &str,
    json: &Value,
) -> Result<Request<Body>, GraphError> {
    let path = relative(call, url)?;
    let mut headers = HeaderMap::new();
    if let Some(sent) = json.get("headers").and_then(Value::as_object) {
        for (name, value) in sent {
            let name = HeaderName::try_from(name.as_str());
            let value = value.as_str().map(HeaderValue::try_from);
            if let (Ok(name), Some(Ok(value))) = (name, value) {
                headers.insert(name, value);
            }
        }
    }
    let body = match json.get("body") {
        None | Some(Value::Null) => Body::empty(),
        Some(body) => {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
            Body::from(body.to_string())
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    *request.uri_mut() = path.parse().map_err(|_| {
        GraphError::bad_request(format!(
            "The URL of request {method} is malformed.",
            method = request.method()
        ))
    })?;
    Ok(request)
}

/// The URL of a request as path and query with a version; that of the batch if it has none.
fn relative(call: &Call, url: &str) -> Result<String, GraphError> {
    let is_absolute = url.contains("://");
    let path = match url.strip_prefix(&*call.origin) {
        Some(path) => path,
        None if is_absolute => {
            return Err(GraphError::bad_request(
                "The URL of a request is of another server.",
            ));
        }
        None => url,
    };
    let path = path.trim_start_matches('/');
    // Scripts leave blanks and quotes as they are.
    let path = path.replace(' ', "%20").replace('"', "%22");
    let first = path.split(['/', '?']).next().unwrap_or_default();
    let has_version = ["v1.0", "beta"]
        .iter()
        .any(|version| first.eq_ignore_ascii_case(version));
    Ok(if has_version {
        format!("/{path}")
    } else {
        format!("/{}/{path}", call.version.segment())
    })
}

/// The response to a request, in the form of a batch. The body is not parsed: that would take many times its size.
#[derive(Debug, Serialize)]
struct ItemResponse {
    id: String,
    status: u16,
    headers: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl ItemResponse {
    /// The form of a response whose body has at most `room` bytes; a larger one is an error.
    async fn of(id: String, response: Response, room: usize) -> Self {
        let (mut parts, body) = response.into_parts();
        let (status, body) = match parts.extensions.remove::<GraphError>() {
            Some(error) => (error.status, raw(&error.body())),
            None => match to_bytes(body, room).await {
                Ok(bytes) if bytes.is_empty() => (parts.status, None),
                Ok(bytes) => {
                    let json = serde_json::from_slice(&bytes).ok();
                    let text = || raw(&String::from_utf8_lossy(&bytes));
                    (parts.status, json.or_else(text))
                }
                Err(_) => {
                    let error = GraphError::bad_request(format!(
                        "The responses of a batch have at most {RESPONSES_BYTES_MAX} bytes together; ask for smaller pages."
                    ));
                    (error.status, raw(&error.body()))
                }
            },
        };
        let mut headers = Map::new();
        for (name, value) in &parts.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.to_string(), value.into());
            }
        }
        if body.is_some() {
            // SDKs look for this spelling.
            headers.remove("content-type");
            headers.insert("Content-Type".to_owned(), "application/json".into());
        }
        Self {
            id,
            status: status.as_u16(),
            headers,
            body,
        }
    }
}

fn raw(value: &impl Serialize) -> Option<Box<RawValue>> {
    to_raw_value(value).ok()
}
