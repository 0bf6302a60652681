//! A client of the operations endpoint: recount, backup, and the first token of a tenant.
//!
//! Blocking, without TLS: the endpoint listens on a loopback address only. Responses are bounded in time and size.
//! Proxy variables of the environment are ignored.

use std::io::ErrorKind;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use crate::printable::printable;

/// The default server.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7441";

/// Timeout of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of a request. A recount reads every device.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Timeout of a backup: the server copies every byte if the backup directory is on another file system.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum size of a response.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why a request to a server failed.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// No HTTP server responds. The operator names the right address, or starts the server.
    #[error(
        "cannot reach a server at {server}: {problem}; --server must be the ops.address of its configuration"
    )]
    Unreachable {
        /// The URL of the server.
        server: String,
        /// The cause.
        problem: String,
    },
    /// The server responded with an error.
    #[error("{server} answered {status}: {message}")]
    Refused {
        /// The URL of the server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The message of the server.
        message: String,
    },
    /// The response cannot be parsed: another program, or another version of the server, listens there.
    #[error(
        "{server} sent an unexpected response: {problem}; --server must be the ops.address of a server of this version"
    )]
    Answer {
        /// The URL of the server.
        server: String,
        /// The cause.
        problem: String,
    },
}

/// The address of a server's HTTP endpoint, `http://HOST:PORT`; it may be given without the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(String);

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority = text
            .strip_prefix("http://")
            .unwrap_or(text)
            .trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
            return Err("it must be like 127.0.0.1:7441 or http://127.0.0.1:7441".to_owned());
        }
        Ok(Self(format!("http://{authority}")))
    }
}

/// The server of a command.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgument {
    /// The server's operations endpoint (ops.address in its configuration).
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_SERVER)]
    pub(crate) server: ServerUrl,
}

/// A client of one server's HTTP endpoint.
pub(crate) struct OpsClient {
    agent: Agent,
    server: String,
}

/// A response: its text, and the text parsed as JSON.
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) value: Value,
}

impl OpsClient {
    pub(crate) fn new(server: &ServerUrl) -> Self {
        let config = Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(ANSWER_TIMEOUT))
            .build();
        Self {
            agent: config.new_agent(),
            server: server.0.clone(),
        }
    }

    /// Sends a GET request.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, OpsError> {
        let request = self.agent.get(format!("{}{path}", self.server));
        self.answer(request.call())
    }

    /// Sends a POST request without a body.
    pub(crate) fn post(&self, path: &str) -> Result<Answer, OpsError> {
        let request = self.agent.post(format!("{}{path}", self.server));
        self.answer(request.send_empty())
    }

    /// Sends a JSON body.
    pub(crate) fn post_json(&self, path: &str, body: &Value) -> Result<Answer, OpsError> {
        let request = self.agent.post(format!("{}{path}", self.server));
        let request = request.content_type("application/json");
        self.answer(request.send(body.to_string()))
    }

    /// Requests a backup with a JSON body, and waits up to [`BACKUP_TIMEOUT`].
    pub(crate) fn back_up(&self, body: &Value) -> Result<Answer, OpsError> {
        let request = self.agent.post(format!("{}/backup", self.server));
        let request = request.content_type("application/json");
        let config = request.config().timeout_global(Some(BACKUP_TIMEOUT));
        let request = config.build();
        self.answer(request.send(body.to_string()))
    }

    /// The error for a response that is not of the expected form.
    pub(crate) fn unexpected(&self, problem: &str) -> OpsError {
        OpsError::Answer {
            server: self.server.clone(),
            problem: problem.to_owned(),
        }
    }

    fn answer(
        &self,
        response: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, OpsError> {
        let mut response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        let value: Result<Value, _> = serde_json::from_str(&text);
        if !matches!(status, 200 | 201) {
            let message = value
                .ok()
                .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
            let Some(message) = message else {
                return Err(self.unexpected(&format!("status {status} without a message")));
            };
            return Err(OpsError::Refused {
                server: self.server.clone(),
                status,
                message: printable(&message),
            });
        }
        let value = value.map_err(|error| self.unexpected(&error.to_string()))?;
        Ok(Answer { text, value })
    }

    fn unreachable(&self, error: &ureq::Error) -> OpsError {
        let problem = match error {
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
                "connection refused".to_owned()
            }
            other => other.to_string(),
        };
        OpsError::Unreachable {
            server: self.server.clone(),
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ServerUrl;

    #[test]
    fn a_server_is_named_by_host_and_port_with_or_without_a_scheme() {
        for (text, url) in [
            ("http://127.0.0.1:7441/", "http://127.0.0.1:7441"),
            ("127.0.0.1:7441", "http://127.0.0.1:7441"),
            ("localhost:7441", "http://localhost:7441"),
            ("[::1]:7441", "http://[::1]:7441"),
        ] {
            assert_eq!(text.parse(), Ok(ServerUrl(url.to_owned())), "{text}");
        }
        for text in [
            "",
            "https://127.0.0.1",
            "http://",
            "http://a/b",
            "http://u@h",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
    }
}
