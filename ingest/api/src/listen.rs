//! The accept loop of the HTTP/1.1 endpoint, with limits.
//!
//! Runs until it is told to stop, then lets requests under way finish for [`GRACE`]. How many connections there may be,
//! and which of them give way, is in `connections.rs`. A connection is for one request and has a deadline for its head,
//! and one for taking the answer, so that nobody keeps it by doing nothing.

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

use super::connections::{ConnectionCounters, Connections};

/// Maximum size of a request head, and of the read buffer.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Timeout of requests in progress when the endpoint stops.
const GRACE: Duration = Duration::from_secs(5);

/// Delay after a failed accept: without descriptors or memory the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop` resolves. `head` is the timeout of a request head, `taking` that of reading the
/// response.
pub(super) async fn run(
    listener: TcpListener,
    router: Router,
    counters: Arc<ConnectionCounters>,
    (head, taking): (Duration, Duration),
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Connections::new(counters, head));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // Room is made for a connection that is there, and for no other.
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
            .header_read_timeout(head)
            // A persistent connection would need an idle timeout, and a scraper with the same interval would race with
            // the close. A new connection to a loopback address costs little.
            .keep_alive(false)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let serving = graceful.watch(serving);
        tasks.spawn(async move {
            let not_taken = async {
                connection.answered().await;
                sleep(taking).await;
            };
            tokio::select! {
                // An error is the peer's: it went away, or it does not speak HTTP.
                _ = serving => (),
                () = not_taken => (),
                () = connection.displaced() => (),
            }
            // The socket is closed: now another may be opened.
            drop(connection);
        });
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests of operators were cut off by the stop");
    }
}

/// The next connection.
async fn accept(listener: &TcpListener, connections: &Connections) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true); // an answer is whole, there is nothing to wait for
                return stream;
            }
            Err(error) => {
                connections.failed(&error);
                if !is_of_the_peer(&error) {
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether the connection that was to be accepted had ended; the next one may be well.
fn is_of_the_peer(error: &io::Error) -> bool {
    let kinds = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
    kinds.contains(&error.kind())
}
