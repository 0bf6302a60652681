//! One session: our authenticated state on one connection.
//!
//! Life: identity from the certificate, one stream, Hello both ways, then frames in and cumulative
//! acks out until a Goodbye, a fault, or the server drains. Owned by one task of the net runtime.
//! Memory is bounded by the window (frames in flight) and the connection's receive window.
//!
//! A frame is routed only once all of it has been read, so a stream that ends in the middle of one
//! leaves nothing half-applied. The session waits in two places, each watching the server's phase: for
//! bytes, and for room in an inbox. Time spent in the latter is not held against the client. It never
//! waits for its window: a client that sends more than that allows is closed.

mod acknowledge;
mod decode;
mod open;

use std::sync::Arc;
use std::time::Duration;

use muster_wire::{AckTotals, CloseCode, Decoder, DeviceId, Goodbye, encode_goodbye};
use quinn::{Connection, ReadError, RecvStream, SendStream, VarInt};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use super::listener::ListenerContext;
use super::registry::SessionEntry;
use crate::clock::{self, Stamp};
use crate::phase::Phase;
use crate::route::{Router, WindowCursor};

/// The most a session takes from its stream at once before its Hello.
const CHUNK_BYTES_MAX: usize = 4 << 10;

/// What a draining server tells its clients to wait before they come back.
const DRAIN_RETRY_AFTER_MS: u32 = 1000;

/// How long the last frames may take to reach the peer before the connection is closed on them.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// We close, with this code.
    Close(CloseCode),
    /// The connection is gone, or the peer closed it.
    Gone,
}

impl From<CloseCode> for End {
    fn from(code: CloseCode) -> Self {
        Self::Close(code)
    }
}

/// What waiting ended with.
enum Wake {
    /// So many chunks were read.
    Chunks(usize),
    EndOfStream,
    Progress,
    Phase,
    FrameTimeout,
}

/// The state of one session.
#[derive(Debug)]
struct Session {
    context: Arc<ListenerContext>,
    entry: SessionEntry,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    phase: watch::Receiver<Phase>,
    /// The one device a device certificate may speak for; none for a gateway.
    own_device: Option<DeviceId>,
    decoder: Decoder,
    router: Router,
    window: WindowCursor,
    totals: AckTotals,
    /// Frame bytes on their way out; reused.
    out: Vec<u8>,
    /// What was read and not yet taken; as many at once as its length.
    chunks: Box<[bytes::Bytes]>,
    /// When the current chunks were read.
    read_at: Stamp,
    /// Records in the frame that is being read.
    frame_records: u64,
    /// Whether a frame is open in the window that has not been read to its end.
    frame_is_open: bool,
    /// When the frame that is incomplete began to be read.
    frame_since: Option<Instant>,
    /// The client said Goodbye or ended its stream.
    client_is_done: bool,
    /// We said Goodbye because the server drains.
    draining: bool,
}

/// Runs the session of a connection to its end.
pub(super) async fn run(connection: Connection, deadline: Instant, context: Arc<ListenerContext>) {
    let watched = connection.clone();
    let end = match Session::open(connection, deadline, Arc::clone(&context)).await {
        Ok(mut session) => {
            let (id, identity) = (session.entry.id, &session.entry.identity);
            let span = tracing::info_span!("session", id, %identity);
            session.serve().instrument(span).await
        }
        Err(end) => end,
    };
    match end {
        End::Close(code) => {
            context.metrics.closed[code.index()].add(1);
            if !matches!(code, CloseCode::Done | CloseCode::Draining) {
                context.log_cause(code.name(), &watched.remote_address());
            }
            watched.close(VarInt::from_u32(code.code()), code.name().as_bytes());
        }
        End::Gone => match watched.close_reason().and_then(|reason| peer_code(&reason)) {
            Some(code) => context.metrics.closed[code.index()].add(1),
            None => context.metrics.closed_otherwise.add(1),
        },
    }
}

/// The code with which the peer closed.
fn peer_code(reason: &quinn::ConnectionError) -> Option<CloseCode> {
    match reason {
        quinn::ConnectionError::ApplicationClosed(close) => {
            CloseCode::from_code(close.error_code.into_inner())
        }
        _ => None,
    }
}

impl Session {
    async fn serve(&mut self) -> End {
        tracing::debug!(remote = %self.entry.remote, "session opened");
        loop {
            match self.turn().await {
                Ok(()) => (),
                Err(end) => {
                    tracing::debug!(?end, frames = self.totals.frames, "session ends");
                    return end;
                }
            }
        }
    }

