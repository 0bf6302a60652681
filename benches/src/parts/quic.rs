//! A bulk stream over bare quinn on the loopback: the server's own endpoint and TLS, the client's
//! windows, mutual certificates, and nobody who looks at the bytes.
//!
//! Both ends are in this process, each on a runtime of its own, as server and generator are.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;
use muster_ingest::config::Config;
use muster_ingest::pki::{CertificateAuthority, PkiDirectory, Validity, tls};
use muster_ingest::{clock, net};
use muster_wire::limits::{CHECK_IN_BYTES, CHECK_INS_BYTES_MAX};
use muster_wire::{ALPN, Identity};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Endpoint, TransportConfig, VarInt};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::Runtime;

use super::{Name, Plan};
use crate::measure::{Digest, Row, Run, Stopwatch};

/// What the server grants a gateway once it knows its certificate.
const GATEWAY_RECEIVE_WINDOW: u32 = 4 << 20;

/// What the client has in flight at most.
const CLIENT_SEND_WINDOW: u64 = 8 << 20;

/// Chunks the server takes from a gateway's stream at once.
const CHUNKS: usize = 64;

/// Bytes before the clock starts, so that the start of the connection is not measured.
const RAMP_BYTES: u64 = 8 << 20;

const CONFIG: &str = r#"
[listen]
address = "127.0.0.1:0"
certificate = "server.pem"
key = "server.key"
client_ca = "ca.pem"

[store]
directory = "unused"

[[tenants]]
name = "bench"
"#;

pub(super) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let check_ins = plan.size.pick(500_000, 20_000_000);
    let directory = tempfile::tempdir_in(&plan.directory)?;
    let pki = Pki::create(directory.path())?;
    let runs: anyhow::Result<Vec<Run>> = (0..plan.repeats)
        .map(|_| one_run(directory.path(), &pki, check_ins))
        .collect();
    let row = Row::new(Name::Quic, "bulk stream, 48 B records, both ends *", runs?)?;
    Ok(vec![row])
}

struct Pki {
    ca_pem: String,
    certificate_pem: String,
    key_pem: String,
}

impl Pki {
    fn create(directory: &Path) -> anyhow::Result<Self> {
        let now = UNIX_EPOCH + Duration::from_millis(clock::wall().as_millis());
        let validity = Validity::from_now(now, 1);
        let authority = CertificateAuthority::create(validity)?;
        let server = authority.issue_server(&[], validity)?;
        PkiDirectory::at(directory).create(&authority, &server)?;
        let identity: Identity = "muster://bench/gateway/bench".parse()?;
        let client = authority.issue_client(&identity, validity)?;
        Ok(Self {
            ca_pem: authority.certificate_pem().to_owned(),
            certificate_pem: client.certificate_pem,
            key_pem: client.key_pem,
        })
    }

    fn client_config(&self) -> anyhow::Result<quinn::ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(
                    self.certificate_pem.as_bytes(),
                )?],
                PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())?,
            )?;
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let mut transport = TransportConfig::default();
        transport.send_window(CLIENT_SEND_WINDOW);
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(Arc::new(transport));
        Ok(config)
    }
}

fn one_run(directory: &Path, pki: &Pki, check_ins: u64) -> anyhow::Result<Run> {
    let config = Config::parse(CONFIG, directory).map_err(|faults| anyhow!("{faults}"))?;
    let tls = tls::server_config(&config.listen.tls())?;
    let server_runtime = runtime()?;
    let client_runtime = runtime()?;
    let server = {
        let _guard = server_runtime.enter();
        net::endpoint(&config.listen, tls, [0; 32], net::bind(&config.listen)?)?
    };
    let address = server.local_addr()?;
    let sending = client_runtime.spawn(send(address, pki.client_config()?, check_ins));
    let run = server_runtime.block_on(receive(server, check_ins))?;
    client_runtime.block_on(sending)??;
    Ok(run)
}

fn runtime() -> anyhow::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores)
        .enable_all()
        .build()?)
}

async fn receive(endpoint: Endpoint, check_ins: u64) -> anyhow::Result<Run> {
    let incoming = endpoint.accept().await.context("the endpoint ended")?;
    let connection = incoming.await?;
    connection.set_receive_window(VarInt::from_u32(GATEWAY_RECEIVE_WINDOW));
    // On a worker of the runtime, where a session is, and not on the thread that waits for it.
    let reading = tokio::spawn({
        let connection = connection.clone();
        async move {
            let (_send, mut stream) = connection.accept_bi().await?;
            let mut chunks = vec![Bytes::new(); CHUNKS];
            let (mut bytes, mut running, mut first) = (0, None, 0);
            while let Some(count) = stream.read_chunks(&mut chunks).await? {
                bytes += chunks[..count]
                    .iter()
                    .map(|chunk| chunk.len() as u64)
                    .sum::<u64>();
                if bytes >= RAMP_BYTES && running.is_none() {
                    first = bytes;
                    running = Some(Stopwatch::default().start());
                }
            }
            let expected = RAMP_BYTES + check_ins * CHECK_IN_BYTES as u64;
            ensure!(bytes == expected, "{bytes} of {expected} bytes came");
            let running = running.context("the stream ended early")?;
            // The clock started within a read, so a little less than all of it was timed.
            let timed = (bytes - first) as f64 / (bytes - RAMP_BYTES) as f64;
            let mut run = running.stop().run(check_ins, Digest::of(bytes));
            run.wall = run.wall.div_f64(timed);
            run.core = run.core.div_f64(timed);
            anyhow::Ok(run)
        }
    });
    let run = reading.await??;
    connection.close(VarInt::from_u32(0), b"done");
    endpoint.wait_idle().await;
    Ok(run)
}

async fn send(
    address: SocketAddr,
    config: quinn::ClientConfig,
    check_ins: u64,
) -> anyhow::Result<()> {
    let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into())?;
    let connection = endpoint.connect_with(config, address, "localhost")?.await?;
    let (mut stream, _receive) = connection.open_bi().await?;
    let frame = Bytes::from(vec![0x5a; CHECK_INS_BYTES_MAX]);
    let mut left = RAMP_BYTES + check_ins * CHECK_IN_BYTES as u64;
    while left > 0 {
        let count = left.min(frame.len() as u64);
        stream.write_chunk(frame.slice(..count as usize)).await?;
        left -= count;
    }
    stream.finish()?;
    connection.closed().await;
    endpoint.wait_idle().await;
    Ok(())
}
