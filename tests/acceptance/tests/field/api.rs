//! Requests of operators with mistakes.

use crate::harness::*;

/// X27: `?x=1` on a device route -> refused, as documented. Here: the same on every route -> `badRequest`, by a route
/// that takes no parameter and by one that takes others.
#[test]
fn x27_a_parameter_that_a_route_does_not_take_is_refused() {
    let place = Installation::new();
    let server = place.start();
    let device = device(1);
    for path in [
        &format!("/devices/contoso/{device}"),
        "/",
        "/live",
        "/ready",
        "/counts",
        "/cells",
        "/policy",
        "/sessions",
        "/metrics",
    ] {
        let (status, body) = server.ops.get(&format!("{path}?x=1"));
        assert_eq!(status, 400, "{path}: {body}");
        assert!(body.contains("\"badRequest\""), "{path}: {body}");
        assert!(body.contains("this route accepts"), "{path}: {body}");
    }
    let (status, body) = server.ops.get(&format!("/devices/contoso/{device}"));
    assert_eq!(status, 404, "{body}");
    drop(server.stop());
}
