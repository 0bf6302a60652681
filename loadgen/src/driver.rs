//! Runs the connections: opens them, sends the inventories, sends the check-ins, measures.
//!
//! Each phase begins when all connections are through the one before, so that the measured phase
//! holds check-ins alone. A connection makes its frames in the task that sends them: a frame of 4096
//! check-ins takes about 0.2 ms to make, which is less than handing it to a thread and back costs in
//! a generator that shares its cores with the server.
//!
//! Closed loop: the next frame is made when the window has room, and its latency counts from there.
//! Open loop: frame k of the run is due at a fixed time, and its latency counts from that time
//! whether or not it could be sent then, so a server that stalls cannot hide the wait of the others.
//! A run with an end makes no frame after it. What was made by then is still sent and awaited, so that
//! the prediction stays exact; what was due by then and not made was held back.
//! Bounds: one frame in the making and the client's window, for each connection.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use muster_client::{Client, ClientConfig, ClientError, Endpoint, Pem, Progress};
use muster_wire::Rejection;
use tokio::{task::JoinSet, time::Instant};

use crate::{
    fleet::Part,
    latency::{Latency, LatencyLanes},
};

mod pace;
mod sender;

use pace::Pace;
use sender::Sender;

/// UDP sockets that connections share, at most.
const ENDPOINTS_MAX: usize = 16;

/// Handshakes at a time, at most: a fleet that opens all at once would only wait in its own queue.
const CONNECTING_MAX: usize = 64;

/// Rejections that are shown, at most.
const REJECTIONS_SHOWN: usize = 20;

/// How long a connection may be lost before the run is given up.
const OFFLINE_MAX: Duration = Duration::from_secs(15);

/// Connections that wait for their turn must not be closed for silence meanwhile.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// How to send.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's UDP address.
    pub server: SocketAddr,
    /// The authority of the server's certificate.
    pub ca: PathBuf,
    /// Frames that are not acknowledged, at most, for each connection.
    pub window: u16,
    /// Check-ins a second over all connections; `None` for as many as the server takes.
    pub rate: Option<f64>,
    /// When the measured phase ends, after its start; `None` for when everything was sent.
    pub time_max: Option<Duration>,
}

/// A connection before the run: who it is, and what it will send.
#[derive(Debug)]
pub struct Member {
    /// The file with certificate and key.
    pub identity: PathBuf,
    /// Its devices.
    pub part: Part,
    /// Check-ins in a frame, at most.
    pub frame: usize,
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Measured {
    /// Check-ins that the schedule had due by the end of the measured phase. A closed loop has no
    /// schedule, so that it is what was sent.
    pub offered: u64,
    /// Check-ins in frames that were handed to a connection.
    pub sent: u64,
    /// Check-ins that were due and never made, because frames before them had to wait too long.
    pub held_back: u64,
    /// Check-ins in frames that were acknowledged.
    pub acked: u64,
    /// From the start of the measured phase to its last ack.
    pub seconds: f64,
    /// Inventories sent before the measured phase.
    pub inventories: u64,
    /// The sum of what all connections say; of the inventories too.
    pub progress: Progress,
    /// What the inventories alone were answered.
    pub before: Progress,
    /// From the time a frame was due to its ack.
    pub latency: Latency,
    /// The first rejections.
    pub rejections: Vec<Rejection>,
}

/// Numbers that other tasks may watch while a run goes on.
#[derive(Debug, Default)]
pub struct Live {
    /// Check-ins acknowledged.
    pub acked: AtomicU64,
}

/// One open connection.
struct Connected {
    client: Client,
    part: Part,
    frame: usize,
    inventories: u64,
}

/// Sends everything and returns the devices, which know what they sent, and what was measured.
///
/// # Errors
/// The first connection that failed for good.
pub async fn run(
    plan: &Plan,
    members: Vec<Member>,
    live: Arc<Live>,
) -> Result<(Vec<Part>, Measured), ClientError> {
    let connected = connect_all(plan, members).await?;
    let connected = in_parallel(connected, usize::MAX, send_inventories).await?;
    let before = sum(connected
        .iter()
        .map(|connected| connected.client.progress()));

    let lanes = Arc::new(LatencyLanes::new());
    let count = connected.len();
    let total: u64 = connected
        .iter()
        .map(|connected| connected.part.remaining())
        .sum();
    let start = Instant::now();
    let numbered: Vec<_> = connected.into_iter().enumerate().collect();
    let finished = in_parallel(numbered, usize::MAX, |(number, connected)| {
        let share = connected.part.remaining() as f64 / total as f64;
        let phase = number as f64 / count as f64;
        let pace = plan
            .rate
            .map(|rate| Pace::new(start, rate * share, connected.frame, phase));
        let end = plan.time_max.map(|time_max| start + time_max);
        let sender = Sender::new(&connected, pace, (start, end), (number, &lanes), &live);
        sender.run(connected)
    })
    .await?;
    let last_ack = finished.iter().map(|(_, sender)| sender.last_ack).max();
    let seconds = last_ack.map_or(0.0, |last| last.duration_since(start).as_secs_f64());

    let mut measured = Measured {
        seconds,
        before,
        latency: lanes.merged(),
        ..Measured::default()
    };
    for (connected, sender) in &finished {
        measured.offered += sender.offered.unwrap_or(sender.sent);
        measured.sent += sender.sent;
        measured.held_back += sender.held_back;
        measured.acked += sender.acked;
        measured.inventories += connected.inventories;
    }
    let mut clients = Vec::with_capacity(count);
    let mut parts = Vec::with_capacity(count);
    for (connected, _) in finished {
        clients.push(connected.client);
        parts.push(connected.part);
    }
    take_rejections(&mut clients, &mut measured.rejections);
    let progress = in_parallel(clients, usize::MAX, Client::close).await?;
    measured.progress = sum(progress.into_iter());
    Ok((parts, measured))
}

/// Runs a future for each item, `limit` at a time, and returns their results in the order of the
/// items. The first error ends all others.
async fn in_parallel<I, T, F>(
    items: Vec<I>,
    limit: usize,
    start: impl Fn(I) -> F,
) -> Result<Vec<T>, ClientError>
where
    F: Future<Output = Result<T, ClientError>> + Send + 'static,
    T: Send + 'static,
{
    let mut results: Vec<Option<T>> = items.iter().map(|_| None).collect();
    let mut waiting = items.into_iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < limit
            && let Some((place, item)) = waiting.next()
        {
            let future = start(item);
            running.spawn(async move { (place, future.await) });
        }
        match running.join_next().await {
            None => return Ok(results.into_iter().flatten().collect()),
            Some(Ok((place, result))) => results[place] = Some(result?),
            Some(Err(_)) => return Err(ClientError::Stopped),
        }
    }
}

