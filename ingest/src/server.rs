//! Starts and stops the components of the server in order.
//!
//! Start: handle the signals that never end the process, bind both addresses (early, so that a conflict costs nothing),
//! answer liveness probes, open the store, start the clock, recover the shards, start writer and shards, put the
//! configured policy set in force, then listen. Stop: see `server/shutdown.rs`. Owner: the main thread, which has the
//! net runtime and every join handle.

mod addresses;
mod api;
mod clock;
mod parts;
mod policy;
mod shutdown;
mod signals;
mod space_reclaimer;
mod test_clock;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster_api::{Backend, Gate};
use muster_engine::{ShardLimits, ShardMap, Timestamp};
use muster_store::{OpenError, ReadError, Store, StoreConfig, WriteError, kill_point};
use tokio::sync::oneshot;

pub use crate::backend::new_object_id;
use crate::backend::{self, ServerBackend};
use crate::clock::{Clock, SteeredTime};
use crate::config::Config;
use crate::control_plane::{Admission, ControlService};
pub use crate::control_plane::{ReplayError, objects, verify_log};
use crate::memory::MemoryBound;
use crate::net::{self, EndpointError, Listener, ListenerContext, ServedTenants};
use crate::phase::Phase;
use crate::recovery::{self, RecoverError, RecoverOptions};
use crate::route::ThreadMap;

use addresses::{announce, bind_ops};
use api::ApiServer;
pub use api::ApiTls;
use clock::ClockThread;
use parts::Parts;
use shutdown::Running;
use signals::Signals;
use space_reclaimer::SpaceReclaimer;

/// Timeout for reads of the store by ops requests once everything else has ended.
const OPS_READS_MAX: Duration = Duration::from_secs(1);

