//! Requests whose shape is unusual or hostile, against the real listener: each gets its status, and the connection is
//! closed where another request could hide behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::fixture::loopback;
use super::openapi::Graph;
use crate::serve_graph;

/// Much longer than any response takes.
const DEADLINE: Duration = Duration::from_secs(20);

const PATH: &str = "/v1.0/deviceManagement/settings";

/// The API on a port, a client that trusts it, and the header with its token.
struct Listener {
    address: SocketAddr,
    client: TlsConnector,
    token: String,
}

impl Listener {
    fn start() -> Self {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate: CertificateDer<'static> = issued.cert.der().clone();
        let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key);
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let graph = Graph::with_actions(None);
        let token = format!("Authorization: Bearer {}\r\n", graph.secret);
        let socket = std::net::TcpListener::bind(loopback()).unwrap();
        let address = socket.local_addr().unwrap();
        let never = std::future::pending();
        let gate = Arc::new(graph.gate);
        tokio::spawn(serve_graph(socket, Arc::new(tls.unwrap()), gate, never));
        Self {
            address,
            client: TlsConnector::from(Arc::new(client)),
            token,
        }
    }

    /// Sends bytes, then an ordinary request that is the last on its connection; everything that comes back.
    async fn send(&self, bytes: &[u8]) -> String {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = self.client.connect(name, stream).await.unwrap();
        let last = format!(
            "GET {PATH} HTTP/1.1\r\nHost: localhost\r\n{}Connection: close\r\n\r\n",
            self.token
        );
        let mut answer = Vec::new();
        let exchange = async {
            // Either may fail once the server has closed the connection.
            let _ = stream.write_all(&[bytes, last.as_bytes()].concat()).await;
            let _ = stream.read_to_end(&mut answer).await;
        };
        let is_closed = timeout(DEADLINE, exchange).await.is_ok();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let sent = String::from_utf8_lossy(bytes);
        assert!(is_closed, "open after {sent:.200}: {answer}");
        answer
    }
}

/// The statuses of the responses in a text.
fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.").skip(1);
    lines
        .map(|line| line[2..5].parse().unwrap_or_default())
        .collect()
}

/// A name, the bytes after the first line and the token, and the statuses of all responses on the connection.
type Shape = (&'static str, String, &'static [u16]);

