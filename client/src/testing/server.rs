//! A server that does what a script says, connection by connection.

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

/// Waits for something that comes within seconds unless the test has failed.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    let deadline = Duration::from_secs(20);
    tokio::time::timeout(deadline, future)
        .await
        .expect("it comes before the deadline")
}

/// What a server does with one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Acknowledges every frame when it has come, and answers Goodbye.
    Acknowledge,
    /// Acknowledges so many frames by one ack, and every later one when it has come.
    Together {
        /// Frames that the first ack covers.
        frames: u64,
    },
    /// Takes `frames` frames, acknowledges the first `acked` of them, and is gone without a word.
    Lose {
        /// Frames to take.
        frames: u64,
        /// Frames to acknowledge.
        acked: u64,
    },
    /// Says Busy before it acknowledges the first frame; then like [`Act::Acknowledge`].
    Busy {
        /// The pause to ask for.
        retry_after_ms: u32,
    },
    /// Says Goodbye (draining) after so many frames, acknowledges them, and closes.
    Drain {
        /// Frames to take.
        frames: u64,
        /// After how long to come back.
        retry_after_ms: u32,
    },
    /// Closes the connection with this code instead of a Hello.
    Refuse(CloseCode),
    /// Acknowledges one frame more than it got.
    Overclaim,
    /// Takes every frame and acknowledges none.
    Ignore,
}

/// What becomes of the records of a frame.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Records that changed something.
    pub accepted: u64,
    /// Records that were there already.
    pub duplicate: u64,
    /// Records that were older.
    pub stale: u64,
    /// Records refused.
    pub rejections: Vec<Rejection>,
}

type Judge = dyn Fn(&ReceivedFrame) -> Outcome + Send + Sync;

/// How a server behaves.
#[derive(Clone)]
pub struct Script {
    /// The window it offers.
    pub window_frames: u16,
    /// The size of frame it offers.
    pub check_ins_per_frame_max: u32,
    /// What it does with the first connection, the second, and so on; the last goes for all others.
    pub acts: Vec<Act>,
    /// What becomes of the records of a frame; all are accepted unless the test says otherwise.
    pub judge: Arc<Judge>,
}

impl fmt::Debug for Script {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Script")
            .field("acts", &self.acts)
            .finish_non_exhaustive()
    }
}

impl Script {
    /// A server with a window of 8 that does this.
    pub fn new(acts: impl Into<Vec<Act>>) -> Self {
        Self {
            window_frames: 8,
            check_ins_per_frame_max: 4096,
            acts: acts.into(),
            judge: Arc::new(|frame| Outcome {
                accepted: u64::try_from(frame.check_ins.len().max(1)).unwrap_or(u64::MAX),
                ..Outcome::default()
            }),
        }
    }
}

/// A frame as the server got it.
#[derive(Debug, Clone)]
pub struct ReceivedFrame {
    /// The number of the connection, from 0.
    pub connection: usize,
    /// The certificate that the client has shown, in DER.
    pub certificate: Arc<[u8]>,
    /// CheckIns or Inventory.
    pub kind: FrameKind,
    /// The records of a CheckIns frame.
    pub check_ins: Vec<CheckInBytes>,
    /// The archive of an Inventory frame.
    pub inventory: Vec<u8>,
    /// When it was complete.
    pub at: Instant,
    /// The number of pieces, packets' worth, in which the client's bytes had come by then.
    pub pieces: u64,
}

