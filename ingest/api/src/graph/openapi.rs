//! The OpenAPI 3.1 document of the API, from its operations. docs/reference/openapi.json is this document.
//!
//! Served at `/openapi.json` without a token: it has nothing of a tenant. Made once. A schema of a request says what is
//! accepted as it is written; what is also accepted, as other cases of names, is in the description of the document.

mod parameters;
mod types;

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use self::types::Components;
use super::operation::{Content, Operation, QueryOption};

/// Whether a request asks for the document.
pub(super) fn is_of(request: &Request<Body>) -> bool {
    request.uri().path() == "/openapi.json"
        && [Method::GET, Method::HEAD].contains(request.method())
}

/// Answers with the document.
pub(super) fn answer(document: &Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], document.clone()).into_response()
}

/// How the API reads requests beyond what the schemas say.
const DESCRIPTION: &str = "\
The operators' API of Muster, in the shape of Microsoft Graph. Segments of paths ignore case, and a key is `/x/{id}` or \
`/x('{id}')`. Names of query options ignore case and may lack their `$`. Names of properties in options, and names of \
members of enums in requests, ignore case. Documents that were read can be sent back: what the server computes and all \
annotations except `@odata.type` and `*@odata.bind` are ignored. Rules that Muster does not evaluate are refused, unless \
the request has `Prefer: handling=lenient`. Both versions have the same operations.";

/// The errors, by their statuses: the names of their responses, and what they say.
const FAILURES: &[(u16, &str, &str)] = &[
    (
        400,
        "badRequest",
        "The request is malformed, or its document has faults, which `details` lists.",
    ),
    (
        401,
        "unauthenticated",
        "The access token is missing, unknown, expired or revoked.",
    ),
    (
        403,
        "forbidden",
        "The role of the caller does not allow the action.",
    ),
    (
        404,
        "notFound",
        "The object does not exist, or the caller may not know that it does.",
    ),
    (
        409,
        "conflict",
        "The state of the object does not allow this, or a limit is reached.",
    ),
    (
        410,
        "gone",
        "The token of the page or of the delta query is too old: start again.",
    ),
    (
        412,
        "preconditionFailed",
        "The object has changed: its ETag is not that of If-Match.",
    ),
    (413, "tooLarge", "The body is too large."),
    (415, "unsupportedMediaType", "The body is not JSON."),
    (
        429,
        "tooManyRequests",
        "The caller has too many requests in progress.",
    ),
    (503, "unavailable", "The server cannot answer now."),
];

/// The document.
pub(super) fn document(operations: &[Operation]) -> Value {
    let mut components = Components::default();
    let mut paths: Map<String, Value> = Map::new();
    // Paths are sorted, so that an operation changes the document where it belongs.
    let mut by_path: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        by_path.entry(&operation.path).or_default().push(operation);
    }
    for (path, operations) in by_path {
        let mut item = Map::new();
        for operation in operations {
            item.insert(
                operation.method.to_owned(),
                shown(operation, &mut components),
            );
        }
        paths.insert(path.to_owned(), item.into());
    }
    let failures = FAILURES
        .iter()
        .map(|(status, name, text)| ((*name).to_owned(), failure(*status, text)));
    let failures: Map<String, Value> = failures.collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Muster",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/v1.0" }, { "url": "/beta" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "parameters": parameters::shared(),
            "headers": headers(),
            "responses": failures,
            "schemas": components.finish(),
        },
    })
}

fn headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "request-id": text("The id of the request, which is also in errors."),
        "ETag": {
            "description": "The version of the object, for If-Match.",
            "schema": { "type": "string", "pattern": "^\"[0-9]+\"$" },
        },
        "Location": {
            "description": "The URL of the new object.",
            "schema": { "type": "string", "format": "uri" },
        },
        "Retry-After": {
            "description": "Seconds after which to retry.",
            "schema": { "type": "integer", "minimum": 1 },
        },
        "WWW-Authenticate": text("`Bearer`."),
    })
}

fn headers_of(names: &[&str]) -> Value {
    let header = |name: &&str| {
        (
            (*name).to_owned(),
            json!({ "$ref": format!("#/components/headers/{name}") }),
        )
    };
    names.iter().map(header).collect::<Map<_, _>>().into()
}

fn failure(status: u16, description: &str) -> Value {
    let mut names = vec!["request-id"];
    match status {
        401 => names.push("WWW-Authenticate"),
        429 | 503 => names.push("Retry-After"),
        _ => (),
    }
    json!({
        "description": description,
        "headers": headers_of(&names),
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/error" } } },
    })
}

fn shown(operation: &Operation, components: &mut Components) -> Value {
    let mut shown = json!({
        "operationId": id_of(operation),
        "summary": operation.summary,
        "tags": [tag_of(&operation.path)],
    });
    if !operation.actions.is_empty() {
        let names = operation
            .actions
            .iter()
            .map(|action| format!("`Microsoft.Intune_{}`", action.name()));
        let names: Vec<_> = names.collect();
        shown["description"] = format!("Needs {}.", names.join(" and ")).into();
    }
    let parameters = parameters::of(operation);
    if !parameters.is_empty() {
        shown["parameters"] = parameters.into();
    }
    if let Some(sent) = &operation.sent {
        let schema = components.sent(sent);
        shown["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    let mut responses = Map::new();
    responses.insert(operation.status.to_string(), success(operation, components));
    for status in operation.all_failures() {
        if let Some((_, name, _)) = FAILURES.iter().find(|(known, ..)| *known == status) {
            let response = json!({ "$ref": format!("#/components/responses/{name}") });
            responses.insert(status.to_string(), response);
        }
    }
    shown["responses"] = responses.into();
    shown
}

fn success(operation: &Operation, components: &mut Components) -> Value {
    let mut names = vec!["request-id"];
    if operation.has_etag {
        names.push("ETag");
    }
    if operation.has_location {
        names.push("Location");
    }
    let (description, content) = match operation.content {
        Content::Nothing => ("Done.", None),
        Content::Bytes => (
            "The document, as bytes.",
            Some(("application/octet-stream", json!({}))),
        ),
        Content::Number => {
            let schema = json!({ "type": "string", "pattern": "^[0-9]+$" });
            ("The number.", Some(("text/plain", schema)))
        }
        Content::One(shown) => (
            "The document.",
            Some(("application/json", components.one(&shown))),
        ),
        Content::Page(shown) => {
            let has_delta = operation.options.contains(&QueryOption::DeltaToken);
            let page = components.page(&shown, operation.options, has_delta);
            ("A page of documents.", Some(("application/json", page)))
        }
    };
    let mut response = json!({ "description": description, "headers": headers_of(&names) });
    if let Some((media_type, schema)) = content {
        response["content"] = json!({ media_type: { "schema": schema } });
    }
    response
}

/// The id of an operation: its method and the words of its path.
fn id_of(operation: &Operation) -> String {
    let mut id = operation.method.to_owned();
    for segment in operation.path.split('/') {
        let bare = segment.trim_matches(['{', '}', '$']);
        if segment.starts_with('{') {
            id.push_str("By");
        }
        let mut letters = bare.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}

/// The collection that a path is below.
fn tag_of(path: &str) -> &str {
    let mut segments = path.split('/').skip(1);
    let first = segments.next().unwrap_or_default();
    segments
        .find(|segment| !segment.starts_with(['{', '$']))
        .filter(|_| first != "groups")
        .unwrap_or(first)
}
