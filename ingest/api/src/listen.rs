//! The accept loop of the HTTP/1.1 endpoint, with limits.
//!
//! Runs until it is told to stop, then lets requests in progress finish within [`GRACE`]. The limit on connections and
//! the choice of which to evict are in `connections.rs`. A connection serves one request, with a timeout for its head
//! and one for reading the response, so that an idle client cannot keep it.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::service_fn;

use super::Timeouts;
use super::connections::{ConnectionCounters, Connections};

/// Maximum size of a request head, and of the read buffer.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Timeout of requests in progress when the endpoint stops.
const GRACE: Duration = Duration::from_secs(5);

/// Delay after a failed accept: without descriptors or memory the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop` resolves.
pub(super) async fn run(
    listener: TcpListener,
    router: Router,
    counters: Arc<ConnectionCounters>,
    timeouts: Timeouts,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Connections::new(counters, timeouts.request));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // A connection is evicted only for one that has been accepted.
        let admitted = async {
            let stream = accept(&listener, &connections).await;
            (stream, Arc::new(connections.admit().await))
        };
        let (stream, connection) = tokio::select! {
            () = &mut stop => break,
            admitted = admitted => admitted,
        };
        while tasks.try_join_next().is_some() {}
        let (router, answering) = (router.clone(), Arc::clone(&connection));
        let service = service_fn(move |request| {
            let (router, answering) = (router.clone(), Arc::clone(&answering));
            async move { answering.answer(router, request).await }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.request)
            // A persistent connection would need an idle timeout, and a scraper with the same interval would race with
            // the close. A new connection to a loopback address costs little.
            .keep_alive(false)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let serving = graceful.watch(serving);
        tasks.spawn(async move {
            let response_timeout = async {
                connection.answered().await;
                sleep(timeouts.response).await;
            };
            tokio::select! {
                // An error means that the client has disconnected or does not speak HTTP.
                _ = serving => (),
                () = response_timeout => (),
                () = connection.evicted() => (),
            }
            // The socket is closed, so another connection may be admitted.
            drop(connection);
        });
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("operations endpoint: requests in progress were cut off by the stop");
    }
}

/// The next connection.
async fn accept(listener: &TcpListener, connections: &Connections) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true); // responses are written whole, so Nagle's algorithm only delays them
                return stream;
            }
            Err(error) => {
                connections.accept_failed(&error);
                if !is_caused_by_client(&error) {
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the connection ended before it was accepted. Such an error says nothing about the next one.
fn is_caused_by_client(error: &io::Error) -> bool {
    let kinds = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
    kinds.contains(&error.kind())
}
