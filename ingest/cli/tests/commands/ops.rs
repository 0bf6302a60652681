//! Commands of the operations endpoint against a server with predetermined responses, and of data directories.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use muster_store::{Store, StoreConfig};

use crate::{muster, text};

/// An HTTP server that responds once. Joining the thread returns the first line of the request.
pub(super) fn answer_once(
    status: &'static str,
    body: &'static str,
) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    let url = format!("http://{address}");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the command connects");
        let mut lines = BufReader::new(stream.try_clone().expect("a socket can be cloned"))
            .lines()
            .map_while(Result::ok);
        let request = lines.next().expect("a request has a line");
        while lines.next().is_some_and(|line| !line.is_empty()) {}
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .expect("the command reads");
        request
    });
    (url, answering)
}

/// The arguments that make a token through the operations endpoint.
const TOKEN: [&str; 6] = ["token", "create", "--tenant", "contoso", "--name", "x"];

#[test]
fn a_refusal_by_the_server_is_one_line_with_its_reason() {
    let (url, answering) = answer_once(
        "404 Not Found",
        r#"{"code":"unknownTenant","message":"no tenant\u001b[2J"}"#,
    );
    let ended = muster(&[&TOKEN[..], &["--server", &url]].concat());
    assert_eq!(
        ended.one_line(10),
        format!("{url} answered 404: no tenant\u{fffd}[2J")
    );
    assert_eq!(
        answering.join().unwrap(),
        "POST /tenants/contoso/tokens HTTP/1.1"
    );
}

#[test]
fn an_unexpected_response_is_an_error() {
    for body in ["hello", "[]", "{}", r#"{"verified":1}"#] {
        let (url, answering) = answer_once("200 OK", body);
        let ended = muster(&["recount", "--server", &url]);
        assert!(ended.one_line(8).contains("unexpected response"), "{body}");
        answering.join().unwrap();
    }
}

#[test]
fn the_exit_code_of_a_recount_depends_on_its_result() {
    let (url, answering) = answer_once(
        "200 OK",
        r#"{"verified":true,"devices":5,"differences":[]}"#,
    );
    let ended = muster(&["recount", "--server", &url]);
    assert!(ended.done().contains("verified"));
    assert_eq!(answering.join().unwrap(), "POST /recount HTTP/1.1");

    let (url, answering) = answer_once(
        "200 OK",
        r#"{"verified":false,"differences":[{"shard":1,"counted":3,"recounted":4}]}"#,
    );
    let ended = muster(&["recount", "--server", &url]);
    assert_eq!(ended.code, 7);
    assert!(
        ended.out.contains("recounted"),
        "the difference is printed to standard output: {}",
        ended.out
    );
    assert_eq!(
        ended.err,
        "muster: the recount differs from the counters (1 listed); please report this bug\n"
    );
    answering.join().unwrap();
}

#[test]
fn a_server_that_does_not_run_is_unreachable() {
    let unused = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    for arguments in [&["recount"][..], &TOKEN] {
        let ended = muster(&[arguments, &["--server", &unused]].concat());
        assert!(
            ended.one_line(8).contains("connection refused"),
            "{}",
            ended.err
        );
    }
}

#[test]
fn listing_a_missing_data_directory_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let absent = scratch.path().join("absent");
    let ended = muster(&["devices", "--data-dir", text(&absent)]);
    assert_eq!(
        ended.one_line(6),
        format!("{} does not exist", absent.display())
    );
    assert!(!absent.exists(), "a listing creates nothing");
}

#[test]
fn commands_that_read_a_directory_print_its_notices() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("data");
    let store = Store::open(&StoreConfig::new(&directory)).unwrap();
    store.close().unwrap();
    muster(&["devices", "--data-dir", text(&directory)]).done();
    std::fs::write(directory.join("ACKNOWLEDGED"), "muster").unwrap();
    for command in ["devices", "recount"] {
        let ended = muster(&[command, "--data-dir", text(&directory)]);
        assert_eq!(ended.code, 0, "{}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("ACKNOWLEDGED is damaged; the log"));
    }
}
