//! A server that follows a script, connection by connection.

use std::{
    fmt,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use muster_wire::{
    AckTotals, Busy, CheckInBytes, CloseCode, Decoder, FrameKind, Goodbye, Item, Rejection, Role,
    ServerHello, encode_ack, encode_busy, encode_goodbye, encode_server_hello,
};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::{task::JoinHandle, time::Instant};

use super::TestPki;

/// Awaits a future, for at most 20 seconds, so that a failed test ends.
///
/// # Panics
/// After 20 seconds.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    let deadline = Duration::from_secs(20);
    tokio::time::timeout(deadline, future)
        .await
        .expect("the future completes before the deadline")
}

/// What the server does on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Acknowledges every frame when it arrives, and answers Goodbye.
    Acknowledge,
    /// Acknowledges the first `frames` frames with a single ack, and every later frame when it arrives.
    AcknowledgeTogether {
        /// Frames covered by the first ack.
        frames: u64,
    },
    /// Receives `frames` frames, acknowledges the first `acked` of them, and closes the connection without Goodbye.
    Disconnect {
        /// Frames to receive.
        frames: u64,
        /// Frames to acknowledge.
        acked: u64,
    },
    /// Sends Busy before the ack of the first frame; otherwise like [`Action::Acknowledge`].
    Busy {
        /// The pause it asks for.
        retry_after_ms: u32,
    },
    /// Sends Goodbye (draining) after `frames` frames, acknowledges them, and closes the connection.
    Drain {
        /// Frames to receive.
        frames: u64,
        /// When the client may reconnect.
        retry_after_ms: u32,
    },
    /// Closes the connection with this code instead of sending Hello.
    Refuse(CloseCode),
    /// Acknowledges one frame too many.
    AcknowledgeTooMany,
    /// Receives every frame and acknowledges none.
    NeverAcknowledge,
}

/// The outcome of the records of a frame, for its ack.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Records that changed something.
    pub accepted: u64,
    /// Records that the server already had.
    pub duplicate: u64,
    /// Records older than the state of their device.
    pub stale: u64,
    /// Rejected records.
    pub rejections: Vec<Rejection>,
}

type OutcomeFn = dyn Fn(&ReceivedFrame) -> Outcome + Send + Sync;

/// The behaviour of a server.
#[derive(Clone)]
pub struct Script {
    /// The window in its Hello.
    pub window_frames: u16,
    /// The maximum number of check-ins in a frame, in its Hello.
    pub check_ins_per_frame_max: u32,
    /// What it does on the first connection, the second, and so on. The last action repeats.
    pub actions: Vec<Action>,
    /// The outcome of the records of a frame. Default: all are accepted.
    pub outcome: Arc<OutcomeFn>,
}

impl fmt::Debug for Script {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Script")
            .field("actions", &self.actions)
            .finish_non_exhaustive()
    }
}

impl Script {
    /// A server with a window of 8 and these actions.
    pub fn new(actions: impl Into<Vec<Action>>) -> Self {
        Self {
            window_frames: 8,
            check_ins_per_frame_max: 4096,
            actions: actions.into(),
            outcome: Arc::new(|frame| Outcome {
                accepted: u64::try_from(frame.check_ins.len().max(1)).unwrap_or(u64::MAX),
                ..Outcome::default()
            }),
        }
    }
}

/// A frame that the server received.
#[derive(Debug, Clone)]
pub struct ReceivedFrame {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The client's certificate in DER.
    pub certificate: Arc<[u8]>,
    /// CheckIns or Inventory.
    pub kind: FrameKind,
    /// The records of a CheckIns frame.
    pub check_ins: Vec<CheckInBytes>,
    /// The archive of an Inventory frame.
    pub inventory: Vec<u8>,
    /// When its last byte arrived.
    pub received_at: Instant,
    /// How many chunks, each the content of a packet, had arrived on the stream by then.
    pub chunks: u64,
}

/// A running server. It stops when dropped.
#[derive(Debug)]
pub struct FakeServer {
    address: SocketAddr,
    frames: Arc<Mutex<Vec<ReceivedFrame>>>,
    task: JoinHandle<()>,
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeServer {
    /// Starts on 127.0.0.1, on a port chosen by the operating system.
    pub fn start(pki: &TestPki, script: Script) -> Self {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = quinn::Endpoint::server(pki.server_config(), local).expect("a free port");
        let address = endpoint.local_addr().expect("it is bound");
        let frames = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&frames);
        let task = tokio::spawn(async move {
            let mut number = 0;
            while let Some(incoming) = endpoint.accept().await {
                let Ok(connection) = incoming.await else {
                    continue;
                };
                let action = script.actions.get(number).or(script.actions.last());
                let session = Session {
                    connection: number,
                    certificate: certificate_of(&connection),
                    chunks: 0,
                    action: *action.expect("a script has at least one action"),
                    script: script.clone(),
                    received: Arc::clone(&received),
                    totals: AckTotals::default(),
                };
                number += 1;
                tokio::spawn(session.run(connection));
            }
        });
        Self {
            address,
            frames,
            task,
        }
    }

