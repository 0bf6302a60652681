//! A client of the operators' API: HTTPS with a token, in the shape of Microsoft Graph.
//!
//! Blocking. Owner: the thread of the command. Bounded: connecting, waiting for a response and each read in time, a
//! response in size, and retries in number and time. Proxy variables of the environment are ignored. It follows no
//! redirect, and of a link only the path, so a token reaches the server of its context only.

mod error;
mod tls;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, RETRY_AFTER};
use ureq::http::{Method, Request, Response};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, TcpConnector};
use ureq::{Agent, Body};

pub use self::error::ApiError;
use self::tls::TlsConnector;

/// Timeout of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of the head of a response: the deadline of the server, and some more.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(75);

/// Timeout of a read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum size of a document or a page of a list.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// How often a request is sent again.
const RETRIES_MAX: u32 = 5;

/// A wait that the server asks for and that is longer is not waited.
const RETRY_SECONDS_MAX: u64 = 30;

/// A client of one server.
pub(crate) struct ApiClient {
    agent: Agent,
    /// `https://HOST:PORT`.
    server: String,
    authorization: String,
}

/// A response.
pub(crate) struct Reply {
    /// The document; null if there is none.
    pub(crate) value: Value,
    /// The revision of the object.
    pub(crate) etag: Option<String>,
}

/// What a request has besides method, path and body.
pub(crate) type Headers<'a> = &'a [(&'static str, &'a str)];

impl ApiClient {
    /// A client of `server`, `https://HOST:PORT`, which must have a certificate of the authority in the file.
    pub(crate) fn new(server: &str, authority: &Path, token: &str) -> Result<Self, ApiError> {
        let tls = TlsConnector(tls::config(authority)?);
        let config = Agent::config_builder()
            .proxy(None)
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(RESPONSE_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .timeout_per_write(Some(READ_TIMEOUT))
            .build();
        let connector = TcpConnector::default().chain(tls);
        Ok(Self {
            agent: Agent::with_parts(config, connector, DefaultResolver::default()),
            server: server.to_owned(),
            authorization: format!("Bearer {token}"),
        })
    }

    /// Reads a document. A path begins with the version, and is percent-encoded.
    pub(crate) fn get(&self, path: &str) -> Result<Reply, ApiError> {
        self.send(Method::GET, path, None, &[])
    }

    /// Creates an object, or does an action.
    pub(crate) fn post(
        &self,
        path: &str,
        body: &Value,
        headers: Headers<'_>,
    ) -> Result<Reply, ApiError> {
        self.send(Method::POST, path, Some(body), headers)
    }

    /// Changes an object.
    pub(crate) fn patch(
        &self,
        path: &str,
        body: &Value,
        headers: Headers<'_>,
    ) -> Result<Reply, ApiError> {
        self.send(Method::PATCH, path, Some(body), headers)
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.send(Method::DELETE, path, None, &[]).map(drop)
    }

    /// The pages of a list, one request each.
    pub(crate) fn pages(&self, path: String) -> Pages<'_> {
        Pages {
            client: self,
            next: Some(path),
        }
    }

    /// The file behind a link, which is its own permission: it is sent without the token.
    pub(crate) fn download(&self, link: &str) -> Result<impl Read + use<>, ApiError> {
        let path = self.path_of(link)?;
        let response = self.exchange(&Method::GET, &path, None, None)?;
        if response.status() != 200 {
            return Err(self.refused(response));
        }
        let body = response.into_body().into_with_config();
        Ok(body.limit(u64::MAX).reader())
    }

    /// The error for a response that is not of the expected form.
    pub(crate) fn unexpected(&self, problem: impl Into<String>) -> ApiError {
        ApiError::Response {
            server: self.server.clone(),
            problem: problem.into(),
        }
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: Headers<'_>,
    ) -> Result<Reply, ApiError> {
        let text = body.map(Value::to_string);
        for _ in 0..RETRIES_MAX {
            let response = self.exchange(&method, path, text.as_deref(), Some(headers))?;
            match retry_after(&method, &response) {
                // Nothing wakes this thread earlier, and waking early would only retry early.
                Some(wait) => std::thread::park_timeout(wait),
                None => return self.reply(response),
            }
        }
        let response = self.exchange(&method, path, text.as_deref(), Some(headers))?;
        self.reply(response)
    }

