//! The operations endpoint and malicious requests.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::harness::*;

/// Sends bytes unchanged and returns the response until the server closes the connection. A complete request asks the
/// server to close it; after anything else the client shuts down its side.
fn raw(victim: &Victim, request: &[u8]) -> String {
    let address = victim.server.ops.base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the endpoint listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("the timeout is not zero");
    // Fails if the server has already closed the connection.
    let _ = stream.write_all(request);
    if !String::from_utf8_lossy(request).contains("Connection: close") {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request with these headers.
fn request(line: &str, headers: &[&str]) -> Vec<u8> {
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").into_bytes()
}

fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no status in {answer:?}"))
}

/// Fleet CVE-2026-46356: headers about the origin of a request have no effect, neither for nor against it.
#[test]
fn forwarding_headers_are_not_believed() {
    let victim = Victim::new(&Settings::default());
    let headers = [
        "Forwarded: for=127.0.0.1;host=localhost",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Host: localhost",
        "X-Forwarded-Proto: https",
        "X-Real-IP: 127.0.0.1",
        "X-Original-URL: /counts",
        "X-HTTP-Method-Override: POST",
    ];
    for header in headers {
        let foreign = raw(
            &victim,
            &request("GET /counts", &["Host: evil.example", header]),
        );
        assert_eq!(status(&foreign), 403, "{header}: {foreign}");
        assert!(!foreign.contains("devices"), "{foreign}");
        let here = raw(&victim, &request("GET /live", &["Host: localhost", header]));
        assert_eq!(status(&here), 200, "{header}: {here}");
        assert!(
            !here.contains("total"),
            "{header} chose another route: {here}"
        );
    }
    for header in headers.map(|header| {
        header
            .replace("127.0.0.1", "203.0.113.9")
            .replace("localhost", "evil.example")
    }) {
        let here = raw(
            &victim,
            &request("GET /counts", &["Host: localhost", &header]),
        );
        assert_eq!(status(&here), 200, "{header}: {here}");
    }
    victim.finish();
}

/// DNS rebinding: the host name of a web page that resolves to this machine is refused.
#[test]
fn requests_for_another_host_are_refused() {
    let victim = Victim::new(&Settings::default());
    for hosts in [
        &["Host: evil.example"][..],
        &["Host: 127.0.0.1.evil.example"],
        &["Host: localhost@evil.example"],
        &["Host: localhost", "Host: evil.example"],
        &["Host: "],
        &[],
    ] {
        for line in ["GET /counts", "POST /recount", "GET /metrics"] {
            let answer = raw(&victim, &request(line, hosts));
            assert!(matches!(status(&answer), 400 | 403), "{hosts:?}: {answer}");
            assert!(!answer.contains("muster_"), "{answer}");
        }
    }
    let absolute = raw(
        &victim,
        &request("GET http://evil.example/counts", &["Host: localhost"]),
    );
    assert_eq!(status(&absolute), 403);
    victim.finish();
}

/// Wazuh CVE-2026-30893: no path leads to a file, and a tenant is found only by its exact name.
#[test]
fn paths_reach_neither_files_nor_other_tenants() {
    let victim = Victim::new(&Settings::default());
    let known = device(0);
    assert!(victim.server.ops.device("contoso", known).is_some());
    // Fleet CVE-2022-24841: a device of another tenant is as unknown as one that does not exist.
    let (foreign_status, foreign) = victim.server.ops.get(&format!("/devices/fabrikam/{known}"));
    let (unknown_status, unknown) = victim
        .server
        .ops
        .get(&format!("/devices/fabrikam/{}", device(999)));
    assert_eq!((foreign_status, unknown_status), (404, 404));
    assert_eq!(
        foreign,
        unknown.replace(&device(999).to_string(), &known.to_string())
    );
    let paths = [
        "/../../../../etc/passwd".to_owned(),
        "/%2e%2e/%2e%2e/etc/passwd".to_owned(),
        "/..%2f..%2fmuster.toml".to_owned(),
        "//etc/passwd".to_owned(),
        "/devices/../counts".to_owned(),
        format!("/devices/fabrikam/../contoso/{known}"),
        format!("/devices/fabrikam%2f..%2fcontoso/{known}"),
        format!("/devices/%00contoso/{known}"),
        format!("/devices/CONTOSO/{known}"),
        format!("/devices//{known}"),
        format!("/devices/contoso/{known}%00"),
        format!("/devices/contoso/{known}/.."),
        "/devices/contoso/../../data/FORMAT".to_owned(),
    ];
    for path in paths {
        let answer = raw(
            &victim,
            &request(&format!("GET {path}"), &["Host: localhost"]),
        );
        assert!(matches!(status(&answer), 400 | 404), "{path}: {answer}");
        assert!(
            !answer.contains("root:") && !answer.contains("\"seq\""),
            "{path}: {answer}"
        );
    }
    victim.finish();
}

/// Elastic CVE-2026-4498: routes that are not documented do not exist.
#[test]
fn only_documented_routes_exist() {
    let victim = Victim::new(&Settings::default());
    for path in [
        "/debug",
        "/debug/pprof",
        "/debug/pprof/heap",
        "/admin",
        "/actuator",
        "/config",
        "/env",
        "/status",
        "/shutdown",
        "/restart",
        "/reload",
        "/log",
        "/api",
        "/v1/counts",
        "/.git/config",
        "/metrics/",
        "/pki",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "TRACE", "CONNECT"] {
            let answer = raw(
                &victim,
                &request(&format!("{method} {path}"), &["Host: localhost"]),
            );
            assert!(
                (400..500).contains(&status(&answer)),
                "{method} {path}: {answer}"
            );
        }
    }
    for path in ["/counts", "/metrics", "/sessions", "/ready"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            let answer = raw(
                &victim,
                &request(&format!("{method} {path}"), &["Host: localhost"]),
            );
            assert_eq!(status(&answer), 405, "{method} {path}: {answer}");
        }
    }
    victim.finish();
}