    /// Acknowledges what is durable, ends if everything is said, waits, takes what came.
    async fn turn(&mut self) -> Result<(), End> {
        self.check_phase().await?;
        self.acknowledge().await?;
        // A draining server reads no more: the frame it stopped in has handed nothing to a shard.
        if self.window.in_flight() == usize::from(self.frame_is_open) {
            if self.client_is_done {
                return Err(self.farewell(CloseCode::Done).await);
            }
            if self.draining {
                return Err(self.farewell(CloseCode::Draining).await);
            }
        }
        match self.wake().await? {
            Wake::Chunks(count) => self.take(count).await,
            Wake::EndOfStream => {
                self.decoder.finish().map_err(|error| error.close_code())?;
                self.client_is_done = true;
                Ok(())
            }
            Wake::Progress | Wake::Phase => Ok(()),
            Wake::FrameTimeout => Err(CloseCode::FrameTimeout.into()),
        }
    }

    /// Waits for bytes, durability, or a change of phase, whichever comes first.
    async fn wake(&mut self) -> Result<Wake, End> {
        let reading = !self.client_is_done && !self.draining;
        let timeout = self.context.config.frame_timeout.get();
        let frame_deadline = self.frame_since.map(|since| since + timeout);
        let in_flight = self.window.in_flight() > 0;
        tokio::select! {
            read = self.receive.read_chunks(&mut self.chunks), if reading => match read {
                Ok(Some(count)) => {
                    self.read_at = clock::stamp();
                    Ok(Wake::Chunks(count))
                }
                Ok(None) => Ok(Wake::EndOfStream),
                // A reset stream is an end without the missing frames.
                Err(ReadError::Reset(_)) => Err(CloseCode::TruncatedFrame.into()),
                Err(_) => Err(End::Gone),
            },
            () = self.window.progress(), if in_flight => Ok(Wake::Progress),
            changed = self.phase.changed() => match changed {
                Ok(()) => Ok(Wake::Phase),
                Err(_) => Err(CloseCode::Draining.into()),
            },
            () = until(frame_deadline), if reading => Ok(Wake::FrameTimeout),
            _ = self.connection.closed(), if !reading => Err(End::Gone),
        }
    }

    /// Looked at once a turn, so no change is missed whoever watched it.
    async fn check_phase(&mut self) -> Result<(), End> {
        let phase = *self.phase.borrow_and_update();
        match phase {
            Phase::Starting | Phase::Serving => Ok(()),
            Phase::Poisoned => Err(CloseCode::StoreUnavailable.into()),
            Phase::Draining if self.draining => Ok(()),
            Phase::Draining => {
                self.draining = true;
                let goodbye = Goodbye::new(CloseCode::Draining, DRAIN_RETRY_AFTER_MS);
                encode_goodbye(&mut self.out, goodbye);
                self.write_out().await
            }
        }
    }

    /// Ends an orderly session: the last frame out, then a moment for it to arrive.
    async fn farewell(&mut self, code: CloseCode) -> End {
        if code == CloseCode::Done {
            encode_goodbye(&mut self.out, Goodbye::new(code, 0));
            if let Err(end) = self.write_out().await {
                return end;
            }
        }
        // Fails only on a stream that is finished or reset, where there is nothing left to say.
        let _ = self.send.finish();
        // A peer that does not confirm in time is closed on all the same.
        let _ = tokio::time::timeout(FAREWELL_MAX, self.send.stopped()).await;
        End::Close(code)
    }

    /// Writes and empties `out`. A peer that does not read its acks gets as long as for a frame.
    async fn write_out(&mut self) -> Result<(), End> {
        let timeout = self.context.config.frame_timeout.get();
        let written = tokio::time::timeout(timeout, self.send.write_all(&self.out)).await;
        self.out.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(CloseCode::FrameTimeout.into()),
        }
    }
}

/// Ends when the store is poisoned; a drain lets what was read come to its end.
async fn poisoned(phase: &mut watch::Receiver<Phase>) -> End {
    match phase.wait_for(|phase| *phase == Phase::Poisoned).await {
        Ok(_) => CloseCode::StoreUnavailable.into(),
        Err(_) => CloseCode::Draining.into(),
    }
}

/// Sleeps until a deadline, or forever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