async fn connect_all(plan: &Plan, members: Vec<Member>) -> Result<Vec<Connected>, ClientError> {
    let endpoints = (0..members.len().min(ENDPOINTS_MAX))
        .map(|_| Endpoint::for_server(plan.server))
        .collect::<Result<Vec<_>, _>>()?;
    let numbered: Vec<_> = members.into_iter().enumerate().collect();
    in_parallel(numbered, CONNECTING_MAX, |(number, member)| {
        let endpoint = endpoints[number % endpoints.len()].clone();
        let mut config =
            ClientConfig::new(plan.server, Pem::file(&plan.ca), Pem::file(member.identity));
        config.window_frames = plan.window;
        config.offline_max = Some(OFFLINE_MAX);
        config.keep_alive = Some(KEEP_ALIVE);
        config.rejections_max = REJECTIONS_SHOWN;
        // A fleet that has sent everything closes all at once.
        config.close_timeout = Duration::from_secs(60);
        async move {
            let client = Client::connect_over(&endpoint, config).await?;
            Ok(Connected {
                client,
                part: member.part,
                frame: member.frame,
                inventories: 0,
            })
        }
    })
    .await
}

async fn send_inventories(mut connected: Connected) -> Result<Connected, ClientError> {
    for inventory in connected.part.inventories() {
        connected.client.send_inventory(&inventory).await?;
        connected.inventories += 1;
    }
    connected.client.flush().await?;
    Ok(connected)
}

fn take_rejections(clients: &mut [Client], into: &mut Vec<Rejection>) {
    for client in clients {
        let Some(mut rejections) = client.take_rejections() else {
            continue;
        };
        while into.len() < REJECTIONS_SHOWN
            && let Some(rejection) = rejections.try_next()
        {
            into.push(rejection);
        }
    }
}

fn sum(all: impl Iterator<Item = Progress>) -> Progress {
    all.fold(Progress::default(), |sum, one| Progress {
        connections: sum.connections + one.connections,
        frames_taken: sum.frames_taken + one.frames_taken,
        frames_acked: sum.frames_acked + one.frames_acked,
        frames_resent: sum.frames_resent + one.frames_resent,
        accepted: sum.accepted + one.accepted,
        duplicate: sum.duplicate + one.duplicate,
        stale: sum.stale + one.stale,
        rejected: sum.rejected + one.rejected,
        rejections_dropped: sum.rejections_dropped + one.rejections_dropped,
        busy: sum.busy + one.busy,
        policy_revision: sum.policy_revision.max(one.policy_revision),
        ..sum
    })
}