    /// Sends a request once. `headers` is `None` for one without the token.
    fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Option<&str>,
        headers: Option<Headers<'_>>,
    ) -> Result<Response<Body>, ApiError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server));
        if let Some(headers) = headers {
            request = request.header(AUTHORIZATION, &self.authorization);
            request = request.header(ACCEPT, "application/json");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
        }
        let invalid = |error: ureq::http::Error| self.unexpected(format!("bad request: {error}"));
        let sent = match body {
            Some(body) => {
                let request = request.header(CONTENT_TYPE, "application/json");
                self.agent.run(request.body(body).map_err(invalid)?)
            }
            None => self.agent.run(request.body(()).map_err(invalid)?),
        };
        sent.map_err(|error| self.failed(error))
    }

    fn reply(&self, response: Response<Body>) -> Result<Reply, ApiError> {
        if !response.status().is_success() {
            return Err(self.refused(response));
        }
        let etag = response.headers().get(ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let text = self.text(response)?;
        let value = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text)
                .map_err(|error| self.unexpected(format!("no JSON: {error}")))?,
        };
        Ok(Reply { value, etag })
    }

    fn refused(&self, response: Response<Body>) -> ApiError {
        let status = response.status().as_u16();
        let text = match self.text(response) {
            Ok(text) => text,
            Err(error) => return error,
        };
        let refusal = error::refusal(&self.server, status, &text);
        refusal.unwrap_or_else(|| self.unexpected(format!("status {status} without an error")))
    }

    fn text(&self, mut response: Response<Body>) -> Result<String, ApiError> {
        let body = response.body_mut().with_config();
        let text = body.limit(ANSWER_BYTES_MAX).read_to_string();
        text.map_err(|error| self.failed(error))
    }

    /// The path of a link in a response. Its host is a name of the server, perhaps not the one of the context.
    fn path_of(&self, link: &str) -> Result<String, ApiError> {
        let path = link
            .strip_prefix("https://")
            .and_then(|rest| rest.find('/').map(|slash| rest[slash..].to_owned()));
        path.ok_or_else(|| self.unexpected("a link is not a URL"))
    }

    fn failed(&self, error: ureq::Error) -> ApiError {
        let server = self.server.clone();
        let problem = match &error {
            ureq::Error::Io(error) => {
                let inner = error.get_ref();
                let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
                if let Some(rustls::Error::InvalidCertificate(problem)) = tls {
                    let problem = certificate(problem);
                    return ApiError::Certificate { server, problem };
                }
                match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                    _ => error.to_string(),
                }
            }
            other => other.to_string(),
        };
        ApiError::Unreachable { server, problem }
    }
}

/// What is wrong with the certificate of a server, and what to do.
fn certificate(error: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    match error {
        E::UnknownIssuer | E::BadSignature => {
            "another authority issued it; the context must have the one of this server (--ca)"
                .to_owned()
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => format!(
            "{error}; the server of the context must have a name of the certificate (--server)"
        ),
        E::Expired | E::ExpiredContext { .. } => {
            "it has expired; issue another one, or correct the clock of this machine".to_owned()
        }
        other => other.to_string(),
    }
}

/// How long to wait before the request is sent again; `None` if it must not be.
///
/// A request that was refused with 429 was not begun. One that was answered with 503 may have been, so only reading is
/// repeated.
fn retry_after(method: &Method, response: &Response<Body>) -> Option<Duration> {
    match response.status().as_u16() {
        429 => (),
        503 if method == Method::GET => (),
        _ => return None,
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = seconds.parse().ok().filter(|it| *it <= RETRY_SECONDS_MAX)?;
    Some(Duration::from_secs(seconds))
}

/// The pages of a list.
pub(crate) struct Pages<'a> {
    client: &'a ApiClient,
    next: Option<String>,
}

impl Pages<'_> {
    fn page(&mut self, path: &str) -> Result<Vec<Value>, ApiError> {
        let mut page = self.client.get(path)?.value;
        if let Some(link) = page.get("@odata.nextLink").and_then(Value::as_str) {
            let next = self.client.path_of(link)?;
            if next == path {
                return Err(self.client.unexpected("a page links to itself"));
            }
            self.next = Some(next);
        }
        match page.get_mut("value").map(Value::take) {
            Some(Value::Array(rows)) => Ok(rows),
            _ => Err(self.client.unexpected("\"value\" is missing")),
        }
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Vec<Value>, ApiError>;

    fn next(&mut self) -> Option<Self::Item> {
        let path = self.next.take()?;
        Some(self.page(&path))
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;
    use ureq::Body;
    use ureq::http::{Method, Response};

    use super::{certificate, retry_after};

    #[test]
    fn a_certificate_that_is_refused_says_what_to_change() {
        for (error, advice) in [
            (CertificateError::UnknownIssuer, "--ca"),
            (CertificateError::NotValidForName, "--server"),
            (CertificateError::Expired, "issue another one"),
        ] {
            let text = certificate(&error);
            assert!(text.contains(advice), "{text}");
        }
    }

    #[test]
    fn only_what_was_not_begun_or_only_reads_is_sent_again() {
        let wait = |method: Method, status: u16, after: &str| {
            let response = Response::builder().status(status);
            let response = response.header("Retry-After", after);
            let response = response.body(Body::builder().data("")).unwrap();
            retry_after(&method, &response).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(Method::GET, 503, "1"), Some(1));
        assert_eq!(wait(Method::POST, 429, "30"), Some(30));
        assert_eq!(wait(Method::POST, 503, "1"), None);
        assert_eq!(wait(Method::GET, 429, "31"), None);
        assert_eq!(wait(Method::GET, 503, "soon"), None);
        assert_eq!(wait(Method::GET, 500, "1"), None);
    }
}
