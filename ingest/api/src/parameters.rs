//! Refuses unknown query parameters, so that a misspelt filter is not silently ignored.

use axum::extract::{Query, Request};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::MethodRouter;

use crate::error::ApiError;

/// The handler, restricted to requests whose query parameters are all `known`.
pub(super) fn allow_only<S>(
    known: &'static [&'static str],
    handler: MethodRouter<S>,
) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let check = move |request: Request, next: Next| async move {
        match unknown(known, &request) {
            None => next.run(request).await,
            Some(error) => error.into_response(),
        }
    };
    // A route layer runs for matching methods only, so a wrong method is refused as such.
    handler.route_layer(from_fn(check))
}

fn unknown(known: &[&str], request: &Request) -> Option<ApiError> {
    let Query(parameters) = match Query::<Vec<(String, String)>>::try_from_uri(request.uri()) {
        Ok(parameters) => parameters,
        Err(error) => return Some(ApiError::BadRequest(error.body_text())),
    };
    let (name, _) = parameters
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))?;
    let accepted = match known {
        [] => "none".to_owned(),
        known => known.join(", "),
    };
    Some(ApiError::BadRequest(format!(
        "unknown parameter {name:?}; this route accepts {accepted}"
    )))
}
