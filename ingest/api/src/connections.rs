//! The limits on connections and requests, so that neither silent connections nor slow requests delay a probe.
//!
//! A connection is silent until the head of its request is complete. When all connections are in use, the oldest silent
//! one is evicted to make room. A request acquires a permit of its kind once its head is complete, and is answered with
//! `busy` if none is left; `/live` and `/ready` need none, because their response always fits in the socket buffer.
//! There are fewer permits than connections, so at any time some connection is silent or about to end. Owner: the
//! accept loop and its tasks. Evictions and refusals are counted, and logged once a minute per cause.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::error::ApiError;
use crate::once_per_cause::{OncePerCause, monotonic_ms};

/// Open connections: people, scripts and scrapers, not devices. Each costs a descriptor and at most 16 KiB.
pub const CONNECTIONS_MAX: usize = 128;

/// Scrapes in progress. They have their own limit, because a scrape has to show why other requests are slow.
pub const SCRAPES_MAX: usize = 8;

/// Long responses in progress: those that grow with cells, tenants or sessions. Each holds all its rows in memory, so
/// further requests wait for a permit.
pub const LONG_RESPONSES_MAX: usize = 4;

/// Requests for objects of a tenant in progress; further ones wait for a permit. Each may hold a body and its parsed
/// form, or the objects that it lists.
pub const TENANT_REQUESTS_MAX: usize = 4;

/// Other requests in progress. The remaining connections are for silent ones and for probes.
const REQUESTS_MAX: usize = 88;

/// Causes that the log distinguishes: the eviction of a connection, and each error of `accept`.
const LOGGED_CAUSES_MAX: usize = 16;

/// Counters of connections since the start.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Silent connections closed to make room for another.
    pub evicted: AtomicU64,
    /// Requests answered with `busy`.
    pub refused: AtomicU64,
    /// Failed accepts.
    pub failed: AtomicU64,
}

/// All open connections.
#[derive(Debug)]
pub(super) struct Connections {
    open: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    long_responses: Arc<Semaphore>,
    tenant_requests: Arc<Semaphore>,
    /// How long a request waits for the second permit that some need.
    permit_timeout: Duration,
    /// The silent connections by id, oldest first, each with the signal that closes it.
    silent: Mutex<BTreeMap<u64, Arc<Notify>>>,
    next_id: AtomicU64,
    counters: Arc<ConnectionCounters>,
    log: OncePerCause<String>,
}

impl Connections {
    pub(super) fn new(counters: Arc<ConnectionCounters>, permit_timeout: Duration) -> Self {
        Self {
            open: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            long_responses: Arc::new(Semaphore::new(LONG_RESPONSES_MAX)),
            tenant_requests: Arc::new(Semaphore::new(TENANT_REQUESTS_MAX)),
            permit_timeout,
            silent: Mutex::default(),
            next_id: AtomicU64::new(0),
            counters,
            log: OncePerCause::new(LOGGED_CAUSES_MAX),
        }
    }

    /// Admits one more connection. If all are in use, the oldest silent one is evicted first.
    pub(super) async fn admit(self: &Arc<Self>) -> Connection {
        if self.open.available_permits() == 0 {
            self.evict_oldest();
        }
        let permit = Arc::clone(&self.open).acquire_owned().await;
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let close = Arc::<Notify>::default();
        self.silent().insert(id, Arc::clone(&close));
        Connection {
            connections: Arc::clone(self),
            id,
            close,
            answered: Notify::new(),
            permit: OnceLock::new(),
            second_permit: OnceLock::new(),
            _open: permit.expect("the semaphore is never closed"),
        }
    }

    fn evict_oldest(&self) {
        let Some((_, close)) = self.silent().pop_first() else {
            return;
        };
        close.notify_one();
        self.counters.evicted.fetch_add(1, Ordering::Relaxed);
        self.log("all connections are in use: the oldest without a request was closed");
    }

    /// Counts and logs a failed accept.
    pub(super) fn accept_failed(&self, error: &std::io::Error) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.log(&error.to_string());
    }

    fn log(&self, cause: &str) {
        if let Some(suppressed) = self.log.permit(cause.to_owned(), monotonic_ms()) {
            tracing::warn!(
                cause,
                suppressed,
                "operations endpoint: a connection was closed or not accepted"
            );
        }
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Notify>>> {
        // No statement leaves the map half changed, so it is valid after a panic too.
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The semaphore from which a request for this path needs a permit, and its size.
    fn permits_for(&self, path: &str) -> Option<(&Arc<Semaphore>, usize)> {
        match path {
            "/live" | "/ready" => None,
            "/metrics" => Some((&self.scrapes, SCRAPES_MAX)),
            _ => Some((&self.requests, REQUESTS_MAX)),
        }
    }

    /// The second permits that a request for this path needs one of: because its response grows with cells, tenants or
    /// sessions, or because it is for objects of a tenant.
    fn second_permits_for(&self, path: &str) -> Option<(&Arc<Semaphore>, usize)> {
        match path {
            "/counts" | "/cells" | "/sessions" => Some((&self.long_responses, LONG_RESPONSES_MAX)),
            path if path.starts_with("/tenants") || path == "/auditEvents" => {
                Some((&self.tenant_requests, TENANT_REQUESTS_MAX))
            }
            _ => None,
        }
    }
}

/// An open connection. Dropped once its socket is closed.
#[derive(Debug)]
pub(super) struct Connection {
    connections: Arc<Connections>,
    id: u64,
    close: Arc<Notify>,
    answered: Notify,
    /// The permit of the request.
    permit: OnceLock<OwnedSemaphorePermit>,
    /// The permit of a long response, or of a request for objects.
    second_permit: OnceLock<OwnedSemaphorePermit>,
    _open: OwnedSemaphorePermit,
}

impl Connection {
    /// Answers the request of this connection.
    pub(super) async fn answer(
        &self,
        router: Router,
        request: Request<Incoming>,
    ) -> Result<Response, Infallible> {
        self.connections.silent().remove(&self.id);
        let response = match self.begin(request.uri().path()).await {
            Ok(()) => router.oneshot(request).await?,
            Err(busy) => busy.into_response(),
        };
        self.answered.notify_one();
        Ok(response)
    }

    async fn begin(&self, path: &str) -> Result<(), ApiError> {
        let Some((permits, max)) = self.connections.permits_for(path) else {
            return Ok(());
        };
        let permit = Arc::clone(permits).try_acquire_owned();
        let permit = permit.map_err(|_| self.refuse(max))?;
        // A connection serves one request, so the cell is empty.
        let _ = self.permit.set(permit);
        if let Some((permits, max)) = self.connections.second_permits_for(path) {
            let permit = Arc::clone(permits).acquire_owned();
            let permit = timeout(self.connections.permit_timeout, permit).await;
            let permit = permit.map_err(|_| self.refuse(max))?;
            let permit = permit.expect("the semaphore is never closed");
            let _ = self.second_permit.set(permit);
        }
        Ok(())
    }

    fn refuse(&self, max: usize) -> ApiError {
        let counters = &self.connections.counters;
        counters.refused.fetch_add(1, Ordering::Relaxed);
        ApiError::TooManyRequests { max }
    }

    /// Resolves once the response to the request has been made.
    pub(super) async fn answered(&self) {
        self.answered.notified().await;
    }

    /// Resolves when this connection is evicted.
    pub(super) async fn evicted(&self) {
        self.close.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.silent().remove(&self.id);
    }
}
