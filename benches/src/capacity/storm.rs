//! A fleet of open connections: what it costs the server while it is silent, and how it comes back all at once.
//!
//! Every device connects, checks in and stays. Then all leave, and all come back at the same moment, each with one
//! check-in and the TLS session of its last connection. Acks must keep coming until the last of them is durable, so the
//! longest time without one is noted. Bounds: the connections of [`Sizes`], a few at a time on the way in.

use std::sync::Arc;

use anyhow::{Context, ensure};
use muster_client::{Client, Endpoint};
use muster_ingest::clock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connections::Device;
use super::environment::{Environment, Running, sum_of};
use super::figures::Figures;
use super::sizes::Sizes;
use crate::latencies::Latencies;
use crate::start_barrier::StartBarrier;

pub(super) const IDLE: &str = "idle_connection_bytes";
pub(super) const STORM: &str = "storm_connections_per_second";

/// Sockets that connections share: a device has one of its own, but a socket of quinn takes megabytes. So many that
/// what the kernel keeps for a socket is for some thirty devices, not for hundreds.
const SOCKETS: usize = 128;

/// Handshakes at a time on the way in, as in the load generator.
const CONNECTING: usize = 64;

/// The storm is counted until so many percent are back: the last ones wait in their own back-off, not for the server.
const BACK_PERCENT: f64 = 99.0;

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
    let mut first: Vec<Device> = devices.collect::<anyhow::Result<_>>()?;
    ensure!(
        first.len() as u64 == sizes.devices_connected(),
        "too few certificates"
    );
    let rest = first.split_off(sizes.idle_before as usize);
    let (count, all) = (rest.len() as f64, first.len() + rest.len());

    let mut connected = environment.wait(fleet.connect(first))?;
    let before = server.resident_bytes()?;
    connected.extend(environment.wait(fleet.connect(rest))?);
    let after = server.resident_bytes()?;
    let sessions = sum_of(
        &server.metrics().context("no metrics")?,
        "muster_net_sessions",
    );
    ensure!(sessions == all as f64, "{sessions} of {all} are connected");
    figures.add(IDLE, after.saturating_sub(before) as f64 / count);

    let latencies = environment.wait(fleet.storm(connected))?;
    ensure!(latencies.count() == all, "not all came back");
    server.verify(all as u64)?;
    let metrics = server.metrics().context("no metrics")?;
    server.stop()?;
    let [p50, p99, max] = latencies.percentiles_us([50.0, BACK_PERCENT, 100.0]);
    let back = all as f64 * BACK_PERCENT / 100.0;
    figures.add(STORM, back / (p99 as f64 / 1e6));
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
    fn new(environment: &Environment, server: &Running<'_>) -> anyhow::Result<Self> {
        let address = server.addresses().quic;
        environment.wait(async {
            let sockets = (0..SOCKETS).map(|_| Endpoint::for_server(address));
            Ok(Self(sockets.collect::<Result<_, _>>()?))
        })
    }

    fn socket(&self, number: usize) -> &Endpoint {
        &self.0[number % self.0.len()]
    }

    /// Connects these, a few at a time.
    async fn connect(&self, devices: Vec<Device>) -> anyhow::Result<Vec<(Device, Client)>> {
        let places = Arc::new(Semaphore::new(CONNECTING));
        let mut running = JoinSet::new();
        for mut device in devices {
            let places = Arc::clone(&places);
            running.spawn(async move {
                let _place = places.acquire().await?;
                let client = device.arrive().await?;
                anyhow::Ok((device, client))
            });
        }
        let mut all = Vec::with_capacity(running.len());
        while let Some(connected) = running.join_next().await {
            all.push(connected??);
        }
        Ok(all)
    }

    /// All leave without a Goodbye, and come back at the same moment; when each had its ack,
    /// counted from that moment.
    async fn storm(&self, connected: Vec<(Device, Client)>) -> anyhow::Result<Latencies> {
        let barrier = StartBarrier::new(connected.len());
        let mut running = JoinSet::new();
        let (devices, clients): (Vec<Device>, Vec<Client>) = connected.into_iter().unzip();
        drop(clients);
        for mut device in devices {
            let barrier = barrier.clone();
            running.spawn(async move {
                let began = barrier.pass().await;
                let _client = device.arrive().await?;
                let mut latencies = Latencies::default();
                latencies.add(clock::stamp().since(began));
                Ok(latencies)
            });
        }
        let (_, latencies) = barrier.open(running).await?;
        Ok(latencies)
    }
}
