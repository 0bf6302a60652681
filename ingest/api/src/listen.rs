//! The accept loop: HTTP/1.1, with the bounds that a plain accept loop lacks.
//!
//! Runs until it is told to stop, then lets requests under way finish for [`GRACE`]. Bounded by
//! [`CONNECTIONS_MAX`]; what comes beyond waits in the kernel's backlog. A connection is for one request and has
//! a deadline for its head, and one for taking the answer, so that nobody holds a place by doing nothing.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::util::MapResponse;

/// Connections at a time: people, scripts and scrapers, not devices. Each costs a descriptor and at
/// most [`HEADER_BYTES_MAX`].
const CONNECTIONS_MAX: usize = 128;

/// Bytes of a request line with its headers, and of the read buffer.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// How long requests under way may take once the endpoint is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Pause after an accept that failed for want of descriptors or memory, which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop` resolves. The head of a request must be complete within `head`, and its answer be
/// taken within `taking`.
pub(super) async fn run(
    listener: TcpListener,
    router: Router,
    (head, taking): (Duration, Duration),
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, slot) = tokio::select! {
            () = &mut stop => break,
            // Reaps; the pattern turns this branch off while there is nothing to reap.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let answered = Arc::new(Notify::new());
        let told = Arc::clone(&answered);
        let service = MapResponse::new(router.clone(), move |response: Response| {
            told.notify_one();
            response
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            // A connection that is kept would have to be closed after some idle time, and a scraper with that
            // interval would meet the closing one. On a loopback address a new one costs nothing.
            .keep_alive(false)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            let not_taken = async {
                answered.notified().await;
                sleep(taking).await;
            };
            tokio::select! {
                // An error is the peer's: it went away, or it does not speak HTTP.
                _ = connection => (),
                () = not_taken => (),
            }
            drop(slot);
        });
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests of operators were cut off by the stop");
    }
}

/// The next connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true); // an answer is whole, there is nothing to wait for
                return (stream, slot);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of an operator was not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
