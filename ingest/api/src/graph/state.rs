//! What the API keeps between requests, and the names by which its clients know it.
//!
//! Shared by all requests. Each part is bounded where it is defined.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::accesses::Accesses;
use super::codes::Codes;
use super::error::GraphError;
use super::failures::Failures;
use super::jobs::Jobs;
use super::names::Names;
use super::permits::Permits;
use crate::backend::Backend;
use crate::odata::TokenKey;
use crate::oidc::Issuers;

/// Requests in progress, each with a body and a page in memory; further ones wait.
pub(super) const REQUESTS_MAX: usize = 32;

/// How long one waits for that.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// Requests that pass over all devices or all events at a time; further ones wait.
const SCANS_MAX: usize = 2;

/// How long one waits for that.
const SCAN_WAIT: Duration = Duration::from_secs(30);

/// Live pages at a time.
const STREAMS_MAX: usize = 64;

/// Downloads at a time: each has a file open.
pub const DOWNLOADS_MAX: usize = 16;

/// Exports of lists at a time.
const EXPORTS_MAX: usize = 4;

/// The names of the server, for links.
#[derive(Clone, Debug)]
pub struct ServerNames {
    /// Host names and addresses in the certificate, in lower case.
    pub own: Vec<String>,
    /// Host and port for clients that use none of them.
    pub default: String,
}

impl ServerNames {
    /// Whether a host, with or without a port, is one of them.
    pub(super) fn are_own(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(rest, |(name, _)| name),
            None => host.rsplit_once(':').map_or(host.as_str(), |(name, port)| {
                if port.bytes().all(|byte| byte.is_ascii_digit()) {
                    name
                } else {
                    &host
                }
            }),
        };
        self.own.iter().any(|own| own == name)
    }
}

/// The state behind the routes.
#[derive(Debug)]
pub(super) struct GraphApi {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) names: ServerNames,
    /// Authenticates the tokens in links.
    pub(super) tokens: TokenKey,
    /// Whose users may use the API.
    pub(super) issuers: Arc<Issuers>,
    pub(super) permits: Permits,
    /// For requests in progress.
    pub(super) requests: Arc<Semaphore>,
    pub(super) scans: Arc<Semaphore>,
    pub(super) jobs: Jobs,
    /// Devices in the order of their names.
    pub(super) device_names: Names,
    /// Codes that sign in once.
    pub(super) codes: Codes,
    /// Failed sign-ins by address.
    pub(super) failures: Failures,
    /// Which accesses are recorded.
    pub(super) accesses: Accesses,
    /// For pages that are live.
    pub(super) streams: Arc<Semaphore>,
    /// For downloads of files.
    pub(super) downloads: Arc<Semaphore>,
    /// For exports of lists.
    pub(super) exports: Arc<Semaphore>,
}

impl GraphApi {
    /// The state of an API that has had no request.
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        names: ServerNames,
        tokens: TokenKey,
        issuers: Arc<Issuers>,
        name_bytes_max: usize,
    ) -> Self {
        Self {
            backend,
            names,
            tokens,
            issuers,
            permits: Permits::default(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
            jobs: Jobs::default(),
            device_names: Names::new(name_bytes_max),
            codes: Codes::default(),
            failures: Failures::default(),
            accesses: Accesses::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
        }
    }

    /// The permit for a request.
    pub(super) async fn request_permit(&self) -> Result<OwnedSemaphorePermit, GraphError> {
        let permit = Arc::clone(&self.requests).acquire_owned();
        match timeout(REQUEST_WAIT, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(GraphError::unavailable(
                "The server is busy with other requests; retry later.",
            )),
        }
    }

    /// The permit for a pass over all devices or events.
    pub(super) async fn scan_permit(&self) -> Result<OwnedSemaphorePermit, GraphError> {
        let permit = Arc::clone(&self.scans).acquire_owned();
        match timeout(SCAN_WAIT, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(GraphError::unavailable(
                "Other requests read all devices at the moment; retry later.",
            )),
        }
    }
}
