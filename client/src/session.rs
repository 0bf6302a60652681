//! One open connection: sends frames, receives acks.
//!
//! Owner: the driver task, which runs one session after another. Bounds: frames come from a channel of one and only
//! while the window has room, so nothing queues up here. What it does not do: reconnect, or look into frames.

use std::time::Duration;

use bytes::Bytes;
use muster_wire::{Ack, CloseCode, Goodbye, Rejection, encode_goodbye};
use quinn::SendStream;
use tokio::{
    sync::{mpsc, watch},
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::{
    connection::{Connection, FirstFlight, Message},
    error::{ClientError, Disconnect, Failure, refusal},
    progress::{Progress, Status},
    stored_seqs::{StoredSeqs, is_futile},
    window::Window,
};

/// The maximum number of frames in one write. Enough to fill packets with small frames, and few enough that Busy stops
/// most of the frames it should.
const WRITE_FRAMES_MAX: usize = 16;

/// The approximate payload of a packet. Coalescing more than this saves no packet.
const PACKET_BYTES: usize = 1_200;

/// The frames of a client to be sent, and the state that it publishes. Outlives every session.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Frames from the caller.
    pub(crate) frames: mpsc::Receiver<Bytes>,
    /// Whether the caller has closed, so that no frame follows.
    pub(crate) is_closing: bool,
    pub(crate) window: Window,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) rejections: mpsc::Sender<Rejection>,
    pub(crate) stored_seqs: StoredSeqs,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum SessionEnd {
    /// The caller closed, and every frame is acknowledged.
    Closed,
    /// The connection was lost. The next attempt may start after `retry_after`.
    Lost {
        reason: Disconnect,
        retry_after: Duration,
    },
    /// A retry would fail the same way.
    Failed(ClientError),
}

impl Outbox {
    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.status
            .send_modify(|status| change(&mut status.progress));
    }

    /// Adds a frame received from the caller; `None` means that the caller has closed.
    pub(crate) fn push(&mut self, frame: Option<Bytes>) {
        match frame {
            Some(frame) => {
                self.window.push(frame);
                // Does not notify watchers: no watcher waits for this number, and every frame would wake them once
                // more.
                self.status.send_if_modified(|status| {
                    status.progress.frames_submitted += 1;
                    false
                });
            }
            None => self.is_closing = true,
        }
    }

    /// What the next connection can send before the server's Hello.
    pub(crate) fn first_flight(&self) -> FirstFlight {
        let check_in = self.window.oldest_if_single();
        FirstFlight {
            goodbye: self.is_closing && check_in.is_some() && self.window.len() == 1,
            check_in,
            waits_for_handshake: self.stored_seqs.waits_for_handshake(),
        }
    }

    fn acknowledge(&mut self, ack: &Ack) -> Result<(), ClientError> {
        let added = self.window.acknowledge(&ack.totals)?;
        let mut dropped = 0;
        for rejection in &ack.rejections {
            dropped += u64::from(self.rejections.try_send(*rejection).is_err());
        }
        self.stored_seqs.note(&ack.rejections);
        if added.accepted + added.stale > 0 {
            let is_listed = ack.rejections.iter().any(Rejection::is_stale);
            self.stored_seqs
                .wait_for_handshake(added.stale > 0 && !is_listed);
        }
        let (mut frames_acked, mut frames_dropped) = (added.frames, 0);
        for entry in ack.rejections.iter().filter(|one| one.stored.is_some()) {
            let dropped = self.window.drop_unsent(|frame| is_futile(frame, entry));
            frames_acked += dropped.done;
            frames_dropped += dropped.frames;
        }
        self.update(|progress| {
            progress.frames_acked += frames_acked;
            progress.frames_dropped += frames_dropped;
            progress.accepted += added.accepted;
            progress.duplicate += added.duplicate;
            progress.stale += added.stale;
            progress.rejected += added.rejected;
            progress.rejections_dropped += dropped;
            progress.next_check_in_seconds = ack.totals.next_check_in_seconds;
        });
        Ok(())
    }
}

/// The state of one session.
#[derive(Debug)]
struct Session<'a> {
    outbox: &'a mut Outbox,
    /// Frames that QUIC has not accepted yet; it may have accepted a part of the first.
    outgoing: Vec<Bytes>,
    busy_until: Option<Instant>,
    /// Whether our Goodbye was put into `outgoing` or sent in the first flight.
    goodbye_queued: bool,
    /// The server's Goodbye.
    goodbye: Option<Goodbye>,
    has_progressed: bool,
}

/// Runs a session to its end. The second value is whether the server acknowledged anything, which proves that it works.
pub(crate) async fn run(connection: &mut Connection, outbox: &mut Outbox) -> (SessionEnd, bool) {
    let mut session = Session {
        outbox,
        outgoing: Vec::with_capacity(WRITE_FRAMES_MAX),
        busy_until: None,
        goodbye_queued: connection.goodbye_sent,
        goodbye: None,
        has_progressed: false,
    };
    let end = session.serve(connection).await;
    let code = match &end {
        SessionEnd::Failed(ClientError::Protocol(error)) => error.close_code(),
        SessionEnd::Failed(ClientError::Ack(_)) => CloseCode::MalformedFrame,
        _ => CloseCode::Done,
    };
    connection.close(code);
    (end, session.has_progressed)
}

