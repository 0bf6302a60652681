//! The operators' API: its listener, its runtime, and when it opens.
//!
//! Owner: the main thread. The runtime has one thread, so that requests of operators take at most one core from
//! check-ins; what blocks runs on its blocking threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use muster_api::{
    Backend, GraphGate, GraphOptions, IssuerCounters, IssuerSettings, Issuers, LinkSecret,
    ServerNames, serve_graph,
};
use tokio::sync::oneshot;

use super::addresses::bind_tcp;
use super::{ServerError, serve_on_thread};
use crate::memory::NAME_BYTES;

/// What the API needs besides its address.
#[derive(Debug)]
pub struct ApiTls {
    /// Its TLS configuration.
    pub config: rustls::ServerConfig,
    /// The names in its certificate.
    pub names: Vec<String>,
    /// Authenticates the tokens in links.
    pub link_secret: LinkSecret,
    /// The issuers of OpenID Connect whose users may use it.
    pub issuers: Vec<IssuerSettings>,
}

/// The API of a server.
#[derive(Debug)]
pub(super) struct ApiServer {
    /// The address that it listens on.
    pub(super) address: SocketAddr,
    gate: Arc<GraphGate>,
    names: Vec<String>,
    link_secret: LinkSecret,
    issuers: Arc<Issuers>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Binds the address and starts the runtime, if the API is served. Until it is opened, every request is refused with
/// 503.
pub(super) fn start(
    tls: Option<ApiTls>,
    address: SocketAddr,
) -> Result<Option<ApiServer>, ServerError> {
    let Some(tls) = tls else {
        return Ok(None);
    };
    let refused = |source| ServerError::Api { address, source };
    let listener = bind_tcp(address).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let gate = Arc::new(GraphGate::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let issuers = Arc::new(Issuers::new(tls.issuers));
    let keys = Arc::clone(&issuers).keep_keys();
    let serving = serve_graph(listener, Arc::new(tls.config), Arc::clone(&gate), stopped);
    let thread = serve_on_thread("api", async move {
        // Ends with the runtime.
        tokio::spawn(keys);
        serving.await
    })?;
    Ok(Some(ApiServer {
        address: bound,
        gate,
        names: tls.names,
        link_secret: tls.link_secret,
        issuers,
        stop,
        thread,
    }))
}

impl ApiServer {
    /// What is counted about its issuers.
    pub(super) fn issuers(&self) -> Arc<IssuerCounters> {
        self.issuers.counters()
    }

    /// Opens the API once the server has recovered.
    pub(super) fn open(&self, backend: Arc<dyn Backend>, devices_max: u32) {
        let names = ServerNames {
            own: self.names.clone(),
            default: self.address.to_string(),
        };
        let options = GraphOptions {
            names,
            link_secret: self.link_secret,
            issuers: Arc::clone(&self.issuers),
            name_bytes_max: devices_max as usize * NAME_BYTES,
        };
        self.gate.open(backend, options);
    }

    /// Stops it; requests in progress may take a few seconds longer.
    pub(super) fn stop(self) -> JoinHandle<()> {
        drop(self.stop);
        // The gate has a reference to the backend, and with it to the store.
        drop(self.gate);
        self.thread
    }
}