/// Why a server does not start, or does not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The QUIC address cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The ops address cannot be used.
    #[error("cannot listen on {address} (TCP): {source}")]
    Ops {
        /// The configured address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The address of the operators' API cannot be used.
    #[error("cannot listen on {address} (TCP) for the API: {source}")]
    Api {
        /// The configured address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The data directory is refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The data directory cannot be recovered.
    #[error("data directory {directory}: {source}: restore it from a backup; nothing was changed")]
    Recover {
        /// The data directory.
        directory: String,
        /// The cause.
        source: RecoverError,
    },
    /// A read of the store failed during the start.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A write to the store failed during the start or stop.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A stored policy set has an unknown encoding.
    #[error(
        "data directory {0}: its latest policy set is unreadable: run the version of Muster that wrote it"
    )]
    Policy(String),
    /// The control log cannot be read.
    #[error("data directory {directory}: {source}: restore it from a copy; nothing was changed")]
    Control {
        /// The data directory.
        directory: String,
        /// The cause.
        source: ReplayError,
    },
    /// A thread or runtime cannot be started.
    #[error("cannot start {what}: {source}")]
    Start {
        /// The thread or runtime.
        what: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The socket or the file of the test clock cannot be used.
    #[error("test clock: cannot use {}: {source}", path.display())]
    TestClock {
        /// The socket or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A shard ended before the server was ready.
    #[error("a shard ended before the server was ready; see the log for the cause")]
    ShardEnded,
}

/// Runs a server until SIGTERM or SIGINT. `restart_secret` is [`crate::pki::tls::restart_secret`]; `test_clock` is the
/// socket through which a test moves its clocks.
pub fn run(
    config: Config,
    tls: rustls::ServerConfig,
    restart_secret: [u8; 32],
    api: Option<ApiTls>,
    test_clock: Option<&Path>,
) -> Result<(), ServerError> {
    let started_at = crate::clock::wall();
    let signals = Signals::new()?;
    let socket = net::bind(&config.listen)?;
    let (ops_listener, http) = bind_ops(config.ops.address)?;
    let api = api::start(api, config.api.address)?;
    let test_clock = test_clock.map(test_clock::bind).transpose()?;
    let gate = Arc::new(Gate::default());
    let (ops_stop, ops_stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(ops_stopped.await) };
    let ops = muster_api::serve(ops_listener, Arc::clone(&gate), stopped);
    let ops = serve_on_thread("ops", ops)?;

    kill_point("ingest.start.before_store");
    let store = Arc::new(open_store(&config)?);
    let clock = ClockThread::start(&config, &store)?;
    let space = SpaceReclaimer::start(&store)?;
    let rules = policy::put_in_store(&config, &store)?;
    let memory = MemoryBound::of(&config, cores());
    tracing::info!(
        bytes = memory.bytes(),
        "memory bound of this configuration; muster config check prints its parts"
    );
    let parts = start_parts(&config, &store, &rules, clock.time())?;
    parts.give_targets(&rules.log.plane)?;
    if let Some(socket) = test_clock {
        test_clock::serve(socket, &parts, &config)?;
    }

    kill_point("ingest.start.before_serving");
    let runtime = net_runtime(&config)?;
    let context = listener_context(&config, &parts, &rules);
    let (tickets, early_data) = (config.listen.tickets_max.get(), config.listen.early_data);
    let tls = net::resumable(tls, tickets, early_data, &parts.metrics);
    let endpoint = {
        let _guard = runtime.enter();
        net::endpoint(&config.listen, tls, restart_secret, socket)?
    };
    let quic = endpoint.local_addr().map_err(EndpointError::Start)?;
    runtime.spawn(Listener::new(endpoint.clone(), Arc::clone(&context)).run());

    let tenants = context.tenants.count();
    let control = control_service(&config, &parts, &store, rules, &context);
    let about = (started_at, memory.bytes(), api.as_ref());
    let backend = backend(&config, &parts, &store, control, about);
    let drain = signals.listen()?;
    parts.phase.advance(Phase::Serving);
    if let Some(api) = &api {
        let devices_max = config.shards.devices_max;
        api.open(Arc::clone(&backend) as Arc<dyn Backend>, devices_max);
    }
    gate.open(backend, http.ip());
    tracing::info!(%quic, ops = %http, shard_threads = parts.shard_threads.len(), tenants, "serving");
    announce(quic, http, api.as_ref().map(|api| api.address))?;

    drain.wait();
    let deadline = config.shutdown.deadline.get();
    let running = Running {
        runtime,
        endpoint,
        registry: Arc::clone(&context.registry),
    };
    shutdown::drain(running, parts, deadline);
    // Last, so that operators can observe the drain. The backend also has a reference to the store.
    let api = api.map(ApiServer::stop);
    drop(gate);
    drop(ops_stop);
    // Fails only if the thread panicked, which it has reported itself.
    let _ = ops.join();
    let _ = api.map(std::thread::JoinHandle::join);
    drop((space, clock));
    close(store)?;
    tracing::info!("stopped");
    Ok(())
}

/// Flushes and closes the store, unless a request of an operator still reads it.
fn close(store: Arc<Store>) -> Result<(), WriteError> {
    kill_point("ingest.stop.before_close");
    match Arc::into_inner(store) {
        Some(store) => store.close()?,
        None => tracing::warn!(
            "a backup or recount is still reading the store, so the store is not flushed: the next start replays RocksDB's log"
        ),
    }
    kill_point("ingest.stop.after_close");
    Ok(())
}

fn open_store(config: &Config) -> Result<Store, ServerError> {
    let mut wanted = StoreConfig::new(&config.store.directory);
    wanted.group_bytes_max = config.store.group_bytes_max.get() as usize;
    let store = Store::open(&wanted)?;
    for notice in store.notices() {
        tracing::warn!(
            what = notice.as_str(),
            "found a defect in the data directory; the start continues"
        );
    }
    Ok(store)
}

fn start_parts(
    config: &Config,
    store: &Arc<Store>,
    rules: &policy::Rules,
    time: Arc<SteeredTime>,
) -> Result<Parts, ServerError> {
    let began = crate::clock::stamp();
    let options = RecoverOptions {
        limits: ShardLimits {
            devices_max: config.shards.devices_max,
        },
        hash_seed: random_seed(),
    };
    let (shards, writer) =
        recovery::recover(store, options).map_err(|source| ServerError::Recover {
            directory: config.store.directory.display().to_string(),
            source,
        })?;
    let devices: u64 = shards.iter().map(|shard| u64::from(shard.devices())).sum();
    let seconds = crate::clock::stamp().since(began).as_secs_f64();
    tracing::info!(
        devices,
        seconds,
        journal_bytes = writer.journal_bytes_live(),
        "recovered"
    );
    let map = ShardMap::new(store.shards());
    let map = ThreadMap::new(map, config.shards.threads_on(cores()));
    let tenants: Vec<_> = rules.log.plane.tenants().map(|(index, _)| index).collect();
    Parts::start(config, map, shards, writer, &rules.policy, &tenants, time)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// A random number that clients cannot predict.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

fn net_runtime(config: &Config) -> Result<tokio::runtime::Runtime, ServerError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let threads = match config.listen.network_threads {
        0 => cores().min(64),
        threads => threads as usize,
    };
    builder
        .worker_threads(threads)
        .thread_name("net")
        .enable_all();
    builder.build().map_err(|source| ServerError::Start {
        what: "the net runtime",
        source,
    })
}

fn listener_context(config: &Config, parts: &Parts, rules: &policy::Rules) -> Arc<ListenerContext> {
    let tenants = rules.log.plane.tenants();
    let named = tenants.map(|(index, tenant)| (tenant.name.to_string(), index));
    Arc::new(ListenerContext {
        config: config.listen.clone(),
        tenants: Arc::new(ServedTenants::new(named)),
        routes: Arc::clone(&parts.routes),
        registry: Arc::clone(&parts.registry),
        metrics: Arc::clone(&parts.metrics),
        phase: parts.phase.clone(),
        log: ListenerContext::new_log(),
        clock: Clock::Steered(Arc::clone(&parts.time)),
    })
}

fn control_service(
    config: &Config,
    parts: &Parts,
    store: &Arc<Store>,
    rules: policy::Rules,
    context: &ListenerContext,
) -> ControlService {
    let admission = Admission {
        served: Arc::clone(&context.tenants),
        routes: Arc::clone(&parts.routes),
        phase: parts.phase.clone(),
        tenants_max: config.shards.tenants_max as usize,
    };
    let (store, shards) = (Arc::clone(store), parts.controls.clone());
    ControlService::new(store, shards, rules.log, rules.policy, admission)
}

fn backend(
    config: &Config,
    parts: &Parts,
    store: &Arc<Store>,
    control: ControlService,
    (started_at, memory_bound_bytes, api): (Timestamp, u64, Option<&ApiServer>),
) -> Arc<ServerBackend> {
    Arc::new(ServerBackend::new(backend::Context {
        phase: parts.phase.clone(),
        metrics: Arc::clone(&parts.metrics),
        registry: Arc::clone(&parts.registry),
        routes: Arc::clone(&parts.routes),
        controls: parts.controls.clone(),
        writer: Arc::clone(&parts.writer_report),
        view: Arc::clone(&parts.view),
        store: Arc::clone(store),
        control: Arc::new(control),
        takes_changes: config.ops.allow_changes,
        backup_directory: config.store.backup_directory.clone(),
        started_at,
        memory_bound_bytes,
        issuers: api.map(ApiServer::issuers).unwrap_or_default(),
        clock: Arc::clone(&parts.time),
    }))
}

/// Runs a service until it is stopped, on a separate thread and runtime, so that no request delays a check-in.
fn serve_on_thread(
    name: &'static str,
    serving: impl Future<Output = std::io::Result<()>> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, ServerError> {
    let start = |source| ServerError::Start {
        what: "a service thread",
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(start)?;
    let serve = move || {
        if let Err(error) = runtime.block_on(serving) {
            tracing::error!(%error, service = name, "service failed");
        }
        // A recount or a read of a stuck disk must not delay the exit of the process.
        runtime.shutdown_timeout(OPS_READS_MAX);
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(serve)
        .map_err(start)
}
