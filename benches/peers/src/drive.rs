//! The closed loop: every connection keeps a fixed number of frames in flight and sends the next one after an ack.
//!
//! Latency runs from passing a frame to the client until its ack. At full load most of it is queueing time. Bounds: the
//! frames in flight per connection.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use muster_testkit::latency::Latency;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One connection to a peer. Acks arrive in the order of sending.
pub(crate) trait Client: Send + 'static {
    /// Sends a frame without waiting for its ack.
    fn send(&mut self, frame: Bytes) -> impl Future<Output = anyhow::Result<()>> + Send;
    /// Waits until the oldest frame in flight is durable.
    fn wait_for_ack(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// The result of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionResult {
    pub(crate) lane: usize,
    /// Number of frames, all acknowledged.
    pub(crate) frames: usize,
    pub(crate) latencies: Vec<Duration>,
}

/// The results of all connections.
#[derive(Debug)]
pub(crate) struct DriveResult {
    pub(crate) connections: Vec<ConnectionResult>,
    pub(crate) latency: Latency,
}

/// Sends the frames of every lane over its client until all are sent or the deadline has passed, and waits for all
/// acks.
pub(crate) async fn drive<C: Client>(
    clients: Vec<C>,
    lanes: &[Vec<Bytes>],
    in_flight: usize,
    deadline: Instant,
) -> anyhow::Result<DriveResult> {
    let mut tasks = JoinSet::new();
    for (lane, (client, frames)) in clients.into_iter().zip(lanes).enumerate() {
        tasks.spawn(drive_connection(
            client,
            lane,
            frames.clone(),
            in_flight,
            deadline,
        ));
    }
    let mut driven = DriveResult {
        connections: Vec::new(),
        latency: Latency::default(),
    };
    while let Some(ended) = tasks.join_next().await {
        let connection = ended.context("a connection panicked")??;
        for latency in &connection.latencies {
            driven.latency.record(*latency);
        }
        driven.connections.push(connection);
    }
    Ok(driven)
}

async fn drive_connection<C: Client>(
    mut client: C,
    lane: usize,
    frames: Vec<Bytes>,
    in_flight: usize,
    deadline: Instant,
) -> anyhow::Result<ConnectionResult> {
    let mut sent_at = VecDeque::with_capacity(in_flight);
    let mut latencies = Vec::with_capacity(frames.len());
    let mut next = frames.into_iter();
    let mut count = 0;
    loop {
        while sent_at.len() < in_flight && Instant::now() < deadline {
            let Some(frame) = next.next() else { break };
            sent_at.push_back(Instant::now());
            client.send(frame).await?;
            count += 1;
        }
        let Some(started) = sent_at.pop_front() else {
            break;
        };
        client.wait_for_ack().await?;
        latencies.push(started.elapsed());
    }
    Ok(ConnectionResult {
        lane,
        frames: count,
        latencies,
    })
}
