//! `muster counts`, `device` and `recount` against a server with predetermined responses.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use muster_store::{Store, StoreConfig};

use crate::{muster, text};

const DEVICE: &str = "0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01";

/// An HTTP server that responds once. Joining the thread returns the first line of the request.
fn answer_once(status: &'static str, body: &'static str) -> (String, JoinHandle<String>) {
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

const COUNTS: &str = r#"{"tenants":[{"tenant":"contoso","devices":1200,"onboarded":1100,"risk":{"none":1199,"high":1}},
{"tenant":"fabrikam","devices":5,"onboarded":0,"risk":{"none":5,"high":0}}],"total":{"devices":1205,"onboarded":1100,"risk":{"none":1204,"high":1}}}"#;

#[test]
fn counts_are_printed_as_tables_or_as_the_json_of_the_server() {
    let (url, answering) = answer_once("200 OK", COUNTS);
    let ended = muster(&["counts", "--server", &url]);
    let out = ended.done();
    for word in [
        "contoso", "fabrikam", "total", "devices", "1,205", "risk", "1,204",
    ] {
        assert!(out.contains(word), "{word} is not in\n{out}");
    }
    assert_eq!(answering.join().unwrap(), "GET /counts HTTP/1.1");

    let (url, answering) = answer_once("200 OK", COUNTS);
    let ended = muster(&["counts", "--server", &url, "--tenant", "contoso", "--json"]);
    assert_eq!(ended.done(), format!("{COUNTS}\n"));
    assert_eq!(
        answering.join().unwrap(),
        "GET /counts?tenant=contoso HTTP/1.1"
    );
}

#[test]
fn control_characters_of_a_device_do_not_reach_the_terminal() {
    let (url, answering) = answer_once(
        "200 OK",
        "{\"id\":\"x\",\"inventory\":{\"model\":\"a\\u001b[2J\"}}",
    );
    let ended = muster(&["device", DEVICE, "--tenant", "contoso", "--server", &url]);
    let out = ended.done();
    assert!(
        out.contains("inventory.model") && !out.contains('\u{1b}'),
        "{out:?}"
    );
    assert_eq!(
        answering.join().unwrap(),
        format!("GET /devices/contoso/{DEVICE} HTTP/1.1")
    );
}

#[test]
fn a_refusal_by_the_server_is_one_line_with_its_reason() {
    let (url, answering) = answer_once(
        "404 Not Found",
        r#"{"code":"notFound","message":"no such device"}"#,
    );
    let ended = muster(&["device", DEVICE, "--tenant", "contoso", "--server", &url]);
    assert_eq!(
        ended.one_line(10),
        format!("{url} answered 404: no such device")
    );
    answering.join().unwrap();
}

#[test]
fn an_unexpected_response_is_an_error() {
    for body in ["hello", "[]", "{}", r#"{"tenants":[{"devices":1}]}"#] {
        let (url, answering) = answer_once("200 OK", body);
        let ended = muster(&["counts", "--server", &url]);
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
    for arguments in [
        &["counts"][..],
        &["device", DEVICE, "--tenant", "contoso"],
        &["recount"],
    ] {
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
