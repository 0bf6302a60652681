//! Both ends of a connection in one process, each on its own runtime, like server and generator.
//!
//! The server end is that of Muster: socket, transport, and TLS 1.3 with verified client certificates. The client end
//! is bare quinn with the windows of Muster's client. The benches define what runs on them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::anyhow;
use muster_cli::pki::{CertificateAuthority, PkiDirectory, Validity};
use muster_ingest::config::Config;
use muster_ingest::metrics::Metrics;
use muster_ingest::pki::tls;
use muster_ingest::{clock, net};
use muster_wire::{ALPN, Identity};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Endpoint, EndpointConfig, TokioRuntime, TransportConfig};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, RootCertStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Maximum bytes in flight from the client.
const CLIENT_SEND_WINDOW: u64 = 8 << 20;

/// The keep-alive interval of the load generator.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

const CONFIG: &str = r#"
[listen]
address = "127.0.0.1:0"
certificate = "server.pem"
key = "server.key"
client_ca = "ca.pem"

[store]
directory = "unused"
"#;

/// Certificates of both ends, in a temporary directory.
pub(super) struct Environment {
    directory: TempDir,
    ca_pem: String,
    certificate_pem: String,
    key_pem: String,
}

/// A listening server and a runtime for its clients.
pub(super) struct Pair {
    pub(super) server_runtime: Runtime,
    pub(super) client_runtime: Runtime,
    pub(super) server: Endpoint,
    pub(super) address: SocketAddr,
}

impl Environment {
    pub(super) fn create(parent: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir_in(parent)?;
        let now = UNIX_EPOCH + Duration::from_millis(clock::wall().as_millis());
        let validity = Validity::from_now(now, 1);
        let authority = CertificateAuthority::create(validity)?;
        let server = authority.issue_server(&[], validity)?;
        PkiDirectory::at(directory.path()).create(&authority, &server)?;
        let identity: Identity = "muster://bench/gateway/bench".parse()?;
        let client = authority.issue_client(&identity, validity)?;
        Ok(Self {
            directory,
            ca_pem: authority.certificate_pem().to_owned(),
            certificate_pem: client.certificate_pem,
            key_pem: client.key_pem,
        })
    }

    fn config(&self) -> anyhow::Result<Config> {
        Config::parse(CONFIG, self.directory.path()).map_err(|faults| anyhow!("{faults}"))
    }

    /// The TLS settings of the server, including its ticket store, which updates `metrics`.
    pub(super) fn server_tls(
        &self,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<rustls::ServerConfig> {
        let listen = self.config()?.listen;
        let tls = tls::server_config(&listen.tls())?;
        let tickets_max = listen.tickets_max.get();
        Ok(net::resumable(tls, tickets_max, listen.early_data, metrics))
    }

    /// The TLS settings of the client, AES-128 preferred, but without resumption.
    pub(super) fn client_tls(&self) -> anyhow::Result<rustls::ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?)?;
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        let suites = &mut provider.cipher_suites;
        suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())?;
        let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![certificate],
                PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?,
            )?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        tls.resumption = Resumption::disabled();
        Ok(tls)
    }

    /// A socket for any number of clients, with the buffer sizes of the server's socket: smaller ones would drop
    /// replies to many clients. Must be called within a runtime.
    pub(super) fn client_endpoint(&self) -> anyhow::Result<Endpoint> {
        let socket = net::bind(&self.config()?.listen)?;
        let (config, runtime) = (EndpointConfig::default(), Arc::new(TokioRuntime));
        Ok(Endpoint::new(config, None, socket, runtime)?)
    }

    /// Starts the server.
    pub(super) fn pair(&self, tls: rustls::ServerConfig) -> anyhow::Result<Pair> {
        let config = self.config()?;
        let (server_runtime, client_runtime) = (runtime()?, runtime()?);
        let server = {
            let _guard = server_runtime.enter();
            net::endpoint(&config.listen, tls, [0; 32], net::bind(&config.listen)?)?
        };
        let address = server.local_addr()?;
        Ok(Pair {
            server_runtime,
            client_runtime,
            server,
            address,
        })
    }
}

/// The transport settings of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Gateway,
    /// No path MTU discovery, and no segmentation offload.
    Device,
}

/// The configuration of a client with these TLS settings.
pub(super) fn client_config(
    tls: rustls::ClientConfig,
    client: Client,
) -> anyhow::Result<quinn::ClientConfig> {
    let mut transport = TransportConfig::default();
    transport.send_window(CLIENT_SEND_WINDOW);
    if client == Client::Device {
        transport.mtu_discovery_config(None);
        transport.enable_segmentation_offload(false);
    }
    // Clients that wait at the start barrier must not be closed by the idle timeout.
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

fn runtime() -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .enable_all()
        .build()?)
}
