//! Over a real socket: it serves, and it stops.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::fixture::{Server, loopback};
use crate::ops::{OpsGate, serve};

const DEADLINE: Duration = Duration::from_secs(20);

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(DEADLINE, stream.read_to_string(&mut answer)).await;
    read.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn it_serves_until_it_is_stopped_whatever_connections_idle() {
    let server = Server::new();
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let gate = Arc::new(OpsGate::default());
    let stop_signal = async move { drop(stopped.await) };
    let serving = tokio::spawn(serve(listener, Arc::clone(&gate), stop_signal));
    assert!(ask(address, "/live").await.starts_with("HTTP/1.1 200"));
    let answer = ask(address, "/ready").await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("starting"),
        "{answer}"
    );
    gate.open(Arc::clone(&server.context), address.ip());

    let _idle = TcpStream::connect(address).await.unwrap();
    let answer = ask(address, "/counts").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"total\""), "{answer}");

    stop.send(()).unwrap();
    timeout(DEADLINE, serving).await.unwrap().unwrap().unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}
