//! Devices with one connection each, on persistent and on short-lived connections.
//!
//! The load generator drives devices on persistent connections. Short-lived connections are driven from here, like the
//! bare handshakes that they are compared with: concurrent clients connect, check in, wait for the durable ack, and
//! close with Goodbye. [`KINDS`] has the kinds.

use anyhow::{Context, ensure};
use muster_client::{Client, ClientConfig, Connector, Endpoint, Pem, Progress};
use muster_ingest::clock;
use muster_testkit::identities::{IdentityFile, Kind};
use muster_wire::{CheckInRecord, DeviceId};
use tokio::task::JoinSet;

use super::environment::{Environment, ServerProcess, TIMEOUT};
use super::figures::Figures;
use super::load::Load;
use crate::fleet;
use crate::latencies::Latencies;
use crate::parts::Size;
use crate::parts::quic::{handshakes, requests};
use crate::start_barrier::StartBarrier;

/// The kinds of short-lived connections by their name in figures, and whether they resume the TLS session of the
/// previous connection.
const KINDS: [(&str, bool); 2] = [("full", false), ("resumed", true)];

pub(super) const CONNECT_FULL: &str = "device_connect_full_per_second";
pub(super) const CONNECT_RESUMED: &str = "device_connect_resumed_per_second";

/// The name of the figure for the rate on this number of persistent connections with this window.
pub(super) fn persistent_figure((connections, window): (u64, u64)) -> String {
    format!("device_{connections}_connections_window_{window}_check_ins_per_second")
}

/// Measures persistent connections, with the same numbers of connections, check-ins and windows as the bare requests.
pub(super) fn persistent(
    environment: &Environment,
    size: Size,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for case @ (devices, window) in requests::cases(size) {
        let load = Load {
            kind: Kind::Device,
            window: Some(window),
            ..Load::through_gateways(devices, devices * requests::requests(size, devices))
        };
        let server = environment.serve()?;
        let report = load.run(environment, &server, &mut || Ok(()))?;
        server.stop()?;
        figures.add(persistent_figure(case), report.check_ins_per_second);
        let latency = report.ack_latency_ms;
        let prefix = format!("device_{devices}_connections_window_{window}");
        figures.add(format!("{prefix}_p50_ms"), latency.p50);
        figures.add(format!("{prefix}_p99_ms"), latency.p99);
    }
    Ok(())
}

/// Measures every kind of short-lived connections.
pub(super) fn short_lived(
    environment: &Environment,
    size: Size,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    for (kind, resume) in KINDS {
        let (rate, core_ns, latencies) = one_run(environment, size, resume)?;
        let [p50, p99] = latencies.percentiles_us([50.0, 99.0]);
        figures.add(format!("device_connect_{kind}_per_second"), rate);
        figures.add(format!("device_connect_{kind}_server_core_ns"), core_ns);
        figures.add(format!("device_connect_{kind}_p50_us"), p50 as f64);
        figures.add(format!("device_connect_{kind}_p99_us"), p99 as f64);
    }
    Ok(())
}

/// Runs as many clients and connections as the bare handshakes. Returns the rate, the server's core time per connection
/// in nanoseconds, and the latencies.
fn one_run(
    environment: &Environment,
    size: Size,
    resume: bool,
) -> anyhow::Result<(f64, f64, Latencies)> {
    let clients = handshakes::clients(size);
    let connections = handshakes::handshakes(size);
    let server = environment.serve()?;
    let devices = environment.devices()?;
    ensure!(devices.len() as u64 >= clients, "too few certificates");
    let (stopwatch, latencies) = environment.block_on(async {
        let endpoint = Endpoint::for_server(server.addresses().quic)?;
        let barrier = StartBarrier::new(clients as usize);
        let mut tasks = JoinSet::new();
        for (number, file) in (0..clients).zip(&devices) {
            let device = Device::new(environment, &server, (file, number), &endpoint, resume)?;
            tasks.spawn(run_client(device, connections, barrier.clone()));
        }
        barrier.time_clients(tasks).await
    })?;
    let items = clients * connections;
    ensure!(latencies.count() as u64 == items, "connections were lost");
    // The first connection of each client is not timed, but the server's core time includes it.
    let core_ns = server.core_ns(items + clients);
    server.verify(clients)?;
    server.stop()?;
    let rate = items as f64 / stopwatch.wall().as_secs_f64();
    Ok((rate, core_ns, latencies))
}

/// A device that connects for each check-in. Its first connection, which registers it and gives it a session to resume,
/// is not timed.
async fn run_client(
    mut device: Device,
    connections: u64,
    barrier: StartBarrier,
) -> anyhow::Result<Latencies> {
    device.connect_once().await?;
    barrier.wait().await;
    let mut latencies = Latencies::default();
    for _ in 0..connections {
        let started = clock::stamp();
        device.connect_once().await?;
        latencies.add(clock::stamp().since(started));
    }
    Ok(latencies)
}

/// A device with its own certificate, which is read once, and the seq of its last check-in.
pub(super) struct Device {
    connector: Connector,
    id: DeviceId,
    number: u64,
    seq: u64,
}

impl Device {
    /// A device that connects over this socket and, with `resume`, resumes the TLS session of its last connection.
    pub(super) fn new(
        environment: &Environment,
        server: &ServerProcess<'_>,
        (file, number): (&IdentityFile, u64),
        endpoint: &Endpoint,
        resume: bool,
    ) -> anyhow::Result<Self> {
        let identity = Pem::text(std::fs::read(&file.path)?);
        let authority = Pem::text(std::fs::read(environment.authority())?);
        let mut config = ClientConfig::new(server.addresses().quic, authority, identity);
        config.resume = resume;
        config.idle_timeout = TIMEOUT;
        config.handshake_timeout = TIMEOUT;
        // A live server accepts every client long before this; without a limit, a dead one would block the run.
        config.offline_timeout = Some(TIMEOUT);
        Ok(Self {
            connector: Connector::new(endpoint, config)?,
            id: file.device_id().context("not a certificate of a device")?,
            number,
            seq: 0,
        })
    }

    /// Connects, checks in, waits for the durable ack, and leaves the connection open.
    pub(super) async fn connect_and_check_in(&mut self) -> anyhow::Result<Client> {
        let client = self.connector.connect().await?;
        client.send(&[self.next_check_in()]).await?;
        client.flush().await?;
        ensure_accepted(&client.progress())?;
        Ok(client)
    }

    /// Connects, checks in, waits for the durable ack, and closes with Goodbye.
    async fn connect_once(&mut self) -> anyhow::Result<()> {
        let check_in = self.next_check_in();
        let progress = self.connector.check_in_once(&[check_in]).await?;
        ensure_accepted(&progress)
    }

    fn next_check_in(&mut self) -> CheckInRecord {
        self.seq += 1;
        fleet::check_in_of(self.id, self.number, self.seq)
    }
}

fn ensure_accepted(progress: &Progress) -> anyhow::Result<()> {
    ensure!(
        progress.accepted == 1 && progress.frames_acked == 1,
        "a check-in was not accepted: {progress:?}"
    );
    Ok(())
}
