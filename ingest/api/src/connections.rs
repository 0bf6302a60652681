//! Who may have a connection to the endpoint: nobody keeps a probe out, be it by saying nothing or by asking much.
//!
//! A connection is silent until the head of its request is complete. When all are taken, the one that has been silent
//! for longest is closed for the next. A request takes a permit of its kind once its head is complete, and is answered
//! `busy` if there is none; `/live` and `/ready` need none, as their answer always fits into the buffer of the socket.
//! So there is always a connection that is silent or about to end. Owned by the accept loop and its tasks; what is
//! closed or refused is counted, and logged once a minute.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt;

use crate::error::ApiError;
use crate::once_per_cause::{OncePerCause, monotonic_ms};

/// Connections at a time: people, scripts and scrapers, not devices. Each costs a descriptor and at most 16 KiB.
pub const CONNECTIONS_MAX: usize = 128;

/// Scrapes under way, beside other requests: what is slow for those is what a scrape is to show.
const SCRAPES_MAX: usize = 8;

/// Other requests under way. The rest of the connections is left for those that are silent, and for probes.
const REQUESTS_MAX: usize = 88;

/// Causes in the log: those named below, by the text of an error.
const LOGGED_CAUSES_MAX: usize = 16;

/// What happened to connections since the start.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Silent connections closed to make room for another.
    pub displaced: AtomicU64,
    /// Requests answered with `busy`.
    pub refused: AtomicU64,
    /// Failed accepts.
    pub failed: AtomicU64,
}

/// All connections.
#[derive(Debug)]
pub(super) struct Connections {
    open: Arc<Semaphore>,
    scrapes: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    /// The silent ones by number, which is by age, each with what closes it.
    silent: Mutex<BTreeMap<u64, Arc<Notify>>>,
    next: AtomicU64,
    counters: Arc<ConnectionCounters>,
    log: OncePerCause<String>,
}

impl Connections {
    pub(super) fn new(counters: Arc<ConnectionCounters>) -> Self {
        Self {
            open: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            silent: Mutex::default(),
            next: AtomicU64::new(0),
            counters,
            log: OncePerCause::new(LOGGED_CAUSES_MAX),
        }
    }

    /// One more connection, once there is room. If all are taken, the one that has been silent for longest is closed.
    pub(super) async fn admit(self: &Arc<Self>) -> Connection {
        if self.open.available_permits() == 0 {
            self.displace();
        }
        let permit = Arc::clone(&self.open).acquire_owned().await;
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let close = Arc::<Notify>::default();
        self.silent().insert(number, Arc::clone(&close));
        Connection {
            connections: Arc::clone(self),
            number,
            close,
            answered: Notify::new(),
            under_way: OnceLock::new(),
            _open: permit.expect("the semaphore is never closed"),
        }
    }

    fn displace(&self) {
        let Some((_, close)) = self.silent().pop_first() else {
            return;
        };
        close.notify_one();
        self.counters.displaced.fetch_add(1, Ordering::Relaxed);
        self.log("all connections taken, the longest silent one closed for the next");
    }

    /// Takes note of an accept that failed.
    pub(super) fn failed(&self, error: &std::io::Error) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.log(&error.to_string());
    }

    fn log(&self, cause: &str) {
        if let Some(suppressed) = self.log.permit(cause.to_owned(), monotonic_ms()) {
            tracing::warn!(cause, suppressed, "connections of operators");
        }
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Notify>>> {
        // It is whole after each statement, so also after a panic.
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The permits that a request for this path needs one of, and how many there are.
    fn permits_for(&self, path: &str) -> Option<(&Arc<Semaphore>, usize)> {
        match path {
            "/live" | "/ready" => None,
            "/metrics" => Some((&self.scrapes, SCRAPES_MAX)),
            _ => Some((&self.requests, REQUESTS_MAX)),
        }
    }
}

/// One connection; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    connections: Arc<Connections>,
    number: u64,
    close: Arc<Notify>,
    answered: Notify,
    under_way: OnceLock<OwnedSemaphorePermit>,
    _open: OwnedSemaphorePermit,
}

impl Connection {
    /// Answers the request of this connection.
    pub(super) async fn answer(
        &self,
        router: Router,
        request: Request<Incoming>,
    ) -> Result<Response, Infallible> {
        self.connections.silent().remove(&self.number);
        let response = match self.begin(request.uri().path()) {
            Ok(()) => router.oneshot(request).await?,
            Err(busy) => busy.into_response(),
        };
        self.answered.notify_one();
        Ok(response)
    }

    fn begin(&self, path: &str) -> Result<(), ApiError> {
        let Some((permits, max)) = self.connections.permits_for(path) else {
            return Ok(());
        };
        let Ok(permit) = Arc::clone(permits).try_acquire_owned() else {
            self.connections
                .counters
                .refused
                .fetch_add(1, Ordering::Relaxed);
            return Err(ApiError::TooManyRequests { max });
        };
        // A connection is for one request, so it is empty.
        let _ = self.under_way.set(permit);
        Ok(())
    }

    /// Resolves once the request has its answer.
    pub(super) async fn answered(&self) {
        self.answered.notified().await;
    }

    /// Resolves once this connection has to make room for another.
    pub(super) async fn displaced(&self) {
        self.close.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.silent().remove(&self.number);
    }
}
