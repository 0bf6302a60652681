//! Short-lived connections with one request each: a fleet that reconnects.
//!
//! Connect, one request, its reply, close, with certificates on both sides. The cases are full handshakes, full
//! handshakes after a Retry, which Muster sends when half of its handshake quota is in use, and sessions resumed with a
//! ticket of the previous connection. The server issues a ticket on every connection, as Muster does.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::ensure;
use muster_ingest::clock;
use muster_ingest::metrics::Metrics;
use quinn::{Endpoint, VarInt};
use rustls::client::Resumption;
use tokio::task::JoinSet;

use super::environment::{Client, Environment, client_config};
use super::requests::RequestStream;
use crate::latencies::Latencies;
use crate::measure::{Digest, Row, Run};
use crate::parts::{Name, PartsOptions, Size};
use crate::start_barrier::StartBarrier;

/// Sessions that a client keeps; it has only one server.
const CLIENT_SESSIONS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Retried,
    Resumed,
}

/// Number of concurrent clients.
pub(crate) const fn clients(size: Size) -> u64 {
    size.pick(4, 32)
}

/// Connections per client.
pub(crate) const fn handshakes(size: Size) -> u64 {
    size.pick(10, 100)
}

pub(in crate::parts) fn run(options: &PartsOptions) -> anyhow::Result<Vec<Row>> {
    let clients = clients(options.size);
    let handshakes = handshakes(options.size);
    let environment = Environment::create(&options.directory)?;
    let mut rows = Vec::new();
    for (kind, name) in [
        (Kind::Full, "full"),
        (Kind::Retried, "full, after Retry"),
        (Kind::Resumed, "resumed"),
    ] {
        let runs: anyhow::Result<Vec<Run>> = (0..options.repeats)
            .map(|_| one_run(&environment, kind, clients, handshakes))
            .collect();
        let case = format!("{name}, {clients} at a time");
        rows.push(Row::new(Name::Handshakes, case, runs?)?);
    }
    Ok(rows)
}

fn one_run(
    environment: &Environment,
    kind: Kind,
    clients: u64,
    handshakes: u64,
) -> anyhow::Result<Run> {
    let metrics = Arc::<Metrics>::default();
    let pair = environment.pair(environment.server_tls(&metrics)?)?;
    pair.serve(match kind {
        Kind::Full | Kind::Resumed => |_| false,
        Kind::Retried => |incoming| !incoming.remote_address_validated(),
    });
    let address = pair.address;
    let (stopwatch, latencies) = pair.client_runtime.block_on(async {
        let endpoint = environment.client_endpoint()?;
        let barrier = StartBarrier::new(clients as usize);
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let mut tls = environment.client_tls()?;
            if kind == Kind::Resumed {
                tls.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS);
            }
            let config = client_config(tls, Client::Device)?;
            let (endpoint, barrier) = (endpoint.clone(), barrier.clone());
            tasks.spawn(run_client(endpoint, config, address, handshakes, barrier));
        }
        barrier.time_clients(tasks).await
    })?;
    let items = clients * handshakes;
    ensure!(latencies.count() as u64 == items, "handshakes were lost");
    let resumed = metrics.tickets.resumed.get();
    let expected = if kind == Kind::Resumed { items } else { 0 };
    // A lost ticket costs the client at most one full handshake.
    ensure!(
        resumed.abs_diff(expected) <= expected / 10,
        "{resumed} of {items} handshakes were resumed"
    );
    Ok(stopwatch
        .run(items, Digest::of(items))
        .with_latencies(&latencies))
}

/// A client. Its first connection, which gets the first ticket, is not timed.
async fn run_client(
    endpoint: Endpoint,
    config: quinn::ClientConfig,
    address: SocketAddr,
    handshakes: u64,
    barrier: StartBarrier,
) -> anyhow::Result<Latencies> {
    let connect_once = || async {
        let connecting = endpoint.connect_with(config.clone(), address, "localhost")?;
        let connection = connecting.await?;
        let mut stream = RequestStream::open(&connection).await?;
        stream.send().await?;
        let answered = stream.receive().await?;
        ensure!(
            answered == 1,
            "{answered} requests were answered instead of 1"
        );
        connection.close(VarInt::from_u32(0), b"done");
        anyhow::Ok(())
    };
    connect_once().await?;
    barrier.wait().await;
    let mut latencies = Latencies::default();
    for _ in 0..handshakes {
        let started = clock::stamp();
        connect_once().await?;
        latencies.add(clock::stamp().since(started));
    }
    Ok(latencies)
}
