//! The operations endpoint: health, counts, devices, objects of tenants, sessions, recount, backup, clock, metrics. Its
//! reference is docs/reference/API.md.
//!
//! Owner: the ops runtime of the server, a current-thread tokio runtime on its own thread, so that a slow client does
//! not affect sessions. This crate has the routes, documents, errors and connections; it accesses device state and
//! store only through [`Backend`]. Bounded by the limits in `connections` and by the deadlines of the backend. It has
//! no authentication: it listens on a loopback address, and `guard` refuses requests of web pages.

mod access_counters;
mod backend;
mod backup;
mod cells;
mod clock;
mod connections;
mod control;
mod counts;
mod device;
mod documents;
mod error;
mod graph;
mod guard;
mod listen;
mod metrics;
pub mod odata;
mod oidc;
mod once_per_cause;
mod parameters;
mod policy;
mod probes;
mod recount;
mod rows;
mod secrets;
mod sessions;
mod tenant;
mod times;
mod verification;
mod why;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use tower::ServiceExt;

pub use access_counters::{AccessCounters, RefusedCause};
pub use backend::{
    Answer, AuditVerification, Backend, Caller, Cell, Changed, Changes, Clock, ClockMove,
    ClockStep, Date, DateQuery, Dated, DatedDevices, Device, DeviceChange, Difference, Matches,
    Position, ROWS_MAX, Readiness, Recount, Session, Sessions, TooOld,
};
pub use connections::{
    CONNECTIONS_MAX, ConnectionCounters, LONG_RESPONSES_MAX, SCRAPES_MAX, TENANT_REQUESTS_MAX,
};
pub use control::{BODY_BYTES_MAX, CHANGES_LISTED_MAX};
pub use error::ApiError;
pub use graph::{
    DOWNLOADS_MAX, EXPORT_JOBS_MAX, GRAPH_BODY_BYTES_MAX, GRAPH_CONNECTIONS_MAX, GraphGate,
    GraphOptions, LinkSecret, ServerNames, csv_cell, serve_graph,
};
pub use oidc::{ISSUERS_MAX, IssuerCounters, IssuerSettings, Issuers, TokenRefusal, check_issuer};
pub use once_per_cause::OncePerCause;
pub use secrets::{TokenRequest, VALID_DAYS_DEFAULT, VALID_DAYS_MAX, new_secret};
pub use sessions::LIMIT_MAX as SESSIONS_LISTED_MAX;

/// Timeouts of waiting for a client.
#[derive(Clone, Copy, Debug)]
struct Timeouts {
    /// For the head of a request, and again for its body.
    request: Duration,
    /// For the client to read the response.
    response: Duration,
}

const TIMEOUTS: Timeouts = Timeouts {
    // A request is one packet on this machine.
    request: Duration::from_secs(10),
    // A response may have a few MiB and pass through a tunnel.
    response: Duration::from_secs(60),
};

/// The state behind the routes.
#[derive(Debug)]
struct Api {
    connections: Arc<ConnectionCounters>,
    backend: Arc<dyn Backend>,
    /// The address of the listener, which is a valid Host.
    bound: IpAddr,
    timeouts: Timeouts,
}

/// Answers for the routes until the server has recovered.
#[derive(Debug, Default)]
pub struct Gate {
    router: OnceLock<Router>,
    connections: Arc<ConnectionCounters>,
}

impl Gate {
    /// The counters of connections.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        Arc::clone(&self.connections)
    }

    /// Opens the routes once the server has recovered. `bound` is the address of the listener.
    pub fn open(&self, backend: Arc<dyn Backend>, bound: IpAddr) {
        let api = Api {
            connections: self.connections(),
            backend,
            bound,
            timeouts: TIMEOUTS,
        };
        self.router.get_or_init(|| router(Arc::new(api)));
    }

    /// The router of the gate. While it is closed, only `GET /live` succeeds.
    fn router(self: Arc<Self>) -> Router {
        let starting = Router::new()
            .route("/live", parameters::allow_only(&[], get(probes::live)))
            .fallback(async || ApiError::Starting);
        let answer = move |request: Request| {
            let router = self.router.get().unwrap_or(&starting).clone();
            router.oneshot(request)
        };
        Router::new().fallback_service(tower::service_fn(answer))
    }
}

/// Serves until `stop` resolves. Requests in progress may take a few seconds longer.
///
/// # Errors
/// The runtime cannot register the listener.
pub async fn serve(
    listener: TcpListener,
    gate: Arc<Gate>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = gate.connections();
    listen::run(listener, gate.router(), connections, TIMEOUTS, stop).await;

    Ok(())
}

/// A route.
struct Route {
    method: &'static str,
    path: &'static str,
    /// The query parameters that it takes; any other is refused.
    parameters: &'static [&'static str],
    handler: MethodRouter<Arc<Api>>,
}

/// Every route. docs/reference/API.md has a section for each, with its parameters, which a test compares.
fn routes() -> Vec<Route> {
    let route = |method, path, parameters, handler| Route {
        method,
        path,
        parameters,
        handler,
    };
    let mut routes = vec![
        route("GET", "/live", &[], get(probes::live)),
        route("GET", "/ready", &[], get(probes::ready)),
        route("GET", "/counts", &["tenant"], get(counts::counts)),
        route("GET", "/cells", &["tenant"], get(cells::cells)),
        route("GET", "/policy", &["tenant"], get(policy::policy)),
        route("GET", "/devices/{tenant}/{id}", &[], get(device::device)),
        route("GET", "/sessions", &["limit"], get(sessions::sessions)),
        route("POST", "/recount", &[], post(recount::recount)),
        route("POST", "/backup", &[], post(backup::backup)),
        route(
            "GET",
            "/audit/verify",
            &["pin"],
            get(verification::of_server),
        ),
        route("GET", "/clock", &[], get(clock::clock)),
        route("POST", "/clock/confirm", &[], post(clock::confirm)),
        route("GET", "/metrics", &[], get(metrics::metrics)),
        route("GET", "/", &[], get(index)),
    ];
    routes.extend(control::routes());
    routes
}

/// Lists the routes.
async fn index() -> axum::Json<serde_json::Value> {
    let routes = routes().into_iter();
    let routes: Vec<_> = routes
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    axum::Json(
        serde_json::json!({ "server": "muster", "version": env!("CARGO_PKG_VERSION"), "routes": routes }),
    )
}

fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let handler = parameters::allow_only(route.parameters, route.handler);
        router = router.route(route.path, handler);
    }
    router
        .fallback(async || ApiError::UnknownRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(Arc::clone(&api), guard::guard))
        .with_state(api)
}
