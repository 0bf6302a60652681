//! A device or gateway: it sends frames, keeps them until they are acknowledged, and sends them again on the next
//! connection.
//!
//! Honest: it keeps to the window, and repeats what it sent byte for byte. It lives through crashes of the server.
//! Bounded: at most `FRAMES_MAX` frames wait. Frames come from `frames.rs`, what acks promise goes to
//! `promises.rs`.

use std::collections::VecDeque;

use muster_loadgen::random::Random;
use muster_wire::{
    Ack, AckTotals, ClientHello, CloseCode, Decoder, Goodbye, Identity, Item, Role, VERSION_MAX,
    VERSION_MIN, encode_client_hello, encode_goodbye,
};

use crate::fleet::Fleet;
use crate::frames::{Frame, Sender};
use crate::promises::Promises;
use crate::violation::Violation;

/// Frames made and not acknowledged, at most.
const FRAMES_MAX: usize = 12;

/// A client of a world.
#[derive(Debug)]
pub struct Client {
    /// Who it is.
    pub identity: Identity,
    /// For whom it speaks.
    pub sender: Sender,
    /// Frames that are not acknowledged, oldest first.
    queue: VecDeque<Frame>,
    /// How many of them were sent on this connection.
    sent: usize,
    /// Whether it makes further frames.
    produces: bool,
    said_goodbye: bool,
    window_frames: Option<usize>,
    decoder: Decoder,
    totals: AckTotals,
    /// Turns to let pass because the server was busy.
    pauses: u64,
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
            said_goodbye: false,
            window_frames: None,
            decoder: Decoder::new(Role::Client),
            totals: AckTotals::default(),
            pauses: 0,
        }
    }

    /// Makes no further frames.
    pub fn stop(&mut self) {
        self.produces = false;
    }

    /// Whether everything it ever made is acknowledged.
    pub fn is_done(&self) -> bool {
        self.queue.is_empty()
    }

    /// A new connection: says Hello. Everything that is not acknowledged will be sent again.
    pub fn connect(&mut self, to_server: &mut VecDeque<u8>) {
        self.sent = 0;
        self.window_frames = None;
        self.decoder = Decoder::new(Role::Client);
        self.totals = AckTotals::default();
        self.said_goodbye = false;
        self.pauses = 0;
        let mut hello = Vec::new();
        let versions = ClientHello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
        };
        encode_client_hello(&mut hello, &versions);
        to_server.extend(hello);
    }

    /// Sends the next frame, if the window allows for one. Returns its number of records, 0 for nothing.
    pub fn send(
        &mut self,
        to_server: &mut VecDeque<u8>,
        fleet: &mut Fleet,
        promises: &Promises,
        random: &mut Random,
    ) -> usize {
        if self.pauses > 0 {
            self.pauses -= 1;
            return 0;
        }
        if self.window_frames.is_none_or(|window| self.sent >= window) || self.said_goodbye {
            return 0;
        }
        if self.sent == self.queue.len() && self.produces && self.queue.len() < FRAMES_MAX {
            self.queue
                .push_back(Frame::make(&self.sender, fleet, random));
        }
        let Some(frame) = self.queue.get_mut(self.sent) else {
            return 0;
        };
        frame.news_max = promises.news(self.sender.tenant, frame);
        to_server.extend(&frame.bytes);
        self.sent += 1;
        frame.records.len()
    }

    /// Says Goodbye once everything is acknowledged. Returns whether it did.
    pub fn say_goodbye(&mut self, to_server: &mut VecDeque<u8>) -> bool {
        if self.said_goodbye || self.window_frames.is_none() || !self.is_done() {
            return false;
        }
        self.said_goodbye = true;
        let mut bytes = Vec::new();
        encode_goodbye(&mut bytes, Goodbye::new(CloseCode::Done, 0));
        to_server.extend(bytes);
        true
    }

    /// Takes what the server says. Returns how many records it acknowledged.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        fleet: &Fleet,
        promises: &mut Promises,
    ) -> Result<u64, Violation> {
        let mut rest = bytes;
        let mut acknowledged = 0;
        loop {
            let item = self.decoder.next(&mut rest).map_err(|error| {
                Violation::new(
                    "protocol",
                    format!("the server sent what is no frame: {error}"),
                )
            })?;
            match item {
                None => return Ok(acknowledged),
                Some(Item::ServerHello(hello)) => {
                    self.window_frames = Some(usize::from(hello.window_frames));
                }
                Some(Item::Ack(ack)) => acknowledged += self.acknowledge(&ack, fleet, promises)?,
                Some(Item::Busy(_)) => self.pauses = 5,
                Some(Item::Goodbye(_)) => self.said_goodbye = true,
                Some(other) => {
                    let what = format!("a server does not send {other:?}");
                    return Err(Violation::new("protocol", what));
                }
            }
        }
    }

    fn acknowledge(
        &mut self,
        ack: &Ack,
        fleet: &Fleet,
        promises: &mut Promises,
    ) -> Result<u64, Violation> {
        let (now, before) = (&ack.totals, self.totals);
        let frames = now.frames.checked_sub(before.frames);
        let Some(frames) = frames.filter(|frames| *frames as usize <= self.sent) else {
            let (sent, frames) = (self.sent, now.frames);
            let what = format!(
                "{frames} frames acknowledged after {}, {sent} sent",
                before.frames
            );
            return Err(Violation::new("acks", what));
        };
        let done: Vec<Frame> = self.queue.drain(..frames as usize).collect();
        let records = || done.iter().flat_map(|frame| &frame.records);
        let expected = records().count() as u64;
        let invalid = records().filter(|record| !record.is_valid).count() as u64;
        let news_max: u64 = done.iter().map(|frame| frame.news_max).sum();
        let refused = now.rejected.wrapping_sub(before.rejected);
        promises.keep(self.sender.tenant, &done, refused, &ack.rejections, fleet)?;
        self.sent -= frames as usize;
        self.totals = *now;
        let delta = |of: fn(&AckTotals) -> u64| of(now).wrapping_sub(of(&before));
        let accepted = delta(|totals| totals.accepted);
        let rejected = delta(|totals| totals.rejected);
        let answered = delta(|totals| totals.duplicate) + delta(|totals| totals.stale);
        let answered = answered.wrapping_add(accepted).wrapping_add(rejected);
        if answered != expected || rejected < invalid {
            let what = format!(
                "{frames} frames of {expected} records ({invalid} invalid) are answered by {answered} in all, \
                 {rejected} of them rejected"
            );
            return Err(Violation::new("acks add up", what));
        }
        if accepted > news_max {
            let what = format!("{accepted} records accepted, {news_max} of them can be new");
            return Err(Violation::new("counted once", what));
        }
        Ok(expected)
    }
}
