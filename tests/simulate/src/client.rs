//! A simulated client, device or gateway: it sends frames, keeps them until they are acknowledged, and resends them
//! on the next connection.
//!
//! The client is honest: it respects the window and resends the same bytes. It survives crashes of the server.
//! Bounded to `FRAMES_MAX` unacknowledged frames. Frames come from `frames.rs`; acks update
//! `acknowledged_state.rs`.

use std::collections::VecDeque;

use muster_testkit::random::Random;
use muster_wire::{
    Ack, AckTotals, ClientHello, CloseCode, Decoder, Goodbye, Identity, Item, Role, VERSION_MAX,
    VERSION_MIN, encode_client_hello, encode_goodbye,
};

use crate::acknowledged_state::AcknowledgedState;
use crate::fleet::Fleet;
use crate::frames::{Frame, Sender};
use crate::violation::Violation;

/// Maximum number of unacknowledged frames.
const FRAMES_MAX: usize = 12;

/// A simulated client.
#[derive(Debug)]
pub struct Client {
    /// The identity of its certificate.
    pub identity: Identity,
    /// The devices that it may speak for.
    pub sender: Sender,
    /// Unacknowledged frames, oldest first.
    queue: VecDeque<Frame>,
    /// How many of them were sent on this connection.
    sent: usize,
    /// Whether it makes new frames.
    produces: bool,
    /// A Goodbye was sent or received on this connection.
    is_closing: bool,
    window_frames: Option<usize>,
    decoder: Decoder,
    totals: AckTotals,
    /// Turns to skip after a Busy.
    skipped_turns: u64,
}

impl Client {
    /// A client that is not connected.
    pub fn new(identity: Identity, sender: Sender) -> Self {
        Self {
            identity,
            sender,
            queue: VecDeque::new(),
            sent: 0,
            produces: true,
            is_closing: false,
            window_frames: None,
            decoder: Decoder::new(Role::Client),
            totals: AckTotals::default(),
            skipped_turns: 0,
        }
    }

    /// Makes no new frames from now on.
    pub fn stop_producing(&mut self) {
        self.produces = false;
    }

    /// Whether all of its frames are acknowledged.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    /// Begins a new connection with Hello. Unacknowledged frames will be resent on it.
    pub fn connect(&mut self, to_server: &mut VecDeque<u8>) {
        self.sent = 0;
        self.window_frames = None;
        self.decoder = Decoder::new(Role::Client);
        self.totals = AckTotals::default();
        self.is_closing = false;
        self.skipped_turns = 0;
        let mut hello = Vec::new();
        let versions = ClientHello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
        };
        encode_client_hello(&mut hello, &versions);
        to_server.extend(hello);
    }

    /// Sends the next frame if the window has room. Returns the number of records sent.
    pub fn send(
        &mut self,
        to_server: &mut VecDeque<u8>,
        fleet: &mut Fleet,
        acknowledged_state: &AcknowledgedState,
        random: &mut Random,
    ) -> usize {
        if self.skipped_turns > 0 {
            self.skipped_turns -= 1;
            return 0;
        }
        if self.window_frames.is_none_or(|window| self.sent >= window) || self.is_closing {
            return 0;
        }
        if self.sent == self.queue.len() && self.produces && self.queue.len() < FRAMES_MAX {
            self.queue
                .push_back(Frame::make(&self.sender, fleet, random));
        }
        let Some(frame) = self.queue.get_mut(self.sent) else {
            return 0;
        };
        frame.accepted_max = acknowledged_state.accepted_max(self.sender.tenant, frame);
        to_server.extend(&frame.bytes);
        self.sent += 1;
        frame.records.len()
    }

    /// Sends Goodbye if everything is acknowledged. Returns whether it did.
    pub fn send_goodbye(&mut self, to_server: &mut VecDeque<u8>) -> bool {
        if self.is_closing || self.window_frames.is_none() || !self.is_done() {
            return false;
        }
        self.is_closing = true;
        let mut bytes = Vec::new();
        encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
        to_server.extend(bytes);
        true
    }

    /// Reads bytes from the server. Returns how many records they acknowledge.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        fleet: &Fleet,
        acknowledged_state: &mut AcknowledgedState,
    ) -> Result<u64, Violation> {
        let mut rest = bytes;
        let mut acknowledged = 0;
        loop {
            let item = self.decoder.next(&mut rest).map_err(|error| {
                Violation::new(
                    "protocol",
                    format!("the client cannot decode what the server sent: {error}"),
                )
            })?;
            match item {
                None => return Ok(acknowledged),
                Some(Item::ServerHello(hello)) => {
                    self.window_frames = Some(usize::from(hello.window_frames));
                }
                Some(Item::Ack(ack)) => {
                    acknowledged += self.acknowledge(&ack, fleet, acknowledged_state)?
                }
                Some(Item::Busy(_)) => self.skipped_turns = 5,
                Some(Item::Goodbye(_)) => self.is_closing = true,
                Some(other) => {
                    let detail = format!("the server sent {other:?}");
                    return Err(Violation::new("protocol", detail));
                }
            }
        }
    }

    fn acknowledge(
        &mut self,
        ack: &Ack,
        fleet: &Fleet,
        acknowledged_state: &mut AcknowledgedState,
    ) -> Result<u64, Violation> {
        let (now, before) = (&ack.totals, self.totals);
        let frames = now.frames.checked_sub(before.frames);
        let Some(frames) = frames.filter(|frames| *frames as usize <= self.sent) else {
            let (sent, frames) = (self.sent, now.frames);
            let detail = format!(
                "an ack of {frames} frames follows one of {}, with {sent} in flight",
                before.frames
            );
            return Err(Violation::new("acks add up", detail));
        };
        let done: Vec<Frame> = self.queue.drain(..frames as usize).collect();
        let records = || done.iter().flat_map(|frame| &frame.records);
        let expected = records().count() as u64;
        let invalid = records().filter(|record| !record.is_valid).count() as u64;
        let accepted_max: u64 = done.iter().map(|frame| frame.accepted_max).sum();
        // Since they were sent, an operator may have reset or removed a device.
        let accepted_max =
            accepted_max + acknowledged_state.acted_on(self.sender.tenant, records());
        let accepted = now.accepted.wrapping_sub(before.accepted);
        let rejected = now.rejected.wrapping_sub(before.rejected);
        let duplicate = now.duplicate.wrapping_sub(before.duplicate);
        let stale = now.stale.wrapping_sub(before.stale);
        acknowledged_state.add(self.sender.tenant, &done, rejected, &ack.rejections, fleet)?;
        self.sent -= frames as usize;
        self.totals = *now;
        let counted = [accepted, rejected, duplicate, stale]
            .into_iter()
            .fold(0, u64::wrapping_add);
        if counted != expected || rejected < invalid {
            let detail = format!(
                "the ack of {frames} frames with {expected} records, {invalid} of them invalid, counts {counted} \
                 records, {rejected} of them rejected"
            );
            return Err(Violation::new("acks add up", detail));
        }
        if accepted > accepted_max {
            let detail = format!("{accepted} records accepted, at most {accepted_max} can be new");
            return Err(Violation::new("counted once", detail));
        }
        Ok(expected)
    }
}
