//! A client of the operators' API: one HTTPS connection that is kept open, one request at a time.
//!
//! Owner: one task of the bench. Bounded by [`TIMEOUT`] for each request, and by the responses of the server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longer than any request of a run should take: a server that hangs ends the run.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Where the API is, and how a client is let in.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// `HOST:PORT`
    pub(super) authority: String,
    pub(super) token: String,
    pub(super) tls: Arc<ClientConfig>,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

impl Target {
    /// The API at this base URL, whose certificate the authority in a file has signed.
    pub(super) fn new(base: &str, token: String, authority: &Path) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let base = base
            .strip_prefix("https://")
            .context("the API is served with HTTPS")?;
        let authority = base.split('/').next().unwrap_or_default();
        Ok(Self {
            authority: authority.to_owned(),
            token,
            tls: Arc::new(tls),
        })
    }

    pub(super) async fn connect(&self) -> anyhow::Result<Connection> {
        let socket = TcpStream::connect(&self.authority).await?;
        socket.set_nodelay(true)?;
        let host = self.authority.rsplit_once(':').map_or("", |(host, _)| host);
        let name = ServerName::try_from(host.to_owned())?;
        let tls = TlsConnector::from(Arc::clone(&self.tls));
        let (sender, connection) =
            http1::handshake(TokioIo::new(tls.connect(name, socket).await?)).await?;
        // It ends with the sender, or with an error that the next request reports.
        tokio::spawn(connection);
        Ok(Connection {
            target: self.clone(),
            sender,
        })
    }
}

impl Connection {
    /// The body of a `GET` that succeeds. Spaces in the path are escaped.
    pub(super) async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        self.send("GET", path, None).await
    }

    /// The document in the response of a request that succeeds; null if it has none.
    pub(super) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let body = self.send(method, path, body).await?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(path.replace(' ', "%20"))
            .header(HOST, &self.target.authority)
            .header(AUTHORIZATION, format!("Bearer {}", self.target.token))
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Full::default, |body| Full::from(body.to_string())))?;
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        };
        let answered = timeout(TIMEOUT, exchange).await;
        let (status, body) = answered.with_context(|| format!("{method} {path}: no answer"))??;
        ensure!(
            status.is_success(),
            "{method} {path}: {status}: {}",
            String::from_utf8_lossy(&body[..body.len().min(500)])
        );
        Ok(body)
    }
}
