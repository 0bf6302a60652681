//! Tests of error responses.

use axum::body::Body;
use axum::http::Request;

use super::fixture::{DEVICE, Fake, Server, request};
use crate::{ApiError, routes};

/// Requests `path` and returns status and code.
async fn fault(server: &Server, path: &str) -> (u16, String) {
    let answer = server.get(path).await;
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn unknown_routes_tenants_and_devices_are_not_found() {
    let server = Server::new();
    let unknown_device = "/devices/demo/10112233-4455-6677-8899-aabbccddeeff";
    let elsewhere = format!("/devices/other/{DEVICE}");
    let nowhere = format!("/devices/nobody/{DEVICE}");
    for (path, code) in [
        ("/nothing", "unknownRoute"),
        ("/counts/", "unknownRoute"),
        ("/devices/demo", "unknownRoute"),
        ("/counts?tenant=nobody", "unknownTenant"),
        ("/cells?tenant=nobody", "unknownTenant"),
        ("/policy?tenant=nobody", "unknownTenant"),
        (&nowhere, "unknownTenant"),
        (unknown_device, "unknownDevice"),
        (&elsewhere, "unknownDevice"),
    ] {
        assert_eq!(fault(&server, path).await, (404, code.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn an_invalid_request_is_a_bad_request() {
    let server = Server::new();
    for path in [
        "/counts?tenat=demo",
        "/counts?tenant=a&tenant=b",
        "/policy",
        "/sessions?limit=-1",
        "/sessions?limit=10001",
        "/devices/demo/1",
        "/devices/demo/00000000-0000-0000-0000-000000000000",
        "/devices/demo/%ff",
    ] {
        assert_eq!(
            fault(&server, path).await,
            (400, "badRequest".to_owned()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_route_refuses_unknown_parameters() {
    let server = Server::new();
    for route in routes() {
        let path = route.path.replace("{tenant}", "demo");
        let path = path.replace("{id}", DEVICE).replace("{member}", DEVICE);
        for query in ["x=1", "tenant=demo&x=1", "limit=1&x", "limits=1"] {
            let target = format!("{path}?{query}");
            let answer = server.send(request(route.method, &target)).await;
            let code = (answer.status.as_u16(), answer.code());
            assert_eq!(code, (400, "badRequest".to_owned()), "{target}");
            let message = answer.json()["message"].to_string();
            let accepted = match route.parameters {
                [] => "accepts none".to_owned(),
                known => format!("accepts {}", known.join(", ")),
            };
            assert!(message.contains(&accepted), "{target}: {message}");
        }
    }
}

#[tokio::test]
async fn a_route_accepts_only_its_method() {
    let server = Server::new();
    for (method, path, allowed) in [("POST", "/counts", "GET"), ("GET", "/recount", "POST")] {
        let answer = server.send(request(method, path)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (405, "methodNotAllowed")
        );
        assert!(
            answer.headers["allow"].to_str().unwrap().contains(allowed),
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_error_of_the_backend_has_its_status_and_code() {
    type Failure = fn() -> ApiError;
    let failures: [(Failure, u16, &str); 14] = [
        (|| ApiError::NotInForce, 503, "notInForce"),
        (|| ApiError::RecountRunning, 409, "recountRunning"),
        (|| ApiError::BackupRunning, 409, "backupRunning"),
        (|| ApiError::BackupsOff, 403, "backupsOff"),
        (
            || ApiError::BackupRefused("no".to_owned()),
            403,
            "backupRefused",
        ),
        (
            || ApiError::BackupExists("yes".to_owned()),
            409,
            "backupExists",
        ),
        (
            || ApiError::BackupFailed("full".to_owned()),
            500,
            "backupFailed",
        ),
        (|| ApiError::NoClockStep, 409, "noClockStep"),
        (|| ApiError::Busy { thread: 1 }, 503, "busy"),
        (
            || ApiError::Timeout {
                what: "the store".to_owned(),
            },
            503,
            "timeout",
        ),
        (|| ApiError::StorePoisoned, 503, "storePoisoned"),
        (|| ApiError::Draining, 503, "draining"),
        (
            || ApiError::StoreUnreadable("torn".to_owned()),
            500,
            "storeUnreadable",
        ),
        (|| ApiError::Internal("fault".to_owned()), 500, "internal"),
    ];
    for (failure, status, code) in failures {
        let server = Server::over(Fake {
            failure: Some(failure),
            ..Fake::default()
        });
        let device = format!("/devices/demo/{DEVICE}");
        for path in ["/tenants/demo/staleDevices", "/metrics", &device] {
            let expected = (status, code.to_owned());
            assert_eq!(fault(&server, path).await, expected, "{path}");
        }
        let backup = ("/backup", r#"{"directory":"a"}"#);
        for (path, body) in [("/recount", ""), backup, ("/clock/confirm", "")] {
            let answer = server.post(path, body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (status, code),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_request_for_another_host_is_refused() {
    let server = Server::new();
    let to = |hosts: &[&str]| {
        let request = Request::builder().uri("/live");
        let request = hosts
            .iter()
            .fold(request, |request, host| request.header("host", *host));
        request.body(Body::empty()).unwrap()
    };
    let refused: [&[&str]; 3] = [
        &[],
        &["attacker.example:7441"],
        &["localhost", "attacker.example"],
    ];
    for hosts in refused {
        let answer = server.send(to(hosts)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "hostRefused"),
            "{hosts:?}"
        );
    }
    assert_eq!(server.send(to(&["localhost:7441"])).await.status, 200);
    let answer = server.get("http://attacker.example/live").await;
    assert_eq!(
        answer.code(),
        "hostRefused",
        "the target names another host"
    );
}

#[tokio::test]
async fn a_post_from_another_origin_is_refused() {
    let server = Server::new();
    for origin in ["http://attacker.example", "http://127.0.0.1:3000", "null"] {
        let mut post = request("POST", "/recount");
        post.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(server.send(post).await.code(), "originRefused", "{origin}");
    }
    let mut post = request("POST", "/recount");
    post.headers_mut()
        .insert("origin", "http://127.0.0.1:7441".parse().unwrap());
    assert_eq!(server.send(post).await.status, 200);
}

#[tokio::test]
async fn no_response_is_cached_or_sniffed() {
    let server = Server::new();
    for path in ["/live", "/counts", "/metrics", "/nothing", "/policy"] {
        let headers = server.get(path).await.headers;
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
    }
}
