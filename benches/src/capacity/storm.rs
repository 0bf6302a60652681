//! Idle connections and a reconnect storm: the memory of a silent fleet, and the reconnection of all devices at once.
//!
//! Every device connects, checks in and stays connected. Then all connections are dropped, and all devices reconnect at
//! the same time, each with one check-in and the TLS session of its last connection. Acks must keep arriving until
//! every check-in is durable, so the longest time without an ack is measured. Bounds: the connections of [`Sizes`], and
//! a maximum number of concurrent handshakes before the storm.

use std::sync::Arc;

use anyhow::{Context, ensure};
use muster_client::{Client, Endpoint};
use muster_ingest::clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connections::Device;
use super::environment::{Environment, ServerProcess, sum_of};
use super::figures::Figures;
use super::sizes::Sizes;
use crate::latencies::Latencies;
use crate::start_barrier::StartBarrier;

pub(super) const IDLE: &str = "idle_connection_bytes";
pub(super) const STORM: &str = "storm_connections_per_second";

/// Sockets that the devices share. A real device has its own socket, but a quinn endpoint takes megabytes. With this
/// number about thirty devices, not hundreds, share the receive buffer of a socket.
const SOCKETS: usize = 128;

/// Maximum concurrent handshakes before the storm, as in the load generator.
const HANDSHAKES_MAX: usize = 64;

/// The rate of the storm is computed when this percentage has reconnected: the last devices wait for their own
/// back-off, not for the server.
const RECONNECTED_PERCENT: f64 = 99.0;

pub(super) fn measure(
    environment: &Environment,
    sizes: &Sizes,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let server = environment.serve()?;
    let files = environment.devices()?;
    let fleet = Fleet::new(environment, &server)?;
    let devices = (0..).zip(&files).map(|(number, file)| {
        let socket = fleet.socket(number as usize);
        Device::new(environment, &server, (file, number), socket, true)
    });
    let mut warm_up: Vec<Device> = devices.collect::<anyhow::Result<_>>()?;
    let all = warm_up.len();
    ensure!(
        all as u64 == sizes.devices_connected(),
        "unexpected number of certificates"
    );
    let idle = warm_up.split_off(sizes.idle_warm_up as usize);
    let idle_count = idle.len() as f64;

    let mut connected = environment.block_on(fleet.connect(warm_up))?;
    let before = server.resident_bytes()?;
    connected.extend(environment.block_on(fleet.connect(idle))?);
    let after = server.resident_bytes()?;
    let sessions = sum_of(
        &server.metrics().context("no metrics")?,
        "muster_net_sessions",
    );
    ensure!(
        sessions == all as f64,
        "{sessions} of {all} devices are connected"
    );
    figures.add(IDLE, after.saturating_sub(before) as f64 / idle_count);

    let latencies = environment.block_on(fleet.storm(connected))?;
    ensure!(latencies.count() == all, "a device did not reconnect");
    server.verify(all as u64)?;
    let metrics = server.metrics().context("no metrics")?;
    server.stop()?;
    let [p50, p99, max] = latencies.percentiles_us([50.0, RECONNECTED_PERCENT, 100.0]);
    let reconnected = all as f64 * RECONNECTED_PERCENT / 100.0;
    figures.add(STORM, reconnected / (p99 as f64 / 1e6));
    for (name, value) in [
        ("storm_ack_p50_ms", p50),
        ("storm_ack_p99_ms", p99),
        ("storm_ack_max_ms", max),
        (
            "storm_longest_time_without_ack_ms",
            latencies.longest_gap_us(),
        ),
    ] {
        figures.add(name, value as f64 / 1e3);
    }
    for (name, family) in [
        ("storm_attempts_refused", "muster_net_refused_total"),
        ("storm_attempts_retried", "muster_net_retries_total"),
    ] {
        figures.add(name, sum_of(&metrics, family));
    }
    Ok(())
}

/// The sockets of all devices.
struct Fleet(Vec<Endpoint>);

impl Fleet {
    fn new(environment: &Environment, server: &ServerProcess<'_>) -> anyhow::Result<Self> {
        let address = server.addresses().quic;
        environment.block_on(async {
            let sockets = (0..SOCKETS).map(|_| Endpoint::for_server(address));
            Ok(Self(sockets.collect::<Result<_, _>>()?))
        })
    }

    fn socket(&self, number: usize) -> &Endpoint {
        &self.0[number % self.0.len()]
    }

    /// Connects these devices, with a maximum number of concurrent handshakes.
    async fn connect(&self, devices: Vec<Device>) -> anyhow::Result<Vec<(Device, Client)>> {
        let permits = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let mut tasks = JoinSet::new();
        for mut device in devices {
            let permits = Arc::clone(&permits);
            tasks.spawn(async move {
                let _permit = permits.acquire().await?;
                let client = device.connect_and_check_in().await?;
                anyhow::Ok((device, client))
            });
        }
        let mut all = Vec::with_capacity(tasks.len());
        while let Some(connected) = tasks.join_next().await {
            all.push(connected??);
        }
        Ok(all)
    }

    /// Drops all connections without a Goodbye and reconnects all devices at the same time. Returns the time from that
    /// moment until the ack of each device.
    async fn storm(&self, connected: Vec<(Device, Client)>) -> anyhow::Result<Latencies> {
        let barrier = StartBarrier::new(connected.len());
        let mut tasks = JoinSet::new();
        let (devices, clients): (Vec<Device>, Vec<Client>) = connected.into_iter().unzip();
        drop(clients);
        for mut device in devices {
            let barrier = barrier.clone();
            tasks.spawn(async move {
                let started = barrier.wait().await;
                let _client = device.connect_and_check_in().await?;
                let mut latencies = Latencies::default();
                latencies.add(clock::stamp().since(started));
                Ok(latencies)
            });
        }
        let (_, latencies) = barrier.time_clients(tasks).await?;
        Ok(latencies)
    }
}
