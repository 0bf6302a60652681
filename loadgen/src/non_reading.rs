//! Non-reading clients: devices that send frames and never read an ack, so that acks pile up in the server.
//!
//! Each device connects, sends as many frames as the server's window allows, and stays until the server closes the
//! connection or the time is up. Bounds: one task and one connection per device. What it does not do: read acks, so it
//! does not know what became of its check-ins; the server's metrics do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use muster_client::{Bytes, ClientConfig, Endpoint, NonReadingClient, Pem};
use muster_wire::CloseCode;
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use muster_testkit::{
    clock,
    fleet::{DeviceSet, FleetPart, Shape},
    identities::{self, IdentityFile, Kind},
};

use crate::{
    cli::{NonReadingArguments, check_target},
    error::RunError,
};

/// Concurrent handshakes: not the load that this test is about.
const CONNECTING_MAX: usize = 64;

/// Keeps the connections open while they are idle.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(4);

/// What the devices did, and how their connections ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NonReadingResult {
    /// Connections that completed Hello.
    pub connected: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Frames written to QUIC.
    pub frames_sent: u64,
    /// Check-ins in them.
    pub check_ins_sent: u64,
    /// Connections that were open at the end.
    pub stayed: u64,
    /// Connections that ended earlier, by close code; `none` for those without one.
    pub closed: BTreeMap<&'static str, u64>,
}

impl NonReadingResult {
    /// The object of `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "connected": self.connected,
            "failed": self.failed,
            "frames_sent": self.frames_sent,
            "check_ins_sent": self.check_ins_sent,
            "stayed": self.stayed,
            "closed": self.closed,
        })
    }

    /// The result as one sentence.
    pub fn to_text(&self) -> String {
        let closed: Vec<_> = self
            .closed
            .iter()
            .map(|(code, count)| format!(", {count} closed with {code}"))
            .collect();
        format!(
            "{} connected, {} failed, {} check-ins sent, {} stayed{}",
            self.connected,
            self.failed,
            self.check_ins_sent,
            self.stayed,
            closed.concat(),
        )
    }

    fn add(&mut self, device: Option<DeviceResult>) {
        let Some(device) = device else {
            self.failed += 1;
            return;
        };
        self.connected += 1;
        self.frames_sent += device.frames;
        self.check_ins_sent += device.check_ins;
        match device.closed {
            None => self.stayed += 1,
            Some(code) => *self.closed.entry(code).or_default() += 1,
        }
    }
}

/// What one device did.
struct DeviceResult {
    frames: u64,
    check_ins: u64,
    /// The close code, if the connection ended before the time was up.
    closed: Option<&'static str>,
}

/// Connects the devices and keeps the connections open for the requested time.
///
/// # Errors
/// A reason why no device can connect. Devices that fail to connect are counted in the result.
pub fn run(arguments: &NonReadingArguments) -> Result<NonReadingResult, RunError> {
    check_target(arguments.target, arguments.i_own_this_target)?;
    let found = identities::find(&arguments.identities, &arguments.tenant, Kind::Device)?;
    let connections = usize::try_from(arguments.connections).unwrap_or(usize::MAX);
    let Some(found) = found.get(..connections) else {
        return Err(RunError::Usage(format!(
            "{} has certificates of {} devices, but --connections is {connections}; issue more with `muster pki issue`",
            arguments.identities.display(),
            found.len(),
        )));
    };
    tokio::runtime::Runtime::new()
        .map_err(|error| RunError::Internal(format!("cannot start threads: {error}")))?
        .block_on(run_devices(arguments, found))
}

async fn run_devices(
    arguments: &NonReadingArguments,
    found: &[IdentityFile],
) -> Result<NonReadingResult, RunError> {
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    let endpoint = Endpoint::for_server(arguments.target)?;
    let permits = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut devices = JoinSet::new();
    for (number, file) in (0..).zip(found) {
        let Some(id) = file.device_id() else { continue };
        let shape = Shape::new(arguments.seed);
        let part = FleetPart::new(&shape, &DeviceSet::Single(id, number), u64::MAX);
        let mut config = ClientConfig::new(
            arguments.target,
            Pem::file(&arguments.ca),
            Pem::file(&file.path),
        );
        config.keep_alive_interval = Some(KEEP_ALIVE_INTERVAL);
        let (endpoint, permits) = (endpoint.clone(), Arc::clone(&permits));
        let frame = usize::try_from(arguments.frame).unwrap_or(usize::MAX);
        devices.spawn(async move {
            let connect = async {
                let _permit = permits.acquire().await;
                NonReadingClient::connect_over(&endpoint, config).await
            };
            let client = timeout_at(end, connect).await.ok()?.ok()?;
            Some(run_device(client, part, frame, end).await)
        });
    }
    let mut result = NonReadingResult::default();
    while let Some(device) = devices.join_next().await {
        result.add(device.unwrap_or(None));
    }
    Ok(result)
}

async fn run_device(
    mut client: NonReadingClient,
    mut part: FleetPart,
    frame: usize,
    end: Instant,
) -> DeviceResult {
    let mut result = DeviceResult {
        frames: 0,
        check_ins: 0,
        closed: None,
    };
    for _ in 0..client.window_frames() {
        let mut bytes = Vec::new();
        let check_ins = part.make_frame(&mut bytes, frame, clock::millis());
        // Without flow control credit, because the server has stopped reading, this waits until the end.
        match timeout_at(end, client.send_frame(Bytes::from(bytes))).await {
            Ok(Ok(())) => {
                result.frames += 1;
                result.check_ins += check_ins as u64;
            }
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let closed = timeout_at(end, client.closed()).await.ok();
    result.closed = closed.map(|code| code.map_or("none", CloseCode::name));
    result
}
