//! The body of a request: JSON, bounded.

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http_body_util::LengthLimitError;
use muster_control::{Precondition, Properties};
use serde_json::Value;

use super::error::GraphError;

/// Maximum size of a body: a batch of 20 documents, or a list of 1,000 members.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Values of a body: a batch of 20 lists of 1,000 members. Without a limit, a body of commas would take a hundred times
/// its size in memory. Their depth is limited by the parser, to 128.
const VALUES_MAX: usize = 25_000;

/// Reads a body that must be JSON.
pub(super) async fn json(headers: &HeaderMap, body: Body) -> Result<Value, GraphError> {
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or_default().to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind != "application/json" && !kind.ends_with("+json") {
            return Err(GraphError::media_type());
        }
    }
    // A length that is too large is not read.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(GraphError::too_large(BODY_BYTES_MAX));
    }
    let bytes = to_bytes(body, BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| {
        // Otherwise its chunks are malformed, or the client has disconnected.
        if error.into_inner().is::<LengthLimitError>() {
            GraphError::too_large(BODY_BYTES_MAX)
        } else {
            GraphError::bad_request("The request body is incomplete.")
        }
    })?;
    // Scripts on Windows write a byte order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if values_at_most(text) > VALUES_MAX {
        let message = format!("The request body has more than {VALUES_MAX} values.");
        return Err(GraphError::bad_request(message));
    }
    let parsed = serde_json::from_slice(text);
    parsed
        .map_err(|error| GraphError::bad_request(format!("The request body is not JSON: {error}.")))
}

/// No JSON text has more values than this, which counts what begins or separates them, outside of strings.
fn values_at_most(text: &[u8]) -> usize {
    let (mut values, mut is_string, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_string => is_escaped = true,
            b'"' => is_string = !is_string,
            b',' | b'[' | b'{' if !is_string => values += 1,
            _ => (),
        }
    }
    values
}

/// Reads a body that must be a JSON object.
pub(super) async fn object(headers: &HeaderMap, body: Body) -> Result<Properties, GraphError> {
    match json(headers, body).await? {
        Value::Object(properties) => Ok(properties),
        _ => Err(GraphError::bad_request(
            "The request body must be a JSON object.",
        )),
    }
}

/// The header `If-Match`: one ETag, or `*`. Without it the last writer wins.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, GraphError> {
    if headers.contains_key(IF_NONE_MATCH) {
        let message = "If-None-Match is not supported for changes; use If-Match.";
        return Err(GraphError::bad_request(message));
    }
    let mut found = headers.get_all(IF_MATCH).iter();
    let (Some(value), further) = (found.next(), found.next()) else {
        return Ok(Precondition::Nothing);
    };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    match (text, further) {
        ("*", None) => Ok(Precondition::Exists),
        (text, None) if let Ok(etag) = text.parse() => Ok(Precondition::Is(etag)),
        _ => {
            let message = "If-Match must be * or one ETag of a response, with its quotes.";
            Err(GraphError::bad_request(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: String) -> Result<Value, u16> {
        let read = json(&HeaderMap::new(), Body::from(text)).await;
        read.map_err(|error| error.status.as_u16())
    }

    #[tokio::test]
    async fn a_body_has_bounded_values_depth_and_size() {
        let list = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let quoted = |text: &str| format!("\"{}\"", text.repeat(VALUES_MAX));
        for (name, text, expected) in [
            ("a list of members", list("\"a,[b\"", 1_000), Ok(())),
            (
                "as many values as allowed",
                list("1", VALUES_MAX - 1),
                Ok(()),
            ),
            ("one more", list("1", VALUES_MAX), Err(400)),
            ("empty objects", list("{}", VALUES_MAX), Err(400)),
            ("lists in lists", list("[[]]", VALUES_MAX / 2), Err(400)),
            (
                "members of an object",
                format!("{{{}}}", vec!["\"\":0"; VALUES_MAX].join(",")),
                Err(400),
            ),
            ("commas without values", ",".repeat(VALUES_MAX), Err(400)),
            ("commas in a string", quoted(","), Ok(())),
            ("a string with escaped quotes", quoted("\\\","), Ok(())),
            (
                "a string that ends in a backslash",
                list("\"\\\\\"", VALUES_MAX),
                Err(400),
            ),
            ("a depth that is allowed", deep(127), Ok(())),
            ("a depth that is not", deep(128), Err(400)),
            (
                "a depth that fills the body",
                deep(BODY_BYTES_MAX / 2),
                Err(400),
            ),
            (
                "a string that fills the body",
                format!("\"{}\"", "a".repeat(BODY_BYTES_MAX - 2)),
                Ok(()),
            ),
            (
                "one byte more",
                format!("\"{}\"", "a".repeat(BODY_BYTES_MAX - 1)),
                Err(413),
            ),
        ] {
            assert_eq!(read(text).await.map(|_| ()), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_body_is_json_of_any_kind_with_or_without_a_byte_order_mark() {
        for (kind, expected) in [
            ("application/json", Ok(())),
            ("APPLICATION/JSON; charset=utf-8", Ok(())),
            ("application/merge-patch+json", Ok(())),
            ("text/plain", Err(415)),
            ("", Err(415)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, kind.parse().unwrap());
            let read = json(&headers, Body::from("\u{feff}{\"a\": 1}")).await;
            let read = read.map(|_| ()).map_err(|error| error.status.as_u16());
            assert_eq!(read, expected, "{kind}");
        }
    }
}
