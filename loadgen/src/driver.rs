//! Runs the connections: opens them, sends the inventories, warms up the fleet, sends the check-ins, and measures.
//!
//! A phase starts when all connections have completed the previous one, so the measured phase contains only check-ins.
//! A connection makes its frames in the task that sends them. A frame of 4096 check-ins takes about 0.2 ms, which is
//! cheaper than passing it to another thread and back, because the generator shares its cores with the server.
//!
//! Closed loop: the next frame is made when the window has room, and its latency is measured from then.
//! Open loop: every frame is due at a fixed time, and its latency is measured from that time even if it could not be
//! sent then. A server that stalls therefore cannot hide the delay of later frames (no coordinated omission).
//! If the run has an end, no frame is made after it. Frames made until then are still sent and awaited, so that the
//! expected counts are exact. Check-ins that were due until then but not made are counted as held back.
//! Bounds: for each connection, one frame being made and the client's window.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use muster_client::{ClientError, Pem, Progress};
use muster_wire::Rejection;

use muster_testkit::fleet::FleetPart;

use crate::{lateness::LateFrames, profile::Profile, series::Series};

mod connections;
mod fleet_connection;
mod live;
mod pacer;
mod sampler;
mod sender;
mod storm;

pub use connections::Connections;
pub use live::LiveCounters;

/// The server to send to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server's UDP address.
    pub server: SocketAddr,
    /// The CA that signed the server's certificate.
    pub ca: Pem,
    /// The maximum number of unacknowledged frames of a connection.
    pub window: u16,
    /// The process id of the server, to sample its memory and CPU time.
    pub server_pid: Option<u32>,
}

/// The load of a measured phase.
#[derive(Debug, Clone)]
pub struct Load {
    /// The offered load.
    pub profile: Profile,
    /// When the phase ends, relative to its start; `None` to end when everything is sent.
    pub time_max: Option<Duration>,
    /// If set, all connections are closed before the phase and reopened within this time after its start.
    pub reconnect_within: Option<Duration>,
}

impl Load {
    /// As much as the server takes, until everything is sent.
    pub const fn closed() -> Self {
        Self {
            profile: Profile::Closed,
            time_max: None,
            reconnect_within: None,
        }
    }
}

/// The identity, devices and frame size of a connection.
#[derive(Debug)]
pub struct ConnectionSpec {
    /// The certificate and key.
    pub identity: Pem,
    /// The devices.
    pub part: FleetPart,
    /// The maximum number of check-ins per frame.
    pub frame: usize,
}

/// The results of a measured phase.
#[derive(Debug, Default)]
pub struct Measurements {
    /// Check-ins that were due by the end of the phase. In a closed loop, the check-ins that were sent.
    pub offered: u64,
    /// Check-ins in frames that were submitted to a client.
    pub sent: u64,
    /// Check-ins that were due but never made, because earlier frames had to wait too long.
    pub held_back: u64,
    /// Check-ins in acknowledged frames.
    pub acked: u64,
    /// The time from the start of the phase to its last ack.
    pub seconds: f64,
    /// Inventories sent before the phase.
    pub inventories: u64,
    /// Check-ins sent before the phase, in the warm-up.
    pub warm_up_check_ins: u64,
    /// The sum of all connections' progress, from the start of the run.
    pub progress: Progress,
    /// The same sum at the start of the phase.
    pub before: Progress,
    /// When the phase started, as the time since 1970.
    pub started: Duration,
    /// All latencies, from the time a frame was due to its ack, and the samples.
    pub series: Series,
    /// Frames that were sent late, by cause.
    pub late: LateFrames,
    /// The total time for which connections had a frame to send but no room in the window.
    pub waiting_seconds: f64,
    /// Core seconds of this process.
    pub generator_core_seconds: Option<f64>,
    /// Core seconds of the server.
    pub server_core_seconds: Option<f64>,
    /// The first rejections.
    pub rejections: Vec<Rejection>,
}

/// Performs a whole run: connects, sends the inventories, runs the warm-up if requested, measures, and closes the
/// connections. Returns the devices with their expected state, and the measurements.
///
/// # Errors
/// The first permanent failure of a connection.
pub async fn run(
    target: &Target,
    specs: Vec<ConnectionSpec>,
    load: &Load,
    warm_up: bool,
    live: Arc<LiveCounters>,
) -> Result<(Vec<FleetPart>, Measurements), ClientError> {
    let mut connections = Connections::open(target.clone(), specs).await?;
    connections.send_inventories().await?;
    let warm_up_check_ins = if warm_up {
        connections.warm_up().await?
    } else {
        0
    };
    connections.finish(load, warm_up_check_ins, live).await
}