impl Session<'_> {
    async fn serve(&mut self, connection: &mut Connection) -> SessionEnd {
        let Connection { send, reader, .. } = connection;
        // A failed write only stops writing. The reader decides when the session ends, so that no ack that arrived
        // before the end is lost.
        let mut writable = true;
        // Whether the caller had a chance to submit another frame since the last write.
        let mut has_yielded = false;
        loop {
            self.fill();
            let busy_until = self.busy_until;
            let coalesces = self.coalesces();
            // Outgoing frames are written before more are received, unless more fit into the same packet.
            let receives = coalesces || (self.outgoing.is_empty() && self.has_room());
            let yields = coalesces && !has_yielded;
            tokio::select! {
                // In this order, so that frames which callers submit one after another leave in one packet: after an
                // ack many callers submit frames, each when its task is polled. Only the number of packets depends on
                // that. Messages are read before each write, so that Busy stops frames that are not outgoing yet.
                biased;
                frame = self.outbox.frames.recv(), if receives => self.outbox.push(frame),
                () = yield_now(), if yields => has_yielded = true,
                message = reader.message() => {
                    if let Some(end) = self.on_message(message) {
                        return end;
                    }
                }
                written = send.write_chunks(&mut self.outgoing),
                    if writable && !yields && !self.outgoing.is_empty() =>
                {
                    has_yielded = false;
                    match written {
                        Ok(written) => self.on_written(written.chunks, send),
                        Err(_) => writable = false,
                    }
                }
                () = sleep_until_busy_ends(busy_until), if busy_until.is_some() => {
                    self.busy_until = None;
                }
            }
        }
    }

    /// Whether another frame may fit into the same packet as the outgoing ones.
    fn coalesces(&self) -> bool {
        let bytes: usize = self.outgoing.iter().map(Bytes::len).sum();
        (1..PACKET_BYTES).contains(&bytes)
            && self.outgoing.len() < WRITE_FRAMES_MAX
            && self.has_room()
    }

    fn has_room(&self) -> bool {
        !self.outbox.is_closing && !self.is_paused() && self.outbox.window.has_room()
    }

    const fn is_paused(&self) -> bool {
        self.busy_until.is_some() || self.goodbye.is_some()
    }

    /// Appends the next frames to `outgoing`, and Goodbye after the last frame of a client that closes.
    fn fill(&mut self) {
        if self.goodbye.is_some() || self.goodbye_queued {
            return;
        }
        while !self.is_paused() && self.outgoing.len() < WRITE_FRAMES_MAX {
            let Some(frame) = self.outbox.window.send_next() else {
                break;
            };
            self.outgoing.push(frame);
        }
        if self.outbox.is_closing && self.outgoing.is_empty() && !self.outbox.window.has_unsent() {
            let mut bytes = Vec::new();
            encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
            self.outgoing.push(bytes.into());
            self.goodbye_queued = true;
        }
    }

    fn on_written(&mut self, chunks: usize, send: &mut SendStream) {
        self.outgoing.drain(..chunks);
        if self.outgoing.is_empty() && self.goodbye_queued {
            // Fails only if the stream has already ended; the reader returns the reason.
            let _ = send.finish();
        }
    }

    fn on_message(&mut self, message: Result<Message, Failure>) -> Option<SessionEnd> {
        match message {
            Ok(Message::Ack(ack)) => {
                if let Err(error) = self.outbox.acknowledge(&ack) {
                    return Some(SessionEnd::Failed(error));
                }
                self.has_progressed = true;
            }
            Ok(Message::Busy(busy)) => {
                let pause = Duration::from_millis(u64::from(busy.retry_after_ms));
                self.busy_until = Some(Instant::now() + pause);
                self.outbox.update(|progress| progress.busy += 1);
            }
            Ok(Message::Goodbye(goodbye)) => {
                if let Some(error) = refusal(u64::from(goodbye.code)) {
                    return Some(SessionEnd::Failed(error));
                }
                self.goodbye = Some(goodbye);
            }
            Err(Failure::Fatal(error)) => return Some(SessionEnd::Failed(error)),
            Err(Failure::Retryable(reason)) => return Some(self.lost(reason)),
        }
        // After its Goodbye a server only acknowledges what it has received. Then the session ends.
        let is_over = self.goodbye.is_some() && !self.outbox.window.has_in_flight();
        is_over.then(|| self.lost(Disconnect::StreamEnded))
    }

    fn lost(&self, reason: Disconnect) -> SessionEnd {
        if self.outbox.is_closing && self.outbox.window.is_empty() {
            return SessionEnd::Closed;
        }
        let Some(goodbye) = self.goodbye else {
            return SessionEnd::Lost {
                reason,
                retry_after: Duration::ZERO,
            };
        };
        SessionEnd::Lost {
            reason: Disconnect::Goodbye { code: goodbye.code },
            retry_after: Duration::from_millis(u64::from(goodbye.retry_after_ms)),
        }
    }
}

/// Creates the timer only when it is polled, because creating one reads the clock.
async fn sleep_until_busy_ends(until: Option<Instant>) {
    if let Some(until) = until {
        sleep_until(until).await;
    }
}
