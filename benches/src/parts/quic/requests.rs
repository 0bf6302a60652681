//! Requests and replies over connections that stay open: the regime of devices that speak for themselves.
//!
//! A request is a frame of one check-in, a reply an ack without rejections; closed loop. As in the server, what
//! has come by the time a task looks is answered by one cumulative reply. Nothing is decoded or stored, so this
//! is the limit of what Muster could do for such devices on this machine.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use muster_ingest::clock;
use muster_wire::limits::{ACK_TOTALS_BYTES, CHECK_IN_BYTES, HEADER_BYTES};
use muster_wire::{AckTotals, encode_ack, encode_check_ins};
use quinn::{Connection, Incoming, RecvStream, SendStream, VarInt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::environment::{Client, Ends, Environment, client_config};
use crate::fleet;
use crate::latencies::Latencies;
use crate::measure::{Digest, Row, Run};
use crate::parts::{Name, Plan, Size};
use crate::start_barrier::StartBarrier;

/// Bytes of a frame of one check-in.
const REQUEST_BYTES: usize = HEADER_BYTES + CHECK_IN_BYTES;

/// Bytes of an ack without rejections.
const REPLY_BYTES: usize = HEADER_BYTES + ACK_TOTALS_BYTES;

/// Chunks the server takes from a device's stream at once.
const CHUNKS: usize = 8;

/// Handshakes at a time, before the clock runs.
const CONNECTING: usize = 64;

/// Connections, and requests without a reply that each may have: some; some that do not wait for each reply; so many
/// that a server with a disk behind it has enough to do while it waits for a flush.
pub(crate) const fn cases(size: Size) -> [(u64, u64); 3] {
    let (some, many) = (size.pick(20, 200), size.pick(100, 1000));
    [(some, 1), (some, 8), (many, 1)]
}

/// What tables call a case.
pub(crate) fn name((connections, window): (u64, u64)) -> String {
    format!("{connections} connections, window {window}")
}

/// Requests of each of so many connections.
pub(crate) const fn requests(size: Size, connections: u64) -> u64 {
    size.pick(1_000, 300_000) / connections
}

pub(in crate::parts) fn run(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let environment = Environment::create(&plan.directory)?;
    let mut rows = Vec::new();
    for (connections, window) in cases(plan.size) {
        let requests = requests(plan.size, connections);
        let runs: anyhow::Result<Vec<Run>> = (0..plan.repeats)
            .map(|_| one_run(&environment, connections, requests, window))
            .collect();
        let case = name((connections, window));
        rows.push(Row::new(Name::Requests, case, runs?)?);
    }
    Ok(rows)
}

fn one_run(
    environment: &Environment,
    connections: u64,
    requests: u64,
    window: u64,
) -> anyhow::Result<Run> {
    let ends = environment.ends(environment.server_tls(&Arc::default())?)?;
    let config = client_config(environment.client_tls()?, Client::Device)?;
    ends.serve(|_| false);
    let address = ends.address;
    let (stopwatch, latencies) = ends.client_runtime.block_on(async {
        let endpoint = environment.client_endpoint()?;
        let barrier = StartBarrier::new(connections as usize);
        let mut clients = JoinSet::new();
        let places = Arc::new(Semaphore::new(CONNECTING));
        for _ in 0..connections {
            let (endpoint, config) = (endpoint.clone(), config.clone());
            let (barrier, places) = (barrier.clone(), Arc::clone(&places));
            clients.spawn(async move {
                let place = places.acquire().await?;
                let connecting = endpoint.connect_with(config, address, "localhost")?;
                let connection = connecting.await?;
                drop(place);
                ask(connection, requests, window, barrier).await
            });
        }
        barrier.open(clients).await
    })?;
    let items = connections * requests;
    ensure!(latencies.count() as u64 == items, "requests were lost");
    Ok(stopwatch.run(items, Digest::of(items)).with(&latencies))
}

/// A device: keeps `window` requests on their way until so many are answered.
async fn ask(
    connection: Connection,
    requests: u64,
    window: u64,
    barrier: StartBarrier,
) -> anyhow::Result<Latencies> {
    let mut talk = Talk::open(&connection).await?;
    talk.send().await?; // the first one opens the stream
    talk.receive().await?;
    barrier.pass().await;
    let mut latencies = Latencies::default();
    let mut on_their_way = VecDeque::with_capacity(window as usize);
    let (mut sent, mut answered) = (0, 0);
    while answered < requests {
        while sent < requests && sent - answered < window {
            on_their_way.push_back(clock::stamp());
            talk.send().await?;
            sent += 1;
        }
        let through = talk.receive().await? - 1;
        let now = clock::stamp();
        while answered < through {
            let sent_at = on_their_way.pop_front().context("a reply too many")?;
            latencies.add(now.since(sent_at));
            answered += 1;
        }
    }
    connection.close(VarInt::from_u32(0), b"done");
    Ok(latencies)
}

/// The client's side of one stream.
pub(super) struct Talk {
    send: SendStream,
    receive: RecvStream,
    request: Bytes,
}

impl Talk {
    pub(super) async fn open(connection: &Connection) -> anyhow::Result<Self> {
        let (send, receive) = connection.open_bi().await?;
        let mut request = Vec::new();
        encode_check_ins(&mut request, &[fleet::check_in(1, 1)])?;
        ensure!(request.len() == REQUEST_BYTES, "a frame has another size");
        Ok(Self {
            send,
            receive,
            request: request.into(),
        })
    }

    pub(super) async fn send(&mut self) -> anyhow::Result<()> {
        Ok(self.send.write_chunk(self.request.clone()).await?)
    }

    /// Waits for a reply: how many requests are answered.
    pub(super) async fn receive(&mut self) -> anyhow::Result<u64> {
        let mut reply = [0; REPLY_BYTES];
        self.receive.read_exact(&mut reply).await?;
        let totals = reply[HEADER_BYTES..].first_chunk();
        Ok(totals.map_or(0, |frames| u64::from_le_bytes(*frames)))
    }
}

impl Ends {
    /// Answers everybody from now on. Attempts for which `retry` says so must prove their address first.
    pub(super) fn serve(&self, retry: fn(&Incoming) -> bool) {
        let endpoint = self.server.clone();
        self.server_runtime.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                match retry(&incoming) {
                    // Only fails for an attempt that was validated; its client fails then.
                    true => drop(incoming.retry()),
                    false => drop(tokio::spawn(answer(incoming))),
                }
            }
        });
    }
}

/// The server's side. Whatever goes wrong here, the client misses its reply.
async fn answer(incoming: Incoming) -> anyhow::Result<()> {
    let connection = incoming.await?;
    let (mut send, mut stream) = connection.accept_bi().await?;
    let mut reply = Vec::new();
    encode_ack(&mut reply, &AckTotals::default(), &[]);
    let mut chunks = vec![Bytes::new(); CHUNKS];
    let (mut bytes, mut answered) = (0, 0);
    while let Some(count) = stream.read_chunks(&mut chunks).await? {
        bytes += chunks[..count].iter().map(Bytes::len).sum::<usize>();
        let complete = (bytes / REQUEST_BYTES) as u64;
        if complete > answered {
            answered = complete;
            reply[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&complete.to_le_bytes());
            send.write_all(&reply).await?;
        }
    }
    Ok(())
}
