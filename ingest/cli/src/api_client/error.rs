//! Why a request to the operators' API failed: one line each, which says what to do.

use serde_json::Value;

use crate::printable::printable;

/// Details of a refusal that its line shows.
const DETAILS_MAX: usize = 20;

/// Why a request to the operators' API failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The file with the authority of a context cannot be used. The operator names another one.
    #[error("cannot use the certificates in {file}: {problem}")]
    Authority {
        /// The file.
        file: String,
        /// The cause.
        problem: String,
    },
    /// The certificate of the server is refused. The operator corrects the context.
    #[error("the certificate of {server} is refused: {problem}")]
    Certificate {
        /// The URL of the server.
        server: String,
        /// The cause, and what to do.
        problem: String,
    },
    /// No server responds. The operator names the right address, or starts the server.
    #[error(
        "cannot reach a server at {server}: {problem}; the server of a context must be the api.address of its \
         configuration"
    )]
    Unreachable {
        /// The URL of the server.
        server: String,
        /// The cause.
        problem: String,
    },
    /// The server responded with an error.
    #[error("{server} answered {status} {code}: {message}{advice} (request-id {request_id})", advice = advice(*.status))]
    Refused {
        /// The URL of the server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The code, for scripts.
        code: String,
        /// What is wrong, with all details.
        message: String,
        /// The id of the request, which is in the log of the server.
        request_id: String,
    },
    /// The response cannot be read: another program listens there.
    #[error(
        "{server} sent an unexpected response: {problem}; the server of a context must be the api.address of a server \
         of this version"
    )]
    Response {
        /// The URL of the server.
        server: String,
        /// The cause.
        problem: String,
    },
}

/// What an operator can do about a status, if the message of the server cannot know it.
const fn advice(status: u16) -> &'static str {
    match status {
        401 => " Give the context another token with `muster context add`.",
        412 => " Somebody else has changed the object meanwhile: repeat the command.",
        _ => "",
    }
}

/// The refusal in a response that has the form of Graph; `None` if it has not.
pub(super) fn refusal(server: &str, status: u16, text: &str) -> Option<ApiError> {
    let body: Value = serde_json::from_str(text).ok()?;
    let error = body.get("error")?;
    let of = |value: &Value, name: &str| value.get(name)?.as_str().map(printable);
    let message = of(error, "message")?;
    let details = error.get("details").and_then(Value::as_array);
    let details: Vec<_> = details
        .into_iter()
        .flatten()
        .filter_map(|detail| of(detail, "message"))
        .collect();
    let id = error
        .get("innerError")
        .and_then(|inner| of(inner, "request-id"));
    Some(ApiError::Refused {
        server: server.to_owned(),
        status,
        code: of(error, "code")?,
        message: with_details(message, &details),
        request_id: id.unwrap_or_else(|| "unknown".to_owned()),
    })
}

/// The message and the details that it does not repeat.
fn with_details(message: String, details: &[String]) -> String {
    let more: Vec<_> = details
        .iter()
        .filter(|detail| **detail != message)
        .collect();
    let mut text = message;
    for detail in more.iter().take(DETAILS_MAX) {
        text.push_str("; ");
        text.push_str(detail);
    }
    if more.len() > DETAILS_MAX {
        text.push_str(&format!("; and {} more", more.len() - DETAILS_MAX));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn a_refusal_is_one_line_with_code_message_details_and_request_id() {
        let body = r#"{"error": {"code": "BadRequest", "message": "a: wrong", "details": [
            {"code": "invalid", "target": "a", "message": "a: wrong"},
            {"code": "unknown", "target": "b", "message": "b: unknown\n"}],
            "innerError": {"request-id": "7c1b"}}}"#;
        let error = refusal("https://a:1", 400, body).unwrap();
        assert_eq!(
            error.to_string(),
            "https://a:1 answered 400 BadRequest: a: wrong; b: unknown  (request-id 7c1b)"
        );
        for other in ["", "{}", r#"{"code": "x", "message": "y"}"#, "<html>"] {
            assert!(refusal("https://a:1", 502, other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_token_that_is_refused_says_what_to_do() {
        let body =
            r#"{"error": {"code": "InvalidAuthenticationToken", "message": "It is expired."}}"#;
        let line = refusal("https://a:1", 401, body).unwrap().to_string();
        assert!(
            line.contains("It is expired. Give the context another token"),
            "{line}"
        );
    }
}
