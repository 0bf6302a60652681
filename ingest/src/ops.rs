//! The HTTP endpoint for operators: health, counts, devices, sessions, recount, backup, metrics. Its reference
//! is docs/reference/API.md.
//!
//! Owner: the ops runtime, a current-thread tokio on a thread of its own, so a slow reader here costs
//! the sessions nothing. It reads published atomics, asks shards over their control channel, and reads the
//! store on blocking threads; the orders it can give are a recount and a backup. Bounded by the connections of
//! `listen` and by a deadline on every question. It asks nobody who they are: it listens on a loopback
//! address, and `guard` keeps web pages out.

mod backup;
mod cells;
mod counts;
mod device;
mod error;
mod guard;
mod listen;
mod metrics;
mod policy;
mod probes;
mod recount;
mod sessions;
mod shards;
mod times;
mod why;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use crossbeam::channel::Sender;
use muster_engine::{PolicySet, TenantIndex, TenantPolicy, Timestamp};
use muster_store::Store;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use self::error::ApiError;
use crate::metrics::Metrics;
use crate::net::SessionRegistry;
use crate::phase::PhaseSwitch;
use crate::route::RouteTable;
use crate::shard::Control;
use crate::shard::writer::WriterReport;

/// What the endpoint reads; built once by the server.
#[derive(Debug)]
pub struct OpsContext {
    /// What the server is doing.
    pub phase: PhaseSwitch,
    /// Counters of the front door and its sessions.
    pub metrics: Arc<Metrics>,
    /// Who is connected.
    pub registry: Arc<SessionRegistry>,
    /// Which shard owns a device, and how full the inboxes are.
    pub routes: Arc<RouteTable>,
    /// By shard: its control channel.
    pub controls: Vec<Sender<Control>>,
    /// What the writer last published.
    pub writer: Arc<Mutex<WriterReport>>,
    /// For inventories, snapshots and its own numbers.
    pub store: Arc<Store>,
    /// The rules in force.
    pub policy: Arc<PolicySet>,
    /// Where backups are made, if they are.
    pub backup_directory: Option<PathBuf>,
    /// By tenant index; also tenants that are no longer configured.
    pub tenants: Vec<String>,
    /// When the process started.
    pub started_at: Timestamp,
    /// What the configuration lets the process hold at most.
    pub memory_bound_bytes: u64,
}

impl OpsContext {
    /// The index of a tenant by its name.
    fn tenant_index(&self, name: &str) -> Result<TenantIndex, ApiError> {
        let index = self.tenants.iter().position(|tenant| tenant == name);
        index
            .and_then(|index| u16::try_from(index).ok())
            .map(TenantIndex)
            .ok_or(ApiError::UnknownTenant)
    }

    /// The name of a tenant by its index.
    fn tenant_name(&self, index: TenantIndex) -> String {
        let name = self.tenants.get(usize::from(index)).cloned();
        name.unwrap_or_else(|| format!("tenant-{index}"))
    }

    /// The rules of a tenant.
    fn tenant_policy(&self, index: TenantIndex) -> Option<&TenantPolicy> {
        self.policy.tenant(index)
    }
}

/// How long the endpoint waits for whoever asks, for shards and for the disk.
#[derive(Clone, Copy, Debug)]
struct Deadlines {
    /// For the head of a request, and again for its body.
    request: Duration,
    /// For whoever asked to take the answer.
    taking: Duration,
    /// For an answer that a request is about.
    answer: Duration,
    /// For the numbers of a scrape, which goes on without them.
    scrape: Duration,
}

/// A request is one packet on this machine. A commit takes milliseconds; a disk that takes seconds is stuck, and
/// the operator must learn of it.
const DEADLINES: Deadlines = Deadlines {
    request: Duration::from_secs(10),
    // Up to some MiB, perhaps through a tunnel.
    taking: Duration::from_secs(60),
    answer: Duration::from_secs(5),
    scrape: Duration::from_secs(2),
};

/// The state behind the routes.
#[derive(Debug)]
struct Ops {
    context: Arc<OpsContext>,
    /// Where the listener is bound; its own address is a good Host.
    bound: IpAddr,
    deadlines: Deadlines,
    /// Held by the recount that runs: it takes the memory of a shard, so there is one at a time.
    recounting: Arc<tokio::sync::Mutex<()>>,
    /// Held by the backup that runs: two would only share the disk.
    backing_up: Arc<tokio::sync::Mutex<()>>,
    /// Held by the read of the store's numbers: on a stuck disk, scrapes must not pile up threads.
    reading_store: Arc<Semaphore>,
}

impl Ops {
    fn new(context: Arc<OpsContext>, bound: IpAddr, deadlines: Deadlines) -> Self {
        let (recounting, backing_up) = (Arc::default(), Arc::default());
        let reading_store = Arc::new(Semaphore::new(1));
        Self {
            context,
            bound,
            deadlines,
            recounting,
            backing_up,
            reading_store,
        }
    }
}

/// What stands between the listener and the routes while the server recovers.
#[derive(Debug, Default)]
pub struct OpsGate {
    router: OnceLock<Router>,
}

impl OpsGate {
    /// Opens the routes: the server has recovered. `bound` is where the listener is.
    pub fn open(&self, context: Arc<OpsContext>, bound: IpAddr) {
        self.router
            .get_or_init(|| router(Arc::new(Ops::new(context, bound, DEADLINES))));
    }

    /// The routes behind the gate. A server that recovers is live, and answers nothing else.
    fn router(self: Arc<Self>) -> Router {
        let starting = Router::new()
            .route("/live", get(probes::live))
            .fallback(async || ApiError::Starting);
        let answer = move |request: Request| {
            let router = self.router.get().unwrap_or(&starting).clone();
            router.oneshot(request)
        };
        Router::new().fallback_service(tower::service_fn(answer))
    }
}

/// Serves until `stop` resolves. Requests under way may finish for a few seconds longer.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    gate: Arc<OpsGate>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let patience = (DEADLINES.request, DEADLINES.taking);
    listen::run(listener, gate.router(), patience, stop).await;
    Ok(())
}

/// Every route: method, path, handler. docs/reference/API.md has a section for each, which a test compares.
fn routes() -> [(&'static str, &'static str, MethodRouter<Arc<Ops>>); 11] {
    [
        ("GET", "/live", get(probes::live)),
        ("GET", "/ready", get(probes::ready)),
        ("GET", "/counts", get(counts::counts)),
        ("GET", "/cells", get(cells::cells)),
        ("GET", "/policy", get(policy::policy)),
        ("GET", "/devices/{tenant}/{id}", get(device::device)),
        ("GET", "/sessions", get(sessions::sessions)),
        ("POST", "/recount", post(recount::recount)),
        ("POST", "/backup", post(backup::backup)),
        ("GET", "/metrics", get(metrics::metrics)),
        ("GET", "/", get(index)),
    ]
}

/// The routes, for somebody who opens the address by hand.
async fn index() -> axum::Json<serde_json::Value> {
    let routes = routes().map(|(method, path, _)| format!("{method} {path}"));
    axum::Json(
        serde_json::json!({ "server": "muster", "version": env!("CARGO_PKG_VERSION"), "routes": routes }),
    )
}

fn router(ops: Arc<Ops>) -> Router {
    let mut router = Router::new();
    for (_, path, handler) in routes() {
        router = router.route(path, handler);
    }
    router
        .fallback(async || ApiError::UnknownRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(Arc::clone(&ops), guard::guard))
        .with_state(ops)
}