    /// The address it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The frames received so far.
    pub fn frames(&self) -> Vec<ReceivedFrame> {
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The certificate that the client sent.
fn certificate_of(connection: &Connection) -> Arc<[u8]> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let first = chain.as_ref().and_then(|chain| chain.first());
    first.map_or_else(Arc::default, |certificate| Arc::from(certificate.as_ref()))
}

struct Session {
    /// The number of the connection, from 0.
    connection: usize,
    certificate: Arc<[u8]>,
    chunks: u64,
    action: Action,
    script: Script,
    received: Arc<Mutex<Vec<ReceivedFrame>>>,
    totals: AckTotals,
}

impl Session {
    async fn run(mut self, connection: Connection) {
        if let Action::Refuse(code) = self.action {
            close(&connection, code);
            // Keeps the connection until the client has received the code.
            connection.closed().await;
            return;
        }
        let Ok((mut send, mut recv)) = connection.accept_bi().await else {
            return;
        };
        // `None` means that the client closed the connection, which the test observes itself.

        if let Some(code) = self.serve(&mut send, &mut recv).await {
            let _ = send.finish();
            if code != CloseCode::Internal {
                let _ = send.stopped().await;
            }
            close(&connection, code);
        }
        connection.closed().await;
    }

    /// Returns the code to close with; `None` if the connection is lost.
    async fn serve(&mut self, send: &mut SendStream, recv: &mut RecvStream) -> Option<CloseCode> {
        let mut decoder = Decoder::new(Role::Server);
        let mut frame = self.frame(FrameKind::CheckIns);
        let mut frames = 0;
        while let Some(chunk) = recv.read_chunk(usize::MAX, true).await.ok()? {
            self.chunks += 1;
            let mut input: &[u8] = &chunk.bytes;
            while let Some(item) = decoder
                .next(&mut input)
                .expect("clients follow the protocol")
            {
                match item {
                    Item::ClientHello(_) => self.hello(send).await?,
                    Item::CheckInsBegin { .. } => frame = self.frame(FrameKind::CheckIns),
                    Item::Records(records) => frame.check_ins.extend_from_slice(records),
                    Item::Record(record) => frame.check_ins.push(record),
                    Item::Inventory(archive) => {
                        frame = self.frame(FrameKind::Inventory);
                        frame.inventory = archive;
                        frames += 1;
                        if let Some(code) = self.on_frame(&frame, frames, send).await? {
                            return Some(code);
                        }
                    }
                    Item::CheckInsEnd => {
                        frames += 1;
                        if let Some(code) = self.on_frame(&frame, frames, send).await? {
                            return Some(code);
                        }
                    }
                    Item::Goodbye(_) => {
                        let mut bytes = Vec::new();
                        encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
                        send.write_all(&bytes).await.ok()?;
                        return Some(CloseCode::Done);
                    }
                    other => panic!("a client does not send {other:?}"),
                }
            }
        }
        Some(CloseCode::TruncatedFrame)
    }

    fn frame(&self, kind: FrameKind) -> ReceivedFrame {
        ReceivedFrame {
            connection: self.connection,
            certificate: Arc::clone(&self.certificate),
            kind,
            check_ins: Vec::new(),
            inventory: Vec::new(),
            received_at: Instant::now(),
            chunks: 0,
        }
    }

    async fn hello(&self, send: &mut SendStream) -> Option<()> {
        let hello = ServerHello {
            version: 1,
            window_frames: self.script.window_frames,
            check_ins_per_frame_max: self.script.check_ins_per_frame_max,
            inventory_bytes_max: 8192,
            server_time_ms: 0,
            next_check_in_seconds: 28_800,
        };
        let mut bytes = Vec::new();
        encode_server_hello(&mut bytes, &hello);
        send.write_all(&bytes).await.ok()
    }

    /// Keeps and answers the frame that is the `number`th of its connection. The inner value is the code to close with.
    async fn on_frame(
        &mut self,
        frame: &ReceivedFrame,
        number: u64,
        send: &mut SendStream,
    ) -> Option<Option<CloseCode>> {
        let frame = ReceivedFrame {
            received_at: Instant::now(),
            chunks: self.chunks,
            ..frame.clone()
        };
        self.received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(frame.clone());
        let mut bytes = Vec::new();
        let mut close_with = None;
        let mut acknowledges = true;
        match self.action {
            Action::Disconnect { frames, acked } => {
                acknowledges = number <= acked;
                close_with = (number == frames).then_some(CloseCode::Internal);
            }
            Action::Busy { retry_after_ms } if number == 1 => {
                encode_busy(&mut bytes, Busy { retry_after_ms });
            }
            Action::Drain {
                frames,
                retry_after_ms,
            } if number == frames => {
                encode_goodbye(
                    &mut bytes,
                    Goodbye::new(CloseCode::Draining, retry_after_ms),
                );
                close_with = Some(CloseCode::Draining);
            }
            Action::NeverAcknowledge => acknowledges = false,
            _ => {}
        }
        if acknowledges {
            let outcome = (self.script.outcome)(&frame);
            self.totals.frames += 1 + u64::from(self.action == Action::AcknowledgeTooMany);
            self.totals.accepted += outcome.accepted;
            self.totals.duplicate += outcome.duplicate;
            self.totals.stale += outcome.stale;
            let rejected = outcome.rejections.iter().filter(|one| !one.is_stale());
            self.totals.rejected += rejected.count() as u64;
            let waits =
                matches!(self.action, Action::AcknowledgeTogether { frames } if number < frames);
            if !waits {
                encode_ack(&mut bytes, &self.totals, &outcome.rejections);
            }
        }
        send.write_all(&bytes).await.ok()?;
        Some(close_with)
    }
}

fn close(connection: &Connection, code: CloseCode) {
    connection.close(VarInt::from_u32(code.code()), code.name().as_bytes());
}
