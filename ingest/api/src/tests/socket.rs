//! Tests with a real socket: serving, timeouts of idle and slow clients, and the stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fixture::{Fake, Server, loopback};
use crate::{Gate, LONG_RESPONSES_MAX, Timeouts, listen, serve};

/// Much longer than any test takes, and much shorter than a connection would last without its timeout.
const DEADLINE: Duration = Duration::from_secs(20);

const SHORT: Duration = Duration::from_millis(100);

/// Serves with short timeouts until the test ends.
async fn with_short_timeouts(router: Router) -> SocketAddr {
    let timeouts = Timeouts {
        request: SHORT,
        response: SHORT,
    };
    with_timeouts(router, timeouts).await
}

async fn with_timeouts(router: Router, timeouts: Timeouts) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = std::future::pending();
    let counters = Arc::default();
    tokio::spawn(listen::run(listener, router, counters, timeouts, never));
    address
}

/// Reads until the endpoint closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // The endpoint may also reset the connection.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer))
        .await
        .expect("the endpoint closes");
    String::from_utf8(answer).unwrap()
}

async fn ask(address: SocketAddr, path: &'static str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn it_serves_until_it_is_stopped_despite_idle_connections() {
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let gate = Arc::new(Gate::default());
    let stop_signal = async move { drop(stopped.await) };
    let serving = tokio::spawn(serve(listener, Arc::clone(&gate), stop_signal));
    assert!(ask(address, "/live").await.starts_with("HTTP/1.1 200"));
    let answer = ask(address, "/ready").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("starting"),
        "{answer}"
    );
    gate.open(Arc::new(Fake::default()), address.ip());

    let _idle = TcpStream::connect(address).await.unwrap();
    let answer = ask(address, "/counts").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"total\""), "{answer}");

    stop.send(()).unwrap();
    timeout(DEADLINE, serving).await.unwrap().unwrap().unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the listener is closed"
    );
}

#[tokio::test]
async fn a_connection_without_a_complete_head_is_closed() {
    let server = Server::new();
    let address = with_short_timeouts(server.router.clone()).await;
    for head in ["", "G", "GET /live HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "after {head:?}");
    }
}

/// The timeout is for the whole head: a trickle of bytes does not extend it.
#[tokio::test]
async fn a_connection_that_sends_its_head_byte_by_byte_is_closed() {
    let server = Server::new();
    let address = with_short_timeouts(server.router.clone()).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let head = "GET /live HTTP/1.1\r\nHost: localhost\r\nX: ";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = [0; 64];
    // Another client is served after every byte. The limit of the head is 16 KiB, which this does not reach.
    for _ in 0..12_000 {
        if slow.write_all(b"a").await.is_err() {
            return;
        }
        assert!(ask(address, "/live").await.starts_with("HTTP/1.1 200"));
        match slow.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => panic!("a response to half a head: {:?}", &buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => (),
            Err(_) => return,
        }
    }
    panic!("the connection is still open");
}

#[tokio::test]
async fn an_incomplete_body_has_the_same_timeout_as_a_head() {
    let server = Server::new();
    let address = with_short_timeouts(server.router.clone()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "POST /backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("was not complete in time"), "{answer}");
}

#[tokio::test]
async fn a_connection_is_closed_after_its_response() {
    let server = Server::new();
    let address = with_short_timeouts(server.router.clone()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
    stream
        .write_all(request.repeat(2).as_bytes())
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

/// A response body that signals when it is dropped.
struct Answer {
    bytes: Vec<u8>,
    _alive: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The kernel buffers some MiB of a response, and no more until the client reads.
#[tokio::test]
async fn a_client_that_does_not_read_the_response_is_closed() {
    let (alive, dropped) = oneshot::channel();
    let answer = Bytes::from_owner(Answer {
        bytes: vec![b'a'; 64 << 20],
        _alive: alive,
    });
    let answer = Arc::new(Mutex::new(Some(answer)));
    let once = async move || Body::from(answer.lock().unwrap().take().unwrap());
    let address = with_short_timeouts(Router::new().route("/", get(once))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    // Resolves with an error, as the sender is dropped.
    let _ = timeout(DEADLINE, dropped)
        .await
        .expect("the endpoint drops the response");
    // Only the buffered part can still be read.
    let mut received = Vec::new();
    let _ = timeout(DEADLINE, stream.read_to_end(&mut received))
        .await
        .expect("the endpoint has closed");
    assert!(received.len() < 64 << 20, "{} bytes", received.len());
}

/// One request beyond the limit of its kind is refused at once, and no other kind waits for it.
#[tokio::test]
async fn each_kind_of_request_has_its_own_permits() {
    let never = async || std::future::pending::<String>().await;
    let router = Router::new()
        .route("/live", get(async || "live"))
        .route("/metrics", get(never))
        .route("/slow", get(never));
    let address = with_short_timeouts(router).await;
    let mut in_progress = JoinSet::new();
    for (path, max) in [("/metrics", 8), ("/slow", 88)] {
        for _ in 0..=max {
            in_progress.spawn(ask(address, path));
        }
        let answered = in_progress.join_next().await.unwrap().unwrap();
        assert!(answered.starts_with("HTTP/1.1 503"), "{path}: {answered}");
        assert!(answered.contains("\"busy\""), "{path}: {answered}");
        assert!(ask(address, "/live").await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(in_progress.len(), 8 + 88, "the others are in progress");
}

/// Sends each long response once `ends` has a permit for it, and counts the requests that have begun.
fn long_responses(ends: &Arc<Semaphore>, begun: &watch::Sender<usize>) -> Router {
    let (ends, begun) = (Arc::clone(ends), begun.clone());
    let handler = async move || {
        begun.send_modify(|begun| *begun += 1);
        ends.acquire().await.unwrap().forget();
        "done"
    };
    ["/counts", "/cells", "/sessions"]
        .into_iter()
        .fold(Router::new(), |router, path| {
            router.route(path, get(handler.clone()))
        })
}

#[tokio::test]
async fn a_long_response_waits_for_a_permit_and_is_refused_at_the_timeout() {
    for (request, status) in [(SHORT, "503"), (DEADLINE, "200")] {
        let (ends, begun) = (Arc::new(Semaphore::new(0)), watch::Sender::new(0));
        let router = long_responses(&ends, &begun);
        let timeouts = Timeouts {
            request,
            response: DEADLINE,
        };
        let address = with_timeouts(router, timeouts).await;
        let paths = ["/counts", "/cells", "/sessions", "/cells"];
        assert_eq!(paths.len(), LONG_RESPONSES_MAX);
        let first = paths.map(|path| tokio::spawn(ask(address, path)));
        let mut beginning = begun.subscribe();
        let all = beginning.wait_for(|begun| *begun == paths.len()).await;
        assert!(all.is_ok());
        drop(all);
        let mut next = Box::pin(ask(address, "/counts"));
        if status == "503" {
            let refused = (&mut next).await;
            assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
            assert!(refused.contains("\"busy\""), "{refused}");
        } else {
            let waits = timeout(SHORT, &mut next).await;
            assert!(waits.is_err(), "{waits:?}");
        }
        assert_eq!(*begun.borrow(), paths.len(), "no more have begun");

        ends.add_permits(paths.len() + 1);
        for first in first {
            let answer = first.await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        if status == "200" {
            let answer = next.await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
}
