//! Connections that come, say one thing and go: a fleet that reconnects.
//!
//! Connect, one request, its reply, close; certificates on both sides. Full handshakes, and sessions resumed from a
//! ticket of the connection before; every connection leaves a ticket behind, as in the server. Muster asks for an
//! address proof (Retry) once half of its handshake budget is in use, so that stands beside it as well.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::ensure;
use muster_ingest::clock;
use muster_ingest::metrics::Metrics;
use quinn::{Endpoint, VarInt};
use rustls::client::Resumption;
use tokio::task::JoinSet;

use super::environment::{Client, Environment, client_config};
use super::requests::Talk;
use crate::latencies::Latencies;
use crate::measure::{Digest, Row, Run};
use crate::parts::{Name, Plan, Size};
use crate::start_barrier::StartBarrier;

/// Sessions that a client keeps, which has one server.
const CLIENT_SESSIONS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Retried,
    Resumed,
}

/// Clients that connect side by side.
pub(crate) const fn clients(size: Size) -> u64 {
    size.pick(4, 32)
}

/// Connections of each client.
pub(crate) const fn handshakes(size: Size) -> u64 {
    size.pick(10, 100)
}

pub(in crate::parts) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let clients = clients(plan.size);
    let handshakes = handshakes(plan.size);
    let environment = Environment::create(&plan.directory)?;
    let mut rows = Vec::new();
    for (kind, name) in [
        (Kind::Full, "full"),
        (Kind::Retried, "full, after Retry"),
        (Kind::Resumed, "resumed"),
    ] {
        let runs: anyhow::Result<Vec<Run>> = (0..plan.repeats)
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
    let ends = environment.ends(environment.server_tls(&metrics)?)?;
    ends.serve(match kind {
        Kind::Full | Kind::Resumed => |_| false,
        Kind::Retried => |incoming| !incoming.remote_address_validated(),
    });
    let address = ends.address;
    let (stopwatch, latencies) = ends.client_runtime.block_on(async {
        let endpoint = environment.client_endpoint()?;
        let barrier = StartBarrier::new(clients as usize);
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let mut tls = environment.client_tls()?;
            if kind == Kind::Resumed {
                tls.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS);
            }
            let config = client_config(tls, Client::Device)?;
            let (endpoint, barrier) = (endpoint.clone(), barrier.clone());
            running.spawn(come_and_go(endpoint, config, address, handshakes, barrier));
        }
        barrier.open(running).await
    })?;
    let items = clients * handshakes;
    ensure!(latencies.count() as u64 == items, "handshakes were lost");
    let resumed = metrics.tickets.resumed.get();
    let expected = if kind == Kind::Resumed { items } else { 0 };
    // A ticket whose packet was lost costs its client one full handshake at most.
    ensure!(
        resumed.abs_diff(expected) <= expected / 10,
        "{resumed} of {items} handshakes were resumed"
    );
    Ok(stopwatch.run(items, Digest::of(items)).with(&latencies))
}

/// A client: the first connection, which gets the tickets, is not on the clock.
async fn come_and_go(
    endpoint: Endpoint,
    config: quinn::ClientConfig,
    address: SocketAddr,
    handshakes: u64,
    barrier: StartBarrier,
) -> anyhow::Result<Latencies> {
    let once = || async {
        let connecting = endpoint.connect_with(config.clone(), address, "localhost")?;
        let connection = connecting.await?;
        let mut talk = Talk::open(&connection).await?;
        talk.send().await?;
        let answered = talk.receive().await?;
        ensure!(answered == 1, "{answered} requests were answered");
        connection.close(VarInt::from_u32(0), b"done");
        anyhow::Ok(())
    };
    once().await?;
    barrier.pass().await;
    let mut latencies = Latencies::default();
    for _ in 0..handshakes {
        let began = clock::stamp();
        once().await?;
        latencies.add(clock::stamp().since(began));
    }
    Ok(latencies)
}
