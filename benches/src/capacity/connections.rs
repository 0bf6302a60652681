//! Devices that speak for themselves: one connection each, one check-in at a time, the client that devices use.
//!
//! On connections that stay open the load generator drives them. Those that come and go do so from here, as the bare
//! ones beside them: so many side by side, each connects, checks in, waits until that is durable, and says Goodbye.
//! The kinds of them are [`KINDS`].

use anyhow::{Context, ensure};
use muster_client::{Client, ClientConfig, Connector, Endpoint, Pem, Progress};
use muster_ingest::clock;
use muster_testkit::identities::{IdentityFile, Kind};
use muster_wire::{CheckInRecord, DeviceId};
use tokio::task::JoinSet;

use super::environment::{Environment, PATIENCE, Running};
use super::figures::Figures;
use super::load::Load;
use crate::fleet;
use crate::latencies::Latencies;
use crate::parts::Size;
use crate::parts::quic::{handshakes, requests};
use crate::start_barrier::StartBarrier;

/// Devices that come and go, by the word in the names of their figures: whether they resume the TLS session of the
/// connection before.
const KINDS: [(&str, bool); 2] = [("full", false), ("resumed", true)];

pub(super) const CONNECT_FULL: &str = "device_connect_full_per_second";
pub(super) const CONNECT_RESUMED: &str = "device_connect_resumed_per_second";

/// The rate on so many open connections, with so many check-ins of each without an ack.
pub(super) fn persistent_of((connections, window): (u64, u64)) -> String {
    format!("device_{connections}_connections_window_{window}_check_ins_per_second")
}

/// As many connections, check-ins and windows as the bare requests have.
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
        figures.add(persistent_of(case), report.check_ins_per_second);
        let (latency, what) = (
            report.ack_latency_ms,
            format!("device_{devices}_connections_window_{window}"),
        );
        figures.add(format!("{what}_p50_ms"), latency.p50);
        figures.add(format!("{what}_p99_ms"), latency.p99);
    }
    Ok(())
}

/// Every kind of connections that come and go.
pub(super) fn come_and_go(
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

/// As many clients and connections as the bare handshakes have; the rate, what one costs the server in nanoseconds
/// of a core, and how long each took.
fn one_run(
    environment: &Environment,
    size: Size,
    resume: bool,
) -> anyhow::Result<(f64, f64, Latencies)> {
    let (clients, times) = (handshakes::clients(size), handshakes::handshakes(size));
    let server = environment.serve()?;
    let devices = environment.devices()?;
    ensure!(devices.len() as u64 >= clients, "too few certificates");
    let (stopwatch, latencies) = environment.wait(async {
        let endpoint = Endpoint::for_server(server.addresses().quic)?;
        let barrier = StartBarrier::new(clients as usize);
        let mut running = JoinSet::new();
        for (number, file) in (0..clients).zip(&devices) {
            let device = Device::new(environment, &server, (file, number), &endpoint, resume)?;
            running.spawn(visits(device, times, barrier.clone()));
        }
        barrier.open(running).await
    })?;
    let items = clients * times;
    ensure!(latencies.count() as u64 == items, "connections were lost");
    // The first ones, which are not on the clock, cost the server as much.
    let core_ns = server.core_ns(items + clients);
    server.verify(clients)?;
    server.stop()?;
    let rate = items as f64 / stopwatch.wall().as_secs_f64();
    Ok((rate, core_ns, latencies))
}

/// A device that connects for each check-in. The first visit, which makes it known and leaves it a session to resume,
/// is not on the clock.
async fn visits(
    mut device: Device,
    times: u64,
    barrier: StartBarrier,
) -> anyhow::Result<Latencies> {
    device.visit().await?;
    barrier.pass().await;
    let mut latencies = Latencies::default();
    for _ in 0..times {
        let began = clock::stamp();
        device.visit().await?;
        latencies.add(clock::stamp().since(began));
    }
    Ok(latencies)
}

/// A device with a certificate of its own, read once, and the number of its last check-in.
pub(super) struct Device {
    connector: Connector,
    id: DeviceId,
    number: u64,
    seq: u64,
}

impl Device {
    /// A device that connects over this socket, and may resume the TLS session of its last connection.
    pub(super) fn new(
        environment: &Environment,
        server: &Running<'_>,
        (file, number): (&IdentityFile, u64),
        endpoint: &Endpoint,
        resume: bool,
    ) -> anyhow::Result<Self> {
        let identity = Pem::text(std::fs::read(&file.path)?);
        let authority = Pem::text(std::fs::read(environment.authority())?);
        let mut config = ClientConfig::new(server.addresses().quic, authority, identity);
        config.resume = resume;
        config.idle_timeout = PATIENCE;
        config.handshake_timeout = PATIENCE;
        // A server that is alive lets everybody in long before; one that is not must not hold the run.
        config.offline_timeout = Some(PATIENCE);
        Ok(Self {
            connector: Connector::new(endpoint, config)?,
            id: file.device_id().context("a certificate of a device")?,
            number,
            seq: 0,
        })
    }

    /// Connects, checks in, and waits until that is durable; the connection stays open.
    pub(super) async fn arrive(&mut self) -> anyhow::Result<Client> {
        let client = self.connector.connect().await?;
        client.send(&[self.next_check_in()]).await?;
        client.flush().await?;
        ensure_accepted(&client.progress())?;
        Ok(client)
    }

    /// Connects, checks in, waits until that is durable, and says Goodbye.
    async fn visit(&mut self) -> anyhow::Result<()> {
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