/// Request smuggling: a request whose end can be read in two ways is refused.
#[test]
fn requests_with_ambiguous_lengths_are_refused() {
    let victim = Victim::new(&Settings::default());
    let smuggled = b"GET /recount HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for headers in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: identity, nonsense\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Header with spaces: 1\r\n",
        "X: a\r\n\0: b\r\n",
    ] {
        let head = format!(
            "POST /counts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        );
        let answer = raw(&victim, &[head.as_bytes(), smuggled].concat());
        assert!(
            matches!(status(&answer), 400 | 403),
            "{headers:?}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{headers:?}: one answer: {answer}"
        );
    }
    // With both lengths the chunks count (RFC 9112, 6.3), and what follows them is never a part of the first request.
    let both = b"POST /counts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n";
    let answer = raw(&victim, both);
    assert!(matches!(status(&answer), 400 | 405), "{answer}");
    victim.finish();
}

/// The memory of a request is bounded, even for other protocols than HTTP/1.1.
#[test]
fn oversized_heads_and_bodies_are_not_kept() {
    let victim = Victim::new(&Settings::default());
    // Heads over the limit: one long header, many headers, and a long request line.
    let long = "a".repeat(64 << 10);
    let many: String = (0..5000)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    for head in [
        format!("GET /live HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"),
        format!("GET /live HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"),
        format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ] {
        let answer = raw(&victim, head.as_bytes());
        assert!(
            answer.is_empty() || (400..500).contains(&status(&answer)),
            "{answer}"
        );
    }
    // An unexpected body is not read into memory.
    let memory = || {
        victim
            .server
            .ops
            .metrics()
            .get("muster_process_resident_memory_bytes")
    };
    let before = memory();
    let mut body =
        b"POST /recount HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\nConnection: close\r\n\r\n".to_vec();
    body.resize(body.len() + 32_000_000, b'x');
    raw(&victim, &body);
    assert!(
        memory() < before + 24e6,
        "{before} bytes, then {}",
        memory()
    );
    // HTTP/2, TLS, and nothing at all.

    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\x16\x03\x01\x00\x05hello",
        b"\r\n\r\n",
        b"",
    ] {
        let answer = raw(&victim, bytes);
        assert!(
            answer.is_empty() || (400..600).contains(&status(&answer)),
            "{answer}"
        );
    }
    victim.finish();
}
