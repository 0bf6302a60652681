//! Requests and replies over persistent connections, as for devices that connect by themselves.
//!
//! A closed loop: a request is a frame of one check-in, a reply an ack without rejections. As in the server, one
//! cumulative reply answers all requests that a task finds when it reads. Nothing is decoded or stored, so the result
//! is the upper limit for Muster with such devices on this machine.

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

use super::environment::{Client, Environment, Pair, client_config};
use crate::fleet;
use crate::latencies::Latencies;
use crate::measure::{Digest, Row, Run};
use crate::parts::{Name, PartsOptions, Size};
use crate::start_barrier::StartBarrier;

/// Bytes of a frame of one check-in.
const REQUEST_BYTES: usize = HEADER_BYTES + CHECK_IN_BYTES;

/// Bytes of an ack without rejections.
const REPLY_BYTES: usize = HEADER_BYTES + ACK_TOTALS_BYTES;

/// Chunks that the server takes from a device's stream at once.
const CHUNKS: usize = 8;

/// Maximum concurrent handshakes before the clock starts.
const HANDSHAKES_MAX: usize = 64;

/// The numbers of connections and of requests in flight on each. With many connections a server that waits for a flush
/// has other requests to process meanwhile.
pub(crate) const fn cases(size: Size) -> [(u64, u64); 3] {
    let (few, many) = (size.pick(20, 200), size.pick(100, 1000));
    [(few, 1), (few, 8), (many, 1)]
}

/// The name of a case in tables.
pub(crate) fn case_name((connections, window): (u64, u64)) -> String {
    format!("{connections} connections, window {window}")
}

/// Requests per connection.
pub(crate) const fn requests(size: Size, connections: u64) -> u64 {
    size.pick(1_000, 300_000) / connections
}

pub(in crate::parts) fn run(options: &PartsOptions) -> anyhow::Result<Vec<Row>> {
    let environment = Environment::create(&options.directory)?;
    let mut rows = Vec::new();
    for (connections, window) in cases(options.size) {
        let requests = requests(options.size, connections);
        let runs: anyhow::Result<Vec<Run>> = (0..options.repeats)
            .map(|_| one_run(&environment, connections, requests, window))
            .collect();
        let case = case_name((connections, window));
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
    let pair = environment.pair(environment.server_tls(&Arc::default())?)?;
    let config = client_config(environment.client_tls()?, Client::Device)?;
    pair.serve(|_| false);
    let address = pair.address;
    let (stopwatch, latencies) = pair.client_runtime.block_on(async {
        let endpoint = environment.client_endpoint()?;
        let barrier = StartBarrier::new(connections as usize);
        let mut clients = JoinSet::new();
        let permits = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        for _ in 0..connections {
            let (endpoint, config) = (endpoint.clone(), config.clone());
            let (barrier, permits) = (barrier.clone(), Arc::clone(&permits));
            clients.spawn(async move {
                let permit = permits.acquire().await?;
                let connecting = endpoint.connect_with(config, address, "localhost")?;
                let connection = connecting.await?;
                drop(permit);
                run_client(connection, requests, window, barrier).await
            });
        }
        barrier.time_clients(clients).await
    })?;
    let items = connections * requests;
    ensure!(latencies.count() as u64 == items, "requests were lost");
    Ok(stopwatch
        .run(items, Digest::of(items))
        .with_latencies(&latencies))
}

/// A device: keeps `window` requests in flight until all are answered.
async fn run_client(
    connection: Connection,
    requests: u64,
    window: u64,
    barrier: StartBarrier,
) -> anyhow::Result<Latencies> {
    let mut stream = RequestStream::open(&connection).await?;
    stream.send().await?; // the first request opens the stream at the server
    stream.receive().await?;
    barrier.wait().await;
    let mut latencies = Latencies::default();
    let mut in_flight = VecDeque::with_capacity(window as usize);
    let (mut sent, mut answered) = (0, 0);
    while answered < requests {
        while sent < requests && sent - answered < window {
            in_flight.push_back(clock::stamp());
            stream.send().await?;
            sent += 1;
        }
        let answered_total = stream.receive().await? - 1; // without the first request
        let now = clock::stamp();
        while answered < answered_total {
            let sent_at = in_flight.pop_front().context("a reply without a request")?;
            latencies.add(now.since(sent_at));
            answered += 1;
        }
    }
    connection.close(VarInt::from_u32(0), b"done");
    Ok(latencies)
}

/// The client side of one stream.
pub(super) struct RequestStream {
    send: SendStream,
    receive: RecvStream,
    request: Bytes,
}

impl RequestStream {
    pub(super) async fn open(connection: &Connection) -> anyhow::Result<Self> {
        let (send, receive) = connection.open_bi().await?;
        let mut request = Vec::new();
        encode_check_ins(&mut request, &[fleet::check_in(1, 1)])?;
        ensure!(
            request.len() == REQUEST_BYTES,
            "the frame has an unexpected size"
        );
        Ok(Self {
            send,
            receive,
            request: request.into(),
        })
    }

    pub(super) async fn send(&mut self) -> anyhow::Result<()> {
        Ok(self.send.write_chunk(self.request.clone()).await?)
    }

    /// Waits for a reply and returns the total number of answered requests.
    pub(super) async fn receive(&mut self) -> anyhow::Result<u64> {
        let mut reply = [0; REPLY_BYTES];
        self.receive.read_exact(&mut reply).await?;
        let totals = reply[HEADER_BYTES..].first_chunk();
        Ok(totals.map_or(0, |frames| u64::from_le_bytes(*frames)))
    }
}

impl Pair {
    /// Starts to accept and answer clients. Attempts for which `retry` returns true must validate their address first.
    pub(super) fn serve(&self, retry: fn(&Incoming) -> bool) {
        let endpoint = self.server.clone();
        self.server_runtime.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                if retry(&incoming) {
                    // Fails only for an attempt that is already validated; the client then reports an error.
                    drop(incoming.retry());
                } else {
                    drop(tokio::spawn(answer(incoming)));
                }
            }
        });
    }
}

/// The server side. The caller ignores its errors, because the client notices a missing reply.
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
