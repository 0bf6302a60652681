//! Devices that send and never read: connections whose acks pile up in the server.
//!
//! Each connects, sends as many frames as the server lets it have unacknowledged, and stays until the server
//! closes it or the time is up. Bounds: a task and the buffers of one connection for each device. What it does
//! not do: it knows nothing of acks, so it cannot say what became of its check-ins; the server's accounts do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use muster_client::{Bytes, ClientConfig, DeafClient, Endpoint, Pem};
use muster_wire::CloseCode;
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    cli::{DeafArguments, check_target},
    clock,
    error::RunError,
    fleet::{Members, Part, Shape},
    identities::{self, IdentityFile, Kind},
};

/// Handshakes at a time, at most: the load is what comes after them.
const CONNECTING_MAX: usize = 64;

/// As a client does between two check-ins, so that silence is not why a connection ends.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// What the devices did, and how they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Connections that came to Hello.
    pub connected: u64,
    /// Attempts that did not.
    pub failed: u64,
    /// Frames given to QUIC.
    pub frames_sent: u64,
    /// Check-ins in them.
    pub check_ins_sent: u64,
    /// Connections that were there to the end.
    pub stayed: u64,
    /// Connections the server closed, by close code; `none` ended without one.
    pub closed: BTreeMap<&'static str, u64>,
}

impl Crowd {
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

    /// The sentence for people.
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

    fn add(&mut self, stay: Option<Stay>) {
        let Some(stay) = stay else {
            self.failed += 1;
            return;
        };
        self.connected += 1;
        self.frames_sent += stay.frames;
        self.check_ins_sent += stay.check_ins;
        match stay.closed {
            None => self.stayed += 1,
            Some(code) => *self.closed.entry(code).or_default() += 1,
        }
    }
}

/// How it went with one connection.
struct Stay {
    frames: u64,
    check_ins: u64,
    /// The close code, if it was closed.
    closed: Option<&'static str>,
}

/// Connects the devices, and stays for the time that is asked for.
///
/// # Errors
/// Whatever keeps all of them from connecting; that some cannot is a result.
pub fn run(arguments: &DeafArguments) -> Result<Crowd, RunError> {
    check_target(arguments.target, arguments.i_own_this_target)?;
    let found = identities::find(&arguments.identities, &arguments.tenant, Kind::Device)?;
    let connections = usize::try_from(arguments.connections).unwrap_or(usize::MAX);
    let Some(found) = found.get(..connections) else {
        return Err(RunError::Usage(format!(
            "{} holds certificates of {} devices, and {connections} are to connect",
            arguments.identities.display(),
            found.len(),
        )));
    };
    tokio::runtime::Runtime::new()
        .map_err(|error| RunError::Internal(format!("cannot start threads: {error}")))?
        .block_on(crowd(arguments, found))
}

async fn crowd(arguments: &DeafArguments, found: &[IdentityFile]) -> Result<Crowd, RunError> {
    let end = Instant::now() + Duration::from_secs_f64(arguments.seconds);
    let endpoint = Endpoint::for_server(arguments.target)?;
    let places = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut stays = JoinSet::new();
    for (number, file) in (0..).zip(found) {
        let Some(id) = file.device_id() else { continue };
        let shape = Shape::new(arguments.seed);
        let part = Part::new(&shape, &Members::One(id, number), u64::MAX);
        let mut config = ClientConfig::new(
            arguments.target,
            Pem::file(&arguments.ca),
            Pem::file(&file.path),
        );
        config.keep_alive = Some(KEEP_ALIVE);
        let (endpoint, places) = (endpoint.clone(), Arc::clone(&places));
        let frame = usize::try_from(arguments.frame).unwrap_or(usize::MAX);
        stays.spawn(async move {
            let connect = async {
                let _place = places.acquire().await;
                DeafClient::connect_over(&endpoint, config).await
            };
            let client = timeout_at(end, connect).await.ok()?.ok()?;
            Some(stay(client, part, frame, end).await)
        });
    }
    let mut crowd = Crowd::default();
    while let Some(stay) = stays.join_next().await {
        crowd.add(stay.unwrap_or(None));
    }
    Ok(crowd)
}

async fn stay(mut client: DeafClient, mut part: Part, frame: usize, end: Instant) -> Stay {
    let mut stay = Stay {
        frames: 0,
        check_ins: 0,
        closed: None,
    };
    for _ in 0..client.window_frames() {
        let mut bytes = Vec::new();
        let check_ins = part.make_frame(&mut bytes, frame, clock::millis());
        // A frame that QUIC has no room for, because the server reads no more, is given up at the end.
        match timeout_at(end, client.send_frame(Bytes::from(bytes))).await {
            Ok(Ok(())) => {
                stay.frames += 1;
                stay.check_ins += check_ins as u64;
            }
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let closed = timeout_at(end, client.closed()).await.ok();
    stay.closed = closed.map(|code| code.map_or("none", CloseCode::name));
    stay
}