/// A running server; it ends with its owner.
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
    /// Starts on a port of 127.0.0.1 that the system chooses.
    pub fn start(pki: &TestPki, script: Script) -> Self {
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = quinn::Endpoint::server(pki.server_config(), local).expect("a free port");
        let address = endpoint.local_addr().expect("it is bound");
        let frames = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&frames);
        let task = tokio::spawn(async move {
            let mut number = 0;
            while let Some(incoming) = endpoint.accept().await {
                let Ok(connection) = incoming.await else {
                    continue;
                };
                let act = script.acts.get(number).or(script.acts.last());
                let session = Session {
                    number,
                    certificate: certificate_of(&connection),
                    pieces: 0,
                    act: *act.expect("a script has an act"),
                    script: script.clone(),
                    log: Arc::clone(&log),
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

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every frame it got so far.
    pub fn frames(&self) -> Vec<ReceivedFrame> {
        self.frames
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What a client has shown of itself.
fn certificate_of(connection: &Connection) -> Arc<[u8]> {
    let chain = connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let first = chain.as_ref().and_then(|chain| chain.first());
    first.map_or_else(Arc::default, |certificate| Arc::from(certificate.as_ref()))
}

struct Session {
    number: usize,
    certificate: Arc<[u8]>,
    pieces: u64,
    act: Act,
    script: Script,
    log: Arc<Mutex<Vec<ReceivedFrame>>>,
    totals: AckTotals,
}

impl Session {
    async fn run(mut self, connection: Connection) {
        if let Act::Refuse(code) = self.act {
            close(&connection, code);
            // Held until the client has seen it.
            connection.closed().await;
            return;
        }
        let Ok((mut send, mut recv)) = connection.accept_bi().await else {
            return;
        };
        // An error here is the client's end of the connection; its own test looks at that.
        if let Some(code) = self.serve(&mut send, &mut recv).await {
            let _ = send.finish();
            if code != CloseCode::Internal {
                let _ = send.stopped().await;
            }
            close(&connection, code);
        }
        connection.closed().await;
    }

    /// The code to close with; `None` if the connection is gone.
    async fn serve(&mut self, send: &mut SendStream, recv: &mut RecvStream) -> Option<CloseCode> {
        let mut decoder = Decoder::new(Role::Server);
        let mut frame = self.frame(FrameKind::CheckIns);
        let mut received = 0;
        while let Some(chunk) = recv.read_chunk(usize::MAX, true).await.ok()? {
            self.pieces += 1;
            let mut input: &[u8] = &chunk.bytes;
            while let Some(item) = decoder
                .next(&mut input)
                .expect("clients speak the protocol")
            {
                match item {
                    Item::ClientHello(_) => self.hello(send).await?,
                    Item::CheckInsBegin { .. } => frame = self.frame(FrameKind::CheckIns),
                    Item::Records(records) => frame.check_ins.extend_from_slice(records),
                    Item::Record(record) => frame.check_ins.push(record),
                    Item::Inventory(archive) => {
                        frame = self.frame(FrameKind::Inventory);
                        frame.inventory = archive;
                        received += 1;
                        if let Some(code) = self.frame_complete(&frame, received, send).await? {
                            return Some(code);
                        }
                    }
                    Item::CheckInsEnd => {
                        received += 1;
                        if let Some(code) = self.frame_complete(&frame, received, send).await? {
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
            connection: self.number,
            certificate: Arc::clone(&self.certificate),
            kind,
            check_ins: Vec::new(),
            inventory: Vec::new(),
            at: Instant::now(),
            pieces: 0,
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

    /// Logs a frame and answers it. The inner value is the code to close with.
    async fn frame_complete(
        &mut self,
        frame: &ReceivedFrame,
        received: u64,
        send: &mut SendStream,
    ) -> Option<Option<CloseCode>> {
        let frame = ReceivedFrame {
            at: Instant::now(),
            pieces: self.pieces,
            ..frame.clone()
        };
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(frame.clone());
        let mut bytes = Vec::new();
        let mut close_with = None;
        let mut acknowledges = true;
        match self.act {
            Act::Lose { frames, acked } => {
                acknowledges = received <= acked;
                close_with = (received == frames).then_some(CloseCode::Internal);
            }
            Act::Busy { retry_after_ms } if received == 1 => {
                encode_busy(&mut bytes, Busy { retry_after_ms });
            }
            Act::Drain {
                frames,
                retry_after_ms,
            } if received == frames => {
                encode_goodbye(
                    &mut bytes,
                    Goodbye::new(CloseCode::Draining, retry_after_ms),
                );
                close_with = Some(CloseCode::Draining);
            }
            Act::Ignore => acknowledges = false,
            _ => {}
        }
        if acknowledges {
            let outcome = (self.script.judge)(&frame);
            self.totals.frames += 1 + u64::from(self.act == Act::Overclaim);
            self.totals.accepted += outcome.accepted;
            self.totals.duplicate += outcome.duplicate;
            self.totals.stale += outcome.stale;
            self.totals.rejected += u64::try_from(outcome.rejections.len()).unwrap_or(u64::MAX);
            let waits = matches!(self.act, Act::Together { frames } if received < frames);
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
