//! The accept loop of the API: TLS, HTTP/1.1 and HTTP/2, with limits.
//!
//! Owner: the API runtime. At most [`CONNECTIONS_MAX`] connections; when all are in use, those that have been idle for a
//! second are closed, otherwise after [`IDLE`]. A handshake, a head and a write to a client that does not read have
//! deadlines, so no client keeps a connection for free.

use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use axum::http::{Request, Version};
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tower_http::compression::Compression;

use super::GraphGate;
use super::activity::{Activity, InProgress};
use super::answer;
use super::error::GraphError;
use crate::once_per_cause::{OncePerCause, monotonic_ms};

/// Connections of operators and scripts.
pub const CONNECTIONS_MAX: usize = 128;

/// For the TLS handshake, and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// For a write to a client that does not read.
const WRITE: Duration = Duration::from_secs(30);

/// After which a connection without a request is closed.
const IDLE: Duration = Duration::from_secs(120);

/// The same while all connections are in use.
const IDLE_UNDER_LOAD: Duration = Duration::from_secs(1);

/// For requests in progress when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// Delay after a failed accept: without descriptors or memory the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Maximum size of a request head.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Requests of an HTTP/2 connection in progress.
const STREAMS_MAX: u32 = 64;

/// Errors of `accept` that the log distinguishes.
const LOGGED_CAUSES_MAX: usize = 16;

/// Serves until `stop` resolves.
///
/// # Errors
/// The runtime cannot register the listener.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    gate: Arc<GraphGate>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let acceptor = TlsAcceptor::from(tls);
    let open = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, is_stopping) = watch::channel(false);
    let log = OncePerCause::new(LOGGED_CAUSES_MAX);
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let admitted = async {
            let permit = Arc::clone(&open).acquire_owned().await;
            (accept(&listener, &log).await, permit)
        };
        let (stream, permit) = tokio::select! {
            () = &mut stop => break,
            admitted = admitted => admitted,
        };
        while tasks.try_join_next().is_some() {}
        let Ok(permit) = permit else { break };
        let connection = Connection {
            gate: Arc::clone(&gate),
            open: Arc::clone(&open),
            is_stopping: is_stopping.clone(),
            _permit: permit,
        };
        let acceptor = acceptor.clone();
        tasks.spawn(connection.run(acceptor, stream));
    }
    drop(listener);
    let _ = stopping.send(true);
    let ended = timeout(GRACE, async { while tasks.join_next().await.is_some() {} });
    if ended.await.is_err() {
        tracing::warn!("API: requests in progress were cut off by the stop");
    }
    Ok(())
}

async fn accept(listener: &tokio::net::TcpListener, log: &OncePerCause<String>) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true); // responses are written whole, so Nagle's algorithm only delays them
                return stream;
            }
            Err(error) => {
                let cause = error.to_string();
                if let Some(suppressed) = log.permit(cause.clone(), monotonic_ms()) {
                    tracing::warn!(cause, suppressed, "API: a connection was not accepted");
                }
                // A failure that the client causes says nothing about the next connection, but a pause costs little.
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// An accepted connection.
struct Connection {
    gate: Arc<GraphGate>,
    open: Arc<Semaphore>,
    is_stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, acceptor: TlsAcceptor, stream: TcpStream) {
        let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else {
            return;
        };
        let peer = stream.get_ref().0.peer_addr().ok().map(ConnectInfo);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE));
        let activity = Arc::new(Activity::new());
        let (gate, busy) = (Arc::clone(&self.gate), Arc::clone(&activity));
        let service = tower::service_fn(move |mut request: Request<Incoming>| {
            // Failed sign-ins are limited by address.
            peer.map(|peer| request.extensions_mut().insert(peer));
            let (gate, in_progress) = (Arc::clone(&gate), InProgress::new(&busy));
            async move {
                let response = framed(&gate, request).await;
                let response = response.map(|body| in_progress.until_sent(body));
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let service = Compression::new(service).map_response(|response| response.map(Body::new));
        let builder = builder();
        let service = hyper_util::service::TowerToHyperService::new(service);
        let mut serving = pin!(builder.serve_connection(TokioIo::new(Box::pin(stream)), service));
        let mut is_stopping = self.is_stopping.clone();
        let closing = async {
            tokio::select! {
                () = idle(&activity, &self.open) => (),
                _ = is_stopping.wait_for(|stops| *stops) => (),
            }
        };
        tokio::select! {
            // An error means that the client has disconnected or does not speak HTTP.
            _ = serving.as_mut() => return,
            () = closing => serving.as_mut().graceful_shutdown(),
        }
        let _ = timeout(GRACE, serving).await;
    }
}

/// Answers a request whose framing and host are beyond doubt, so that no proxy before the server can take another
/// request out of it. HTTP/2 has neither doubt.
async fn framed(gate: &GraphGate, request: Request<Incoming>) -> Response {
    if request.version() > Version::HTTP_11 {
        return gate.answer(request.map(Body::new)).await;
    }
    let headers = request.headers();
    let hosts = headers.get_all(HOST).iter().count();
    let is_chunked = headers.contains_key(TRANSFER_ENCODING);
    let problem = match hosts {
        2.. => Some("The request has more than one host."),
        0 if request.version() == Version::HTTP_11 => Some("The request has no host."),
        _ if is_chunked && headers.contains_key(CONTENT_LENGTH) => {
            Some("The request has both a length and chunks.")
        }
        _ => None,
    };
    let mut response = match problem {
        Some(problem) => answer::refusal(&GraphError::bad_request(problem)),
        None => gate.answer(request.map(Body::new)).await,
    };
    // hyper drops a length that follows Transfer-Encoding, and then the connection must not be used again.
    if problem.is_some() || is_chunked {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(IDLE)
        .keep_alive_timeout(HANDSHAKE);
    builder
}

/// Resolves once the connection has had no request for too long.
async fn idle(activity: &Activity, open: &Semaphore) {
    let mut every = interval(IDLE_UNDER_LOAD);
    loop {
        every.tick().await;
        let max = match open.available_permits() {
            0 => IDLE_UNDER_LOAD,
            _ => IDLE,
        };
        if activity.idle().is_some_and(|idle| idle > max) {
            return;
        }
    }
}
