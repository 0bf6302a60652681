//! A request from its head to its finished response: ids, path, principal, permit, route, headers, errors.
//!
//! Owner: the task of the connection. Bounded: [`super::permits::REQUESTS_OF_PRINCIPAL_MAX`] requests of a principal and
//! [`super::state::REQUESTS_MAX`] of all at a time, and a deadline for each. A request of a batch takes the same way ([`route`]) with the principal of its batch.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::error::GraphError;
use super::identity::authenticate;
use super::path::Version;
use super::route::{Routers, call_of, route, unknown_path};
use super::state::GraphApi;
use super::{batch, downloads, page, recording};
use crate::times;

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

/// Answers a request.
pub(super) async fn answer(
    api: Arc<GraphApi>,
    routers: &Routers,
    request: Request<Body>,
) -> Response {
    let ids = Ids::new(&api, request.headers());
    if page::is_of(request.uri().path()) {
        let response = page::answer(&api, &routers.pages, request, &ids.server).await;
        return finish(&api, response, &ids);
    }
    let answered = timeout(DEADLINE, admit(&api, routers, request)).await;
    let response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.into_response(),
        Err(_) => GraphError::unavailable("The server did not respond in time.").into_response(),
    };
    finish(&api, response, &ids)
}

/// Finds the principal and routes the request.
async fn admit(
    api: &Arc<GraphApi>,
    routers: &Routers,
    request: Request<Body>,
) -> Result<Response, GraphError> {
    if !api.backend.readiness().is_serving {
        return Err(GraphError::unavailable("The server does not serve now."));
    }
    if let Some(file) = downloads::file_of(request.uri().path()) {
        let address = recording::peer(request.extensions());
        return downloads::download(api, file, request.uri().query(), address);
    }
    let address = recording::peer(request.extensions());
    let mut principal = authenticate(api, request.headers())
        .await
        .inspect_err(|error| {
            if error.status == StatusCode::UNAUTHORIZED {
                let control = api.backend.control();
                recording::refused_unknown(api, request.headers(), &control, address);
            }
        })?;
    principal.address = address;
    let permit = api.permits.take(&principal)?;
    let permit = (permit, api.request_permit().await?);
    let origin = origin(api, &request);
    let called = call_of(api, principal, origin.into(), &request);
    let (call, path) = called.ok_or_else(unknown_path)?;
    let resources = &routers.resources;
    let answered = match (call.version, path.as_str()) {
        (Version::Defender, path) => route(&routers.defender, call, path, request).await,
        (_, batch::PATH) => batch::answer(call, resources, request).await,
        (_, path) => route(resources, call, path, request).await,
    };
    drop(permit);
    answered
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

/// The response to a request that is refused before it has an id.
pub(super) fn refusal(error: &GraphError) -> Response {
    let mut response = error.clone().into_response();
    *response.body_mut() = Body::from(error.body().to_string());
    response.headers_mut().insert(CONTENT_TYPE, JSON);
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
