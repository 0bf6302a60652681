//! Asks a running server over its HTTP endpoint for operators.
//!
//! Blocking, without TLS: the endpoint listens on a loopback address only. Answers are bounded in time
//! and size. No proxy is used, whatever the environment says.

use std::io::ErrorKind;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use crate::printable::printable;

/// The server that is asked when none is named.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7441";

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take. A recount reads every device.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a backup may take: the server copies every byte if its backups lie on another file system.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The most bytes of an answer. Counts of a thousand tenants are about one megabyte.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Why a server gave no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// Nothing that speaks HTTP answers there. The operator must act: start the server, or name the right one.
    #[error("no server answers at {server}: {problem}; is `muster serve` running there?")]
    Unreachable {
        /// The server that was asked.
        server: String,
        /// What happened.
        problem: String,
    },
    /// The server answered that it will not, or cannot.
    #[error("{server} answered {status}: {message}")]
    Refused {
        /// The server that was asked.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The answer is not what this version understands.
    #[error("{server} gave an answer that is not understood: {problem}")]
    Answer {
        /// The server that was asked.
        server: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

/// The address of a server's HTTP endpoint: `http://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(String);

impl FromStr for ServerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('/');
        match text.strip_prefix("http://") {
            Some(authority)
                if !authority.is_empty() && !authority.contains(['/', '?', '#', '@', ' ']) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err("it must be like http://127.0.0.1:7441".to_owned()),
        }
    }
}

/// Which server to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgument {
    /// The server's HTTP endpoint for operators (ops.address in its configuration).
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER)]
    pub(crate) server: ServerUrl,
}

/// A connection to a server's HTTP endpoint.
pub(crate) struct OpsClient {
    agent: Agent,
    server: String,
}

/// An answer: the text as it came, and what it says.
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

    /// Asks for `path`, which starts with a slash and is already fit for a URL.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, OpsError> {
        let request = self.agent.get(format!("{}{path}", self.server));
        self.answer(request.call())
    }

    /// Tells the server to do what `path` names.
    pub(crate) fn post(&self, path: &str) -> Result<Answer, OpsError> {
        let request = self.agent.post(format!("{}{path}", self.server));
        self.answer(request.send_empty())
    }

    /// Orders a backup, with a body that is JSON, and waits for as long as one may take.
    pub(crate) fn back_up(&self, body: &Value) -> Result<Answer, OpsError> {
        let request = self.agent.post(format!("{}/backup", self.server));
        let request = request.content_type("application/json");
        let patient = request.config().timeout_global(Some(BACKUP_TIMEOUT));
        let request = patient.build();
        self.answer(request.send(body.to_string()))
    }

    /// The error for an answer that is JSON, but not of the expected shape.
    pub(crate) fn not_understood(&self, problem: &str) -> OpsError {
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
        if status != 200 {
            let told = value
                .ok()
                .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
            let message = told.unwrap_or_else(|| text.chars().take(200).collect());
            return Err(OpsError::Refused {
                server: self.server.clone(),
                status,
                message: printable(&message),
            });
        }
        let value = value.map_err(|error| self.not_understood(&error.to_string()))?;
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
    fn a_server_is_named_by_scheme_host_and_port_only() {
        let parsed: ServerUrl = "http://127.0.0.1:7441/".parse().unwrap();
        assert_eq!(parsed, ServerUrl("http://127.0.0.1:7441".to_owned()));
        for text in [
            "",
            "127.0.0.1:7441",
            "https://127.0.0.1",
            "http://",
            "http://a/b",
            "http://u@h",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
    }
}
