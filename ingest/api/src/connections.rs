//! The limits of connections and requests: neither silent connections nor slow requests keep a probe waiting.
//!
//! A connection is silent until the head of its request is complete. When all connections are in use, the oldest silent
//! one is closed for the next. A request takes a permit of its kind once its head is complete, and is answered with
//! `busy` if there is none; `/live` and `/ready` need none, since their answer always fits into the socket's buffer. The
//! permits are fewer than the connections, so there is always a connection that is silent or about to end. Owned by the
//! accept loop and its tasks. What is closed or refused is counted; the log gets a line a minute per cause.

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

/// Connections at a time: people, scripts and scrapers, not devices. Each costs a descriptor and at most 16 KiB.
pub const CONNECTIONS_MAX: usize = 128;

/// Scrapes in progress. Apart from other requests: a scrape has to show why those are slow.
pub const SCRAPES_MAX: usize = 8;

/// Long responses in progress: those that grow with cells, tenants or sessions. Further requests wait for
/// a permit, because each holds all its rows in memory.
pub const LONG_ANSWERS_MAX: usize = 4;

/// Other requests in progress. The other connections are left to silent ones and to probes.
const REQUESTS_MAX: usize = 88;

/// Causes that the log distinguishes: the displacement of a connection, and each error of `accept`.
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
    long_answers: Arc<Semaphore>,
    /// How long a request waits for the permit of a long response.
    turn: Duration,
    /// The silent connections by number, oldest first, each with the signal that closes it.
    silent: Mutex<BTreeMap<u64, Arc<Notify>>>,
    next: AtomicU64,
    counters: Arc<ConnectionCounters>,
    log: OncePerCause<String>,
}

impl Connections {
    pub(super) fn new(counters: Arc<ConnectionCounters>, turn: Duration) -> Self {
        Self {
            open: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            scrapes: Arc::new(Semaphore::new(SCRAPES_MAX)),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            long_answers: Arc::new(Semaphore::new(LONG_ANSWERS_MAX)),
            turn,
            silent: Mutex::default(),
            next: AtomicU64::new(0),
            counters,
            log: OncePerCause::new(LOGGED_CAUSES_MAX),
        }
    }

    /// One more connection. If all are in use, the oldest silent one is closed first.
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
            permit: OnceLock::new(),
            long_answer: OnceLock::new(),
            _open: permit.expect("the semaphore is never closed"),
        }
    }

    fn displace(&self) {
        let Some((_, close)) = self.silent().pop_first() else {
            return;
        };
        close.notify_one();
        self.counters.displaced.fetch_add(1, Ordering::Relaxed);
        self.log("all connections are in use: the oldest without a request was closed");
    }

    /// Takes note of an accept that failed.
    pub(super) fn failed(&self, error: &std::io::Error) {
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        self.log(&error.to_string());
    }

    fn log(&self, cause: &str) {
        if let Some(suppressed) = self.log.permit(cause.to_owned(), monotonic_ms()) {
            tracing::warn!(cause, suppressed, "operators' endpoint");
        }
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Notify>>> {
        // No statement leaves it half changed, so it is valid after a panic too.
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

/// Whether the response grows with cells, tenants or sessions.
fn has_long_answer(path: &str) -> bool {
    matches!(path, "/counts" | "/cells" | "/sessions")
}

/// An open connection. Dropped once its socket is closed.
#[derive(Debug)]
pub(super) struct Connection {
    connections: Arc<Connections>,
    number: u64,
    close: Arc<Notify>,
    answered: Notify,
    /// Of the request.
    permit: OnceLock<OwnedSemaphorePermit>,
    /// Of a long response.
    long_answer: OnceLock<OwnedSemaphorePermit>,
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
        // A connection is for one request, so it is empty.
        let _ = self.permit.set(permit);
        if has_long_answer(path) {
            let turn = Arc::clone(&self.connections.long_answers).acquire_owned();
            let permit = timeout(self.connections.turn, turn).await;
            let permit = permit.map_err(|_| self.refuse(LONG_ANSWERS_MAX))?;
            let permit = permit.expect("the semaphore is never closed");
            let _ = self.long_answer.set(permit);
        }
        Ok(())
    }

    fn refuse(&self, max: usize) -> ApiError {
        let counters = &self.connections.counters;
        counters.refused.fetch_add(1, Ordering::Relaxed);
        ApiError::TooManyRequests { max }
    }

    /// Resolves once the request has its answer.
    pub(super) async fn answered(&self) {
        self.answered.notified().await;
    }

    /// Resolves when this connection is to be closed for another.
    pub(super) async fn displaced(&self) {
        self.close.notified().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.silent().remove(&self.number);
    }
}
