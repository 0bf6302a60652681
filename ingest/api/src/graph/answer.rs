//! A request from its head to its finished response: ids, path, principal, permit, route, headers, errors.
//!
//! Owner: the task of the connection. Bounded: [`REQUESTS_OF_PRINCIPAL_MAX`] requests of a principal at a time, and a
//! deadline for each. A request of a batch takes the same way ([`route`]) with the principal of its batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use muster_control::{Handling, ObjectId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower::ServiceExt;

use super::auth::{Principal, authenticate};
use super::call::{Call, Metadata};
use super::error::GraphError;
use super::path::normalized;
use super::{GraphApi, batch, downloads, page};
use crate::times;

/// Requests of a principal in progress; further ones are refused with 429.
pub(super) const REQUESTS_OF_PRINCIPAL_MAX: usize = 32;

/// Deadline of a response's head.
const DEADLINE: Duration = Duration::from_secs(60);

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");

/// The media type of every document.
const JSON: HeaderValue =
    HeaderValue::from_static("application/json;odata.metadata=minimal;charset=utf-8");

/// Longest id of a client that is echoed.
const CLIENT_ID_BYTES_MAX: usize = 128;

/// The ids of a request.
struct Ids {
    server: String,
    client: Option<HeaderValue>,
}

impl Ids {
    fn new(api: &GraphApi, headers: &HeaderMap) -> Self {
        let client = headers.get(CLIENT_REQUEST_ID);
        Self {
            server: api.backend.new_object_id().to_string(),
            client: client
                .filter(|id| id.len() <= CLIENT_ID_BYTES_MAX && id.to_str().is_ok())
                .cloned(),
        }
    }
}

/// The permits of each principal that has requests in progress.
#[derive(Debug, Default)]
pub(super) struct Permits(Mutex<BTreeMap<ObjectId, Arc<Semaphore>>>);

impl Permits {
    pub(super) fn take(&self, principal: &Principal) -> Result<OwnedSemaphorePermit, GraphError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those without requests are not needed, so the map is bounded by the connections.
        all.retain(|_, permits| permits.available_permits() < REQUESTS_OF_PRINCIPAL_MAX);
        let own = all
            .entry(principal.id)
            .or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_OF_PRINCIPAL_MAX)));
        let permit = Arc::clone(own).try_acquire_owned();
        permit.map_err(|_| GraphError::throttled(REQUESTS_OF_PRINCIPAL_MAX))
    }
}

/// Answers a request.
pub(super) async fn answer(api: Arc<GraphApi>, request: Request<Body>) -> Response {
    let ids = Ids::new(&api, request.headers());
    if page::is_of(request.uri().path()) {
        let response = page::answer(&api, request, &ids.server).await;
        return finish(&api, response, &ids);
    }
    let answered = timeout(DEADLINE, admit(&api, request)).await;
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.into_response(),
        Err(_) => GraphError::unavailable("The server did not respond in time.").into_response(),
    };
    finish(&api, response, &ids)
}

/// Finds the principal and routes the request.
async fn admit(api: &Arc<GraphApi>, request: Request<Body>) -> Result<Response, GraphError> {
    if !api.backend.readiness().is_serving {
        return Err(GraphError::unavailable("The server does not serve now."));
    }
    if let Some(file) = downloads::file_of(request.uri().path()) {
        return downloads::download(api, file, request.uri().query());
    }
    let now = api.backend.clock().time;
    let principal = authenticate(request.headers(), &api.backend.control(), now)?;
    let permit = api.permits.take(&principal)?;
    let origin = origin(api, &request);
    let answered = route(api, principal, origin.into(), request).await;
    drop(permit);
    answered
}

/// Routes a request of a known principal.
pub(super) async fn route(
    api: &Arc<GraphApi>,
    principal: Principal,
    origin: Arc<str>,
    mut request: Request<Body>,
) -> Result<Response, GraphError> {
    let sent = request.uri().path();
    let unknown = || GraphError::not_found("No resource has this path.");
    let (version, path) = normalized(sent).ok_or_else(unknown)?;
    let call = Call {
        api: Arc::clone(api),
        principal,
        version,
        origin,
        path: sent.into(),
        metadata: metadata(request.headers()),
        handling: handling(request.headers()),
    };
    if path == "/$batch" {
        return batch::answer(call, request).await;
    }
    *request.uri_mut() = with_path(request.uri(), &path).ok_or_else(unknown)?;
    request.extensions_mut().insert(call);
    let method = request.method().clone();
    let routed = api.router.clone().oneshot(request).await;
    let response = routed.unwrap_or_else(|never| match never {});
    Ok(match response.status() {
        StatusCode::NOT_FOUND if response.extensions().get::<GraphError>().is_none() => {
            unknown().into_response()
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let allow = response.headers().get(ALLOW).cloned();
            let mut refused = GraphError::method_not_allowed(&method).into_response();
            refused
                .headers_mut()
                .extend(allow.map(|allow| (ALLOW, allow)));
            refused
        }
        _ => response,
    })
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    Some(PathAndQuery::try_from(path).ok()?.into())
}

/// Scheme, host and port for links: those of the client if the host is one of the server's names.
fn origin(api: &GraphApi, request: &Request<Body>) -> String {
    let header = request.headers().get(HOST);
    let header = header.and_then(|host| host.to_str().ok());
    let asked = header.or_else(|| {
        request
            .uri()
            .authority()
            .map(|authority| authority.as_str())
    });
    let own = asked.filter(|asked| api.names.are_own(asked));
    format!("https://{}", own.unwrap_or(&api.names.default))
}

/// The level of annotations in `Accept`; what is not understood is ignored.
fn metadata(headers: &HeaderMap) -> Metadata {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let accept = accept.unwrap_or_default().to_ascii_lowercase();
    match accept.split_once("odata.metadata=") {
        Some((_, level)) if level.starts_with("full") => Metadata::Full,
        Some((_, level)) if level.starts_with("none") => Metadata::None,
        _ => Metadata::Minimal,
    }
}

/// Whether the client prefers lenient handling.
fn handling(headers: &HeaderMap) -> Handling {
    let all = headers.get_all("prefer").iter();
    let mut preferences = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']));
    let is_lenient =
        preferences.any(|preference| preference.trim().eq_ignore_ascii_case("handling=lenient"));
    if is_lenient {
        Handling::Lenient
    } else {
        Handling::Strict
    }
}

/// Adds what every response has: its ids, and to an error its body.
fn finish(api: &GraphApi, mut response: Response, ids: &Ids) -> Response {
    if let Some(error) = response.extensions_mut().remove::<GraphError>() {
        let body = error_body(api, &error, ids);
        // The router has set the length of the empty body.
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(body);
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    } else if response.status().is_success()
        && response.headers().get(CONTENT_TYPE)
            == Some(&HeaderValue::from_static("application/json"))
    {
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(&ids.server) {
        headers.insert(REQUEST_ID, id);
    }
    headers.extend(ids.client.clone().map(|id| (CLIENT_REQUEST_ID, id)));
    response
}

fn error_body(api: &GraphApi, error: &GraphError, ids: &Ids) -> String {
    let mut body = error.body();
    let date = times::timestamp(api.backend.clock().time).unwrap_or_default();
    // Graph gives this date without fraction and zone.
    let date = date.split(['.', 'Z']).next().unwrap_or_default().to_owned();
    let client = ids.client.as_ref().and_then(|id| id.to_str().ok());
    body["error"]["innerError"] = serde_json::json!({
        "date": date,
        "request-id": ids.server,
        "client-request-id": client.unwrap_or(&ids.server),
    });
    body.to_string()
}
