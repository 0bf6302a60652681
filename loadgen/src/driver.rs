//! Runs the connections: opens them, sends the inventories, settles the fleet, sends the check-ins, measures.
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

use std::{net::SocketAddr, sync::Arc, time::Duration};

use muster_client::{ClientError, Pem, Progress};
use muster_wire::Rejection;

use muster_testkit::fleet::Part;

use crate::{lateness::LateFrames, profile::Profile, series::Series};

mod connected;
mod connections;
mod live;
mod pace;
mod sampler;
mod sender;
mod storm;

pub use connections::Connections;
pub use live::Live;

/// Whom to send to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's UDP address.
    pub server: SocketAddr,
    /// The authority of the server's certificate.
    pub ca: Pem,
    /// Frames that are not acknowledged, at most, for each connection.
    pub window: u16,
    /// Process of the server, whose memory and core time are sampled.
    pub server_pid: Option<u32>,
}

/// What to send in a measured phase, and when.
#[derive(Debug, Clone)]
pub struct Load {
    /// How much is offered.
    pub profile: Profile,
    /// When the phase ends, after its start; `None` for when everything was sent.
    pub time_max: Option<Duration>,
    /// Every connection is cut before the phase, and all of them come back within this time of its start.
    pub storm: Option<Duration>,
}

impl Load {
    /// As much as the server takes, until everything was sent.
    pub const fn closed() -> Self {
        Self {
            profile: Profile::Closed,
            time_max: None,
            storm: None,
        }
    }
}

/// A connection before the run: who it is, and what it will send.
#[derive(Debug)]
pub struct Member {
    /// Certificate and key.
    pub identity: Pem,
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
    /// Check-ins sent before the measured phase, so that the fleet exists.
    pub settled: u64,
    /// The sum of what all connections say; of the inventories too.
    pub progress: Progress,
    /// What was answered before the measured phase.
    pub before: Progress,
    /// When the measured phase began, since 1970.
    pub started: Duration,
    /// All latencies, from the time a frame was due to its ack; and what happened in each second.
    pub series: Series,
    /// Frames that left late, by cause.
    pub late: LateFrames,
    /// How long connections had a frame to send and no room for it, all together.
    pub waiting_seconds: f64,
    /// Core seconds of this process in the measured phase.
    pub generator_core_seconds: Option<f64>,
    /// Core seconds of the server in the measured phase.
    pub server_core_seconds: Option<f64>,
    /// The first rejections.
    pub rejections: Vec<Rejection>,
}

/// Does a whole run: connects, sends the inventories, lets every device check in once if `settle` says so,
/// measures, and closes. Returns the devices, which know what they sent, and what was measured.
///
/// # Errors
/// The first connection that failed for good.
pub async fn run(
    plan: &Plan,
    members: Vec<Member>,
    load: &Load,
    settle: bool,
    live: Arc<Live>,
) -> Result<(Vec<Part>, Measured), ClientError> {
    let mut connections = Connections::open(plan.clone(), members).await?;
    connections.send_inventories().await?;
    let settled = if settle {
        connections.settle().await?
    } else {
        0
    };
    connections.finish(load, settled, live).await
}