#[expect(clippy::too_many_lines, reason = "a table")]
fn shapes(token: &str) -> Vec<Shape> {
    let get = |rest: &str| format!("GET {PATH} HTTP/1.1\r\n{token}{rest}");
    let post =
        |rest: &str| format!("POST /v1.0/$batch HTTP/1.1\r\nHost: localhost\r\n{token}{rest}");
    let line = |line: &str| format!("{line}\r\nHost: localhost\r\n{token}\r\n");
    let batch = r#"{"requests":[{"id":1,"method":"GET","url":"groups"}]}"#;
    let length = batch.len();
    let chunked = format!("{length:x}\r\n{batch}\r\n0\r\n\r\n");
    let hidden = format!("0\r\n\r\nGET {PATH} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n");
    let hides = hidden.len();
    vec![
        (
            "an ordinary request",
            get("Host: localhost\r\n\r\n"),
            &[200, 200],
        ),
        (
            "a length",
            post(&format!("Content-Length: {length}\r\n\r\n{batch}")),
            &[200, 200],
        ),
        (
            "chunks",
            post(&format!("Transfer-Encoding: chunked\r\n\r\n{chunked}")),
            &[200],
        ),
        (
            "a length before chunks",
            post(&format!(
                "Content-Length: {hides}\r\nTransfer-Encoding: chunked\r\n\r\n{hidden}"
            )),
            &[400],
        ),
        (
            "a length behind chunks",
            post(&format!(
                "Transfer-Encoding: chunked\r\nContent-Length: {hides}\r\n\r\n{hidden}"
            )),
            &[400],
        ),
        (
            "two lengths",
            post(&format!(
                "Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{batch}"
            )),
            &[400],
        ),
        (
            "a list of lengths",
            post(&format!("Content-Length: {length}, 0\r\n\r\n{batch}")),
            &[400],
        ),
        (
            "a signed length",
            post(&format!("Content-Length: +{length}\r\n\r\n{batch}")),
            &[400],
        ),
        (
            "chunks that are not last",
            post("Transfer-Encoding: chunked, gzip\r\n\r\n"),
            &[400],
        ),
        (
            "an unknown encoding",
            post("Transfer-Encoding: xchunked\r\n\r\n"),
            &[400],
        ),
        (
            "chunks without a size",
            post("Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            &[400],
        ),
        (
            "a body that is too large",
            post("Content-Length: 1048577\r\n\r\n"),
            &[413],
        ),
        (
            "bare line feeds",
            get("Host: localhost\r\n\r\n").replace('\r', ""),
            &[200, 200],
        ),
        (
            "a bare carriage return",
            get("Host: localhost\r\nX: a\rb\r\n\r\n"),
            &[400],
        ),
        (
            "a blank before the colon",
            get("Host : localhost\r\n\r\n"),
            &[400],
        ),
        (
            "a folded header",
            get("Host: localhost\r\nX: a\r\n b\r\n\r\n"),
            &[400],
        ),
        (
            "a zero byte",
            get("Host: localhost\r\nX: \0\r\n\r\n"),
            &[400],
        ),
        (
            "a huge header",
            get(&format!(
                "Host: localhost\r\nX: {}\r\n\r\n",
                "a".repeat(80 << 10)
            )),
            &[431],
        ),
        (
            "many headers",
            get(&format!(
                "Host: localhost\r\n{}\r\n",
                "X: 1\r\n".repeat(200)
            )),
            &[431],
        ),
        ("no host", get("\r\n"), &[400]),
        (
            "two hosts",
            get("Host: localhost\r\nHost: attacker.example\r\n\r\n"),
            &[400],
        ),
        (
            "the absolute form",
            line(&format!("GET https://attacker.example{PATH} HTTP/1.1")),
            &[200, 200],
        ),
        (
            "an unknown method",
            line(&format!("BREW {PATH} HTTP/1.1")),
            &[405, 200],
        ),
        (
            "a method in lower case",
            line(&format!("get {PATH} HTTP/1.1")),
            &[405, 200],
        ),
        (
            "TRACE",
            line(&format!("TRACE {PATH} HTTP/1.1")),
            &[405, 200],
        ),
        (
            "OPTIONS of everything",
            line("OPTIONS * HTTP/1.1"),
            &[404, 200],
        ),
        (
            "CONNECT",
            line("CONNECT attacker.example:443 HTTP/1.1"),
            &[404, 200],
        ),
        ("HTTP/1.0", line(&format!("GET {PATH} HTTP/1.0")), &[200]),
        (
            "HTTP/1.0 with chunks",
            format!("POST /v1.0/$batch HTTP/1.0\r\nTransfer-Encoding: chunked\r\n{token}\r\n"),
            &[400],
        ),
        (
            "HTTP/2.0 in the text",
            line(&format!("GET {PATH} HTTP/2.0")),
            &[400],
        ),
        ("no version", format!("GET {PATH}\r\n\r\n"), &[400]),
        ("no HTTP", "\x16\x03\x01\x02\x00".to_owned(), &[400]),
    ]
}

#[tokio::test]
async fn each_shape_of_a_request_has_its_status_and_hides_no_other() {
    let listener = Listener::start();
    let mut faults = Vec::new();
    for (name, bytes, expected) in shapes(&listener.token) {
        let answer = listener.send(bytes.as_bytes()).await;
        if statuses(&answer) != expected {
            faults.push(format!("{name}: {:?}, not {expected:?}", statuses(&answer)));
        }
        assert!(!answer.contains("attacker.example"), "{name}: {answer}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let answer = listener.send(b"").await;
    assert_eq!(statuses(&answer), [200], "it still serves");
}

#[tokio::test]
async fn a_method_that_a_resource_lacks_is_refused_with_those_that_it_has() {
    let listener = Listener::start();
    for (path, method, allowed) in [
        (PATH, "PUT", "GET,HEAD"),
        ("/v1.0/groups", "DELETE", "GET,HEAD,POST"),
        ("/v1.0/$batch", "GET", "POST"),
    ] {
        let token = &listener.token;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n");
        let answer = listener.send(request.as_bytes()).await;
        assert_eq!(statuses(&answer), [405, 200], "{method} {path}");
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        let allow = head.lines().find_map(|line| line.strip_prefix("allow: "));
        assert_eq!(
            allow.map(str::to_uppercase).as_deref(),
            Some(allowed),
            "{head}"
        );
        assert!(answer.contains("Request_BadRequest"), "{answer}");
    }
}
