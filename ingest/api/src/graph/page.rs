//! The console: the API in a browser, at `/`. Pages are rendered here and work without script.
//!
//! Owner: the task of the connection. Bounded like the API: requests of a principal, passes over all devices; live
//! streams in `events.rs`, exports in `export.rs`, failed sign-ins in `failures.rs`, sign-in codes in `codes.rs`. It
//! changes nothing on the server but sessions, which it does not keep: they are in a cookie (`session.rs`).

mod assets;
mod cells;
mod charts;
mod device;
mod devices;
mod events;
mod export;
mod facets;
mod layout;
mod numbers;
mod overview;
mod selection;
mod session;
mod sign_in;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::timeout;
use tower::ServiceExt;

use self::session::Session;
use super::error::GraphError;
use super::recording;
use super::state::GraphApi;

/// Deadline of a page's head.
const DEADLINE: Duration = Duration::from_secs(60);

/// No inline script or style, nothing from elsewhere, in no frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// What every response of the console has.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The routes of the console.
pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(overview::overview))
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/devices", get(devices::list))
        .route("/devices.csv", get(export::export))
        .route("/devices/{id}", get(device::device))
        .route("/events", get(events::events))
        .route("/assets/{name}", get(assets::asset))
}

/// Whether a path is one of the console.
pub(super) fn is_of(path: &str) -> bool {
    let all = [
        "/",
        "/sign-in",
        "/sign-out",
        "/devices",
        "/devices.csv",
        "/events",
    ];
    let below = ["/devices/", "/assets/"];
    all.contains(&path) || below.iter().any(|prefix| path.starts_with(prefix))
}

/// Answers a request; `id` is that of the request, for the page of an error.
pub(super) async fn answer(
    api: &Arc<GraphApi>,
    pages: &Router,
    request: Request<Body>,
    id: &str,
) -> Response {
    let mut session = Session::of(api, request.headers());
    if let Some(session) = &mut session {
        session.call.principal.address = recording::peer(request.extensions());
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answered = timeout(DEADLINE, visit(api, pages, session.clone(), request)).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.into_response(),
        Err(_) => GraphError::unavailable("The server did not respond in time.").into_response(),
    };
    let failed = response.extensions_mut().remove::<GraphError>();
    let failed = failed.or_else(|| match response.status() {
        StatusCode::NOT_FOUND => Some(GraphError::not_found("No page has this address.")),
        _ => None,
    });
    if let Some(error) = failed {
        if let Some(session) = &session {
            recording::refused(api, &session.call.principal, &method, &path, &error);
        }
        let page = layout::failed(session.as_ref(), &error, id);
        *response.body_mut() = page.into_response().into_body();
        let headers = response.headers_mut();
        headers.insert(axum::http::header::CONTENT_TYPE, layout::HTML);
        headers.remove(axum::http::header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

async fn visit(
    api: &Arc<GraphApi>,
    pages: &Router,
    session: Option<Session>,
    mut request: Request<Body>,
) -> Result<Response, GraphError> {
    if !api.backend.readiness().is_serving {
        return Err(GraphError::unavailable("The server does not serve now."));
    }
    let principal = session.as_ref().map(|session| &session.call.principal);
    let _permit = principal.map(|own| api.permits.take(own)).transpose()?;
    let extensions = request.extensions_mut();
    extensions.insert(Arc::clone(api));
    session.map(|session| extensions.insert(session));
    let routed = pages.clone().oneshot(request).await;
    Ok(routed.unwrap_or_else(|never| match never {}))
}
