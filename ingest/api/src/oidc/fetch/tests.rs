//! Fetches from servers of issuers that answer well, wrongly, slowly or not at all.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::oidc::tests::signing::SigningKey;
use crate::oidc::tests::{key_set, tls};

/// Serves a response for each path; `{base}` in it is the URL of the server.
async fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let own = base.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap();
            let response = answer(path).replace("{base}", &own);
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    base
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A response that ends with the connection, so that its body may have another length than the template.
fn document(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{body}")
}

fn discovery(path: &str) -> Option<String> {
    let body = r#"{"issuer": "{base}/realm", "jwks_uri": "{base}/keys"}"#;
    (path == "/realm/.well-known/openid-configuration").then(|| document(body))
}

async fn failure(issuer: &str) -> String {
    keys_of(issuer, &tls()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn keys_are_fetched_through_the_discovery_document() {
    let keys = key_set(&[&SigningKey::p256("key")]).to_string();
    let base = serve(move |path| {
        discovery(path).unwrap_or_else(|| {
            assert_eq!(path, "/keys");
            ok(&keys)
        })
    })
    .await;
    let keys = keys_of(&format!("{base}/realm"), &tls()).await.unwrap();
    assert!(keys.find("key", jsonwebtoken::Algorithm::ES256).is_ok());
    let found = failure(&base).await;
    assert!(
        found.contains("/.well-known/openid-configuration"),
        "{found}"
    );
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    for body in [
        r#"{"issuer": "{base}/other", "jwks_uri": "{base}/keys"}"#,
        r#"{"issuer": "{base}/realm/", "jwks_uri": "{base}/keys"}"#,
        r#"{"jwks_uri": "{base}/keys"}"#,
        "[]",
        "<html>",
    ] {
        let base = serve(move |_| document(body)).await;
        let found = failure(&format!("{base}/realm")).await;
        assert!(found.contains("configure exactly this one"), "{found}");
    }
    let body = r#"{"issuer": "{base}/realm", "jwks_uri": "http://192.0.2.1/keys"}"#;
    let base = serve(move |_| document(body)).await;
    let found = failure(&format!("{base}/realm")).await;
    assert!(found.contains("must be an https URL"), "{found}");
}

#[tokio::test]
async fn what_is_not_a_key_set_is_refused() {
    for (response, expected) in [
        (ok("{}"), "not a JWK set"),
        (ok(r#"{"keys": []}"#), "none of its keys"),
        (
            "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "302",
        ),
        (
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "500",
        ),
        (ok(&" ".repeat(DOCUMENT_BYTES_MAX + 1)), "length limit"),
        (
            document(&" ".repeat(2 * DOCUMENT_BYTES_MAX)),
            "length limit",
        ),
        (
            format!(
                "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
                "x".repeat(2 * HEAD_BYTES_MAX)
            ),
            "too large",
        ),
        ("what?\r\n\r\n".to_owned(), "invalid HTTP"),
        (String::new(), "connection closed"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx".to_owned(),
            "reading a body",
        ),
    ] {
        let base = serve(move |path| discovery(path).unwrap_or_else(|| response.clone())).await;
        let found = failure(&format!("{base}/realm")).await;
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    // The connection is in the backlog, and nobody accepts it.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let found = failure(&silent).await;
    assert!(found.contains("did not answer"), "{found}");
    assert!(began.elapsed() <= FETCH_MAX + Duration::from_secs(1));
    drop(listener);
    tokio::time::resume();
    assert!(failure(&silent).await.contains("cannot connect"));
}

#[test]
fn only_https_or_this_machine_is_an_issuer() {
    for good in [
        "https://login.example.test",
        "https://login.example.test:8443/realms/a/",
        "https://[2001:db8::1]/x",
        "http://localhost:3000",
        "http://127.0.0.1:3000/op",
        "http://[::1]:3000",
    ] {
        assert_eq!(check_issuer(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "login.example.test",
        "/realms/a",
        "http://login.example.test",
        "http://10.0.0.1",
        "http://localhost.example.test",
        "ftp://localhost",
        "https://user@login.example.test",
        "https://login.example.test?tenant=a",
        "https://login.example.test#a",
        &format!("https://login.example.test/{}", "a".repeat(500)),
    ] {
        assert!(check_issuer(bad).is_err(), "{bad}");
    }
}
