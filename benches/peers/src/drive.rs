//! The closed loop: every connection keeps so many frames in flight and sends the next on an ack.
//!
//! Latency is from handing a frame to the client until its ack: at full load, so it is mostly the time
//! of waiting in line. Bounds: the frames in flight of a connection.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use muster_testkit::latency::Latency;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One connection to a peer. Acks come in the order of sending.
pub(crate) trait Client: Send + 'static {
    /// Sends a frame without waiting for its ack.
    fn send(&mut self, frame: Bytes) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// Waits until the oldest frame without ack is durable.
    fn acked(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What one connection did.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) lane: usize,
    /// All of them acked.
    pub(crate) frames: usize,
    pub(crate) latencies: Vec<Duration>,
}

/// What all connections did.
#[derive(Debug)]
pub(crate) struct Driven {
    pub(crate) sent: Vec<Sent>,
    pub(crate) latency: Latency,
}

/// Sends the frames of every lane over its client until they or the time are used up, and waits for
/// all acks.
pub(crate) async fn drive<C: Client>(
    clients: Vec<C>,
    lanes: &[Vec<Bytes>],
    in_flight: usize,
    deadline: Instant,
) -> anyhow::Result<Driven> {
    let mut tasks = JoinSet::new();
    for (lane, (client, frames)) in clients.into_iter().zip(lanes).enumerate() {
        tasks.spawn(connection(
            client,
            lane,
            frames.clone(),
            in_flight,
            deadline,
        ));
    }
    let mut driven = Driven {
        sent: Vec::new(),
        latency: Latency::default(),
    };
    while let Some(ended) = tasks.join_next().await {
        let sent = ended.context("a connection panicked")??;
        for latency in &sent.latencies {
            driven.latency.record(*latency);
        }
        driven.sent.push(sent);
    }
    Ok(driven)
}

async fn connection<C: Client>(
    mut client: C,
    lane: usize,
    frames: Vec<Bytes>,
    in_flight: usize,
    deadline: Instant,
) -> anyhow::Result<Sent> {
    let mut since = VecDeque::with_capacity(in_flight);
    let mut latencies = Vec::with_capacity(frames.len());
    let mut next = frames.into_iter();
    let mut count = 0;
    loop {
        while since.len() < in_flight && Instant::now() < deadline {
            let Some(frame) = next.next() else { break };
            since.push_back(Instant::now());
            client.send(frame).await?;
            count += 1;
        }
        let Some(started) = since.pop_front() else {
            break;
        };
        client.acked().await?;
        latencies.push(started.elapsed());
    }
    Ok(Sent {
        lane,
        frames: count,
        latencies,
    })
}
