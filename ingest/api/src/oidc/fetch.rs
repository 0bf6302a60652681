//! Fetches the keys of an issuer: its discovery document, then the JWK set that this names.
//!
//! Over HTTPS; over plain HTTP only if the issuer is on this machine. Redirects are not followed. Bounded: [`FETCH_MAX`]
//! for both documents, [`DOCUMENT_BYTES_MAX`] for each. Each fetch opens its own connections, which are rare.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use axum::http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::keys::{KeySet, KeySetError};

/// Deadline of a fetch.
pub(super) const FETCH_MAX: Duration = Duration::from_secs(10);

/// Bytes of a document.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// Bytes of a response's head.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// Characters of a URL.
const URL_CHARS_MAX: usize = muster_control::limits::ISSUER_URL_MAX;

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Why the keys of an issuer could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// An address cannot be used.
    #[error("{url}: {problem}")]
    Url { url: String, problem: String },
    /// The server of the issuer cannot be reached, or its certificate is not trusted.
    #[error("cannot connect to {host}: {source}")]
    Connect {
        host: String,
        source: std::io::Error,
    },
    /// The response is not HTTP, or ends early.
    #[error("{url}: {source}")]
    Http { url: String, source: hyper::Error },
    /// The response has another status than 200.
    #[error("{url}: the status is {status}; redirects are not followed")]
    Status { url: String, status: StatusCode },
    /// The body ends early, or is too large.
    #[error("{url}: {source}; a document has at most {DOCUMENT_BYTES_MAX} bytes")]
    Body {
        url: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The discovery document is not one of this issuer.
    #[error(
        "{url}: the issuer in this document is {found}; configure exactly this one if it is right"
    )]
    OtherIssuer { url: String, found: String },
    /// The JWK set is not used.
    #[error("{url}: {source}")]
    Keys { url: String, source: KeySetError },
    /// The deadline passed.
    #[error("the issuer did not answer within {} seconds", FETCH_MAX.as_secs())]
    Deadline,
}

/// What a URL names.
#[derive(Debug)]
struct Place {
    is_https: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    uri: Uri,
}

impl Place {
    fn read(url: &str) -> Result<Self, String> {
        if url.len() > URL_CHARS_MAX {
            return Err(format!("a URL has at most {URL_CHARS_MAX} characters"));
        }
        let uri: Uri = url.parse().map_err(|_| "it is not a URL".to_owned())?;
        let authority = uri.authority().ok_or("it is not a URL with a host")?;
        if authority.as_str().contains('@') || uri.query().is_some() || url.contains('#') {
            return Err("user name, query and fragment are not allowed".to_owned());
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(&host) => false,
            _ => {
                return Err("it must be an https URL; http only with a loopback address".to_owned());
            }
        };
        let default = if is_https { 443 } else { 80 };
        Ok(Self {
            is_https,
            host,
            port: authority.port_u16().unwrap_or(default),
            uri,
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Checks the URL of an issuer.
///
/// # Errors
/// It cannot be the URL of an issuer; the text says why.
pub fn check_issuer(url: &str) -> Result<(), String> {
    Place::read(url).map(drop)
}

/// The keys of an issuer.
pub(super) async fn keys_of(issuer: &str, tls: &Arc<ClientConfig>) -> Result<KeySet, FetchError> {
    let fetched = timeout(FETCH_MAX, fetch(issuer, tls)).await;
    fetched.unwrap_or(Err(FetchError::Deadline))
}

async fn fetch(issuer: &str, tls: &Arc<ClientConfig>) -> Result<KeySet, FetchError> {
    let at = place(issuer)?;
    let url = format!("{}{DISCOVERY}", issuer.trim_end_matches('/'));
    let document = get(&url, tls).await?;
    let document: Value = serde_json::from_slice(&document).unwrap_or_default();
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let found = text("issuer").unwrap_or("missing");
    if found != issuer {
        let found = found.chars().take(URL_CHARS_MAX).collect();
        return Err(FetchError::OtherIssuer { url, found });
    }
    let keys = text("jwks_uri").unwrap_or_default().to_owned();
    // An issuer elsewhere must not lead the server to a port on this machine.
    if at.is_https && !place(&keys)?.is_https {
        let problem = "it must be an https URL".to_owned();
        return Err(FetchError::Url { url: keys, problem });
    }
    let document = get(&keys, tls).await?;
    KeySet::read(&document).map_err(|source| FetchError::Keys { url: keys, source })
}

fn place(url: &str) -> Result<Place, FetchError> {
    Place::read(url).map_err(|problem| FetchError::Url {
        url: url.chars().take(URL_CHARS_MAX).collect(),
        problem,
    })
}

/// A connection, encrypted or not.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

async fn connect(
    place: &Place,
    tls: &Arc<ClientConfig>,
) -> Result<Box<dyn Connection>, std::io::Error> {
    let stream = TcpStream::connect((place.host.as_str(), place.port)).await?;
    if !place.is_https {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(place.host.clone()).map_err(std::io::Error::other)?;
    let connector = TlsConnector::from(Arc::clone(tls));
    Ok(Box::new(connector.connect(name, stream).await?))
}

async fn get(url: &str, tls: &Arc<ClientConfig>) -> Result<Bytes, FetchError> {
    let place = place(url)?;
    let stream = connect(&place, tls).await;
    let stream = stream.map_err(|source| FetchError::Connect {
        host: format!("{}:{}", place.host, place.port),
        source,
    })?;
    let failed = |source| FetchError::Http {
        url: url.to_owned(),
        source,
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let path = place.uri.path_and_query().map_or("/", |path| path.as_str());
    let host = place.uri.authority().map_or("", |host| host.as_str());
    let request = Request::get(path)
        .header(HOST, host)
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .header(USER_AGENT, "muster")
        .body(Empty::<Bytes>::new())
        .map_err(|error| FetchError::Url {
            url: url.to_owned(),
            problem: error.to_string(),
        })?;
    let exchange = async move {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        if status != StatusCode::OK {
            let url = url.to_owned();
            return Err(FetchError::Status { url, status });
        }
        let body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX);
        let body = body.collect().await.map_err(|source| FetchError::Body {
            url: url.to_owned(),
            source,
        })?;
        Ok(body.to_bytes())
    };
    // The connection ends with the exchange, which drops the sender, and an error of it is one of the exchange.
    let (_, answer) = tokio::join!(connection, exchange);
    answer
}

#[cfg(test)]
mod tests;
