//! What goes on while a connection is open: frames out, acks in.
//!
//! Owner: the driver task, which runs one session after the other. Bounds: frames come from a
//! channel of one and only while the window has room, so nothing piles up here. What it does not do:
//! no reconnecting, and no look into the frames.

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
    connection::{Connection, FirstWords, Message},
    error::{ClientError, Disconnect, Fault, refused},
    progress::{Progress, Status},
    window::Window,
};

/// Frames given to QUIC at once, at most. Enough that small frames share packets; few enough that a
/// Busy holds back most of what it should.
const WRITE_FRAMES_MAX: usize = 16;

/// About what a packet takes. Frames that come to more gain nothing by leaving together.
const PACKET_BYTES: usize = 1_200;

/// What outlives a session.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Frames from the caller.
    pub(crate) frames: mpsc::Receiver<Bytes>,
    /// Whether the caller has closed: no frame will come any more.
    pub(crate) is_closing: bool,
    pub(crate) window: Window,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) rejections: mpsc::Sender<Rejection>,
}

/// How a session ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The caller closed, and everything is acknowledged.
    Finished,
    /// The connection is gone; the next one may open after this time.
    Lost {
        reason: Disconnect,
        retry_after: Duration,
    },
    /// No further connection can help.
    Failed(ClientError),
}

