//! From a request of a known principal to the handler of its resource.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT, ALLOW};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use muster_control::Handling;
use tower::ServiceExt;

use super::auth::Principal;
use super::call::{Call, Metadata};
use super::error::GraphError;
use super::path::normalized;
use super::recording;
use super::state::GraphApi;

/// The routers of the API.
#[derive(Debug)]
pub(super) struct Routers {
    /// The resources of Graph.
    pub(super) resources: Router,
    /// Those of Defender.
    pub(super) defender: Router,
    /// The pages of the console.
    pub(super) pages: Router,
}

/// What handlers know of a request, and its path in one form.
pub(super) fn call_of(
    api: &Arc<GraphApi>,
    principal: Principal,
    origin: Arc<str>,
    request: &Request<Body>,
) -> Option<(Call, String)> {
    let sent = request.uri().path();
    let (version, path) = normalized(sent)?;
    let call = Call {
        api: Arc::clone(api),
        principal,
        version,
        origin,
        path: sent.into(),
        metadata: metadata(request.headers()),
        handling: handling(request.headers()),
    };
    Some((call, path))
}

/// No resource has the path of a request.
pub(super) fn unknown_path() -> GraphError {
    GraphError::not_found("No resource has this path.")
}

/// Routes a request of a known principal.
pub(super) async fn route(
    resources: &Router,
    call: Call,
    path: &str,
    mut request: Request<Body>,
) -> Result<Response, GraphError> {
    *request.uri_mut() = with_path(request.uri(), path).ok_or_else(unknown_path)?;
    request.extensions_mut().insert(call.clone());
    let method = request.method().clone();
    let routed = resources.clone().oneshot(request).await;
    let response = routed.unwrap_or_else(|never| match never {});
    if let Some(error) = response.extensions().get() {
        recording::refused(&call.api, &call.principal, &method, &call.path, error);
    }
    Ok(match response.status() {
        StatusCode::NOT_FOUND if response.extensions().get::<GraphError>().is_none() => {
            unknown_path().into_response()
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
