//! Refuses the query parameters that a route does not take, so that a misspelt one never answers for everybody.

use axum::extract::{Query, Request};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::MethodRouter;

use crate::error::ApiError;

/// The handler, for requests that have no other query parameters than `known`.
pub(super) fn only<S>(known: &'static [&'static str], handler: MethodRouter<S>) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let check = move |request: Request, next: Next| async move {
        match unknown(known, &request) {
            None => next.run(request).await,
            Some(refused) => refused.into_response(),
        }
    };
    // Another method is refused as such.
    handler.route_layer(from_fn(check))
}

fn unknown(known: &[&str], request: &Request) -> Option<ApiError> {
    let Query(found) = match Query::<Vec<(String, String)>>::try_from_uri(request.uri()) {
        Ok(found) => found,
        Err(error) => return Some(ApiError::BadRequest(error.body_text())),
    };
    let (name, _) = found
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))?;
    let takes = match known {
        [] => "this route takes none".to_owned(),
        known => format!("this route takes {}", known.join(", ")),
    };
    Some(ApiError::BadRequest(format!(
        "the parameter {name:?} is not known: {takes}"
    )))
}