impl Outbox {
    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        self.status
            .send_modify(|status| change(&mut status.progress));
    }

    /// Takes over what the caller handed to the channel; `None` means that the caller has closed.
    pub(crate) fn take(&mut self, frame: Option<Bytes>) {
        match frame {
            Some(frame) => {
                self.window.push(frame);
                // Nobody waits for this number, so nobody is woken for it: that would be once more for each frame.
                self.status.send_if_modified(|status| {
                    status.progress.frames_taken += 1;
                    false
                });
            }
            None => self.is_closing = true,
        }
    }

    /// What the next connection may begin with.
    pub(crate) fn first_words(&self) -> FirstWords {
        let check_in = self.window.oldest_if_small();
        FirstWords {
            goodbye: self.is_closing && check_in.is_some() && self.window.len() == 1,
            check_in,
        }
    }

    fn acknowledge(&mut self, ack: &Ack) -> Result<(), ClientError> {
        let added = self.window.acknowledge(&ack.totals)?;
        let mut dropped = 0;
        for rejection in &ack.rejections {
            dropped += u64::from(self.rejections.try_send(*rejection).is_err());
        }
        self.update(|progress| {
            progress.frames_acked += added.frames;
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
    /// What QUIC has not taken yet, the first perhaps in part.
    outgoing: Vec<Bytes>,
    busy_until: Option<Instant>,
    /// Whether our Goodbye is among what was written.
    goodbye_written: bool,
    /// The server's Goodbye.
    goodbye: Option<Goodbye>,
    has_progressed: bool,
}

/// Runs a connection to its end. The second value is whether the server acknowledged something,
/// which shows that it works.
pub(crate) async fn run(connection: &mut Connection, outbox: &mut Outbox) -> (Ended, bool) {
    let mut session = Session {
        outbox,
        outgoing: Vec::with_capacity(WRITE_FRAMES_MAX),
        busy_until: None,
        goodbye_written: connection.goodbye_written,
        goodbye: None,
        has_progressed: false,
    };
    let ended = session.serve(connection).await;
    let code = match &ended {
        Ended::Failed(ClientError::Protocol(error)) => error.close_code(),
        Ended::Failed(ClientError::Ack(_)) => CloseCode::MalformedFrame,
        _ => CloseCode::Done,
    };
    connection.close(code);
    (ended, session.has_progressed)
}

impl Session<'_> {
    async fn serve(&mut self, connection: &mut Connection) -> Ended {
        let Connection { send, receiver, .. } = connection;
        // The reading side alone decides when the connection has ended, so that acks that came
        // before the end are never lost; after a failed write there is only nothing to write.
        let mut writable = true;
        // Whether the caller has had a turn since something was written.
        let mut gathered = false;
        loop {
            self.fill();
            let busy_until = self.busy_until;
            // What is in line leaves before more is taken, unless it is little.
            let shares = self.shares_packet();
            let takes = shares || (self.outgoing.is_empty() && self.has_room());
            let gathers = shares && !gathered;
            tokio::select! {
                // A caller that hands over one frame after the other, as many do when an ack has come, most likely
                // gets to the next one in a turn of its own; nothing but the number of packets rests on that. Before
                // each write is a look at what came: a Busy holds back what is not in line yet.
                biased;
                frame = self.outbox.frames.recv(), if takes => self.outbox.take(frame),
                () = yield_now(), if gathers => gathered = true,
                message = receiver.message() => {
                    if let Some(ended) = self.receive(message) {
                        return ended;
                    }
                }
                written = send.write_chunks(&mut self.outgoing),
                    if writable && !gathers && !self.outgoing.is_empty() =>
                {
                    gathered = false;
                    match written {
                        Ok(written) => self.written(written.chunks, send),
                        Err(_) => writable = false,
                    }
                }
                () = pause(busy_until), if busy_until.is_some() => {
                    self.busy_until = None;
                }
            }
        }
    }

    /// Whether what is in line is little, and there may be more to leave in the same packet.
    fn shares_packet(&self) -> bool {
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

    /// Puts the next frames in line for QUIC, or the Goodbye after the last. What is in line stays first.
    fn fill(&mut self) {
        if self.goodbye.is_some() || self.goodbye_written {
            return;
        }
        while !self.is_paused() && self.outgoing.len() < WRITE_FRAMES_MAX {
            let Some(frame) = self.outbox.window.take_unsent() else {
                break;
            };
            self.outgoing.push(frame);
        }
        if self.outbox.is_closing && self.outgoing.is_empty() && !self.outbox.window.has_unsent() {
            let mut bytes = Vec::new();
            encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
            self.outgoing.push(bytes.into());
            self.goodbye_written = true;
        }
    }

    fn written(&mut self, chunks: usize, send: &mut SendStream) {
        self.outgoing.drain(..chunks);
        if self.outgoing.is_empty() && self.goodbye_written {
            // Fails only if the stream has ended already, which the reading side will say.
            let _ = send.finish();
        }
    }

    fn receive(&mut self, message: Result<Message, Fault>) -> Option<Ended> {
        match message {
            Ok(Message::Ack(ack)) => {
                if let Err(error) = self.outbox.acknowledge(&ack) {
                    return Some(Ended::Failed(error));
                }
                self.has_progressed = true;
            }
            Ok(Message::Busy(busy)) => {
                let pause = Duration::from_millis(u64::from(busy.retry_after_ms));
                self.busy_until = Some(Instant::now() + pause);
                self.outbox.update(|progress| progress.busy += 1);
            }
            Ok(Message::Goodbye(goodbye)) => {
                if let Some(error) = refused(u64::from(goodbye.code)) {
                    return Some(Ended::Failed(error));
                }
                self.goodbye = Some(goodbye);
            }
            Err(Fault::Final(error)) => return Some(Ended::Failed(error)),
            Err(Fault::Passing(reason)) => return Some(self.lost(reason)),
        }
        // After its Goodbye a server only acknowledges what it has; then nothing holds us here.
        let is_over = self.goodbye.is_some() && !self.outbox.window.has_sent();
        is_over.then(|| self.lost(Disconnect::StreamEnded))
    }

    fn lost(&self, reason: Disconnect) -> Ended {
        if self.outbox.is_closing && self.outbox.window.is_empty() {
            return Ended::Finished;
        }
        let Some(goodbye) = self.goodbye else {
            return Ended::Lost {
                reason,
                retry_after: Duration::ZERO,
            };
        };
        let retry_after = Duration::from_millis(u64::from(goodbye.retry_after_ms));
        Ended::Lost {
            reason: Disconnect::Goodbye { code: goodbye.code },
            retry_after,
        }
    }
}

/// Sleeps until then, or not at all. Made only when it is waited for: a timer reads the clock.
async fn pause(until: Option<Instant>) {
    if let Some(until) = until {
        sleep_until(until).await;
    }
}
