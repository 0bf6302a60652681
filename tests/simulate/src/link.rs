//! One connection: two streams of bytes, and at the end of one the server's own session.
//!
//! Bytes arrive in order and in pieces of any size, as QUIC delivers them. The link does what the task of a session
//! does, one step at a time: read, take, offer again, acknowledge, end. Dropped with the server at a crash.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use muster_ingest::net::{ListenerContext, Opening, SessionCore, Speaker, Take};
use muster_ingest::phase::Phase;
use muster_loadgen::random::Random;
use muster_wire::{CloseCode, Identity};

/// The most bytes of one piece.
const PIECE_BYTES_MAX: u64 = 3000;

/// What the task of a session tells a client that waited for room for long.
const BUSY_RETRY_AFTER_MS: u32 = 500;

/// The server's side.
#[derive(Debug)]
enum Side {
    Opening(Opening, Speaker),
    Open(Box<SessionCore>),
    Closed(CloseCode),
}

/// What a step of a session came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// Nothing was there to do.
    Nothing,
    /// So many bytes were read.
    Read(usize),
    /// A part was offered to a full inbox once more; whether it was taken.
    Offered(bool),
    /// An ack, or another word, is on its way.
    Said,
    /// The server closed.
    Closed,
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    /// On their way to the server.
    pub to_server: VecDeque<u8>,
    /// On their way to the client.
    pub to_client: VecDeque<u8>,
    side: Side,
    /// What was read and is not all taken: the bytes, and how many of them are.
    chunk: (Vec<u8>, usize),
}

impl Link {
    /// A connection whose handshake is done.
    pub fn new(identity: Identity, context: &ListenerContext) -> Result<Self, CloseCode> {
        let speaker = Speaker::admit(identity, context)?;
        Ok(Self {
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            side: Side::Opening(Opening::default(), speaker),
            chunk: (Vec::new(), 0),
        })
    }

    /// With which code the server has closed.
    pub fn closed(&self) -> Option<CloseCode> {
        match self.side {
            Side::Closed(code) => Some(code),
            _ => None,
        }
    }

    /// Whether some of what was read is still to be taken.
    pub fn is_taking(&self) -> bool {
        self.chunk.1 < self.chunk.0.len()
    }

    /// One step of the session.
    pub fn step(&mut self, context: &Arc<ListenerContext>, random: &mut Random) -> Did {
        if context.phase.get() == Phase::Poisoned {
            self.side = Side::Closed(CloseCode::StoreUnavailable);
        }
        let stepped = match &self.side {
            Side::Closed(_) => return Did::Nothing,
            Side::Opening(..) => self.open(context, random),
            Side::Open(_) => self.turn(context.phase.get(), random),
        };
        stepped.unwrap_or_else(|code| {
            self.side = Side::Closed(code);
            Did::Closed
        })
    }

    /// Reads the next piece; returns its size.
    fn read(&mut self, random: &mut Random) -> usize {
        let waiting = self.to_server.len();
        let size = match random.below(4) {
            0 => waiting,
            _ => waiting.min(1 + random.below(PIECE_BYTES_MAX) as usize),
        };
        self.chunk = (self.to_server.drain(..size).collect(), 0);
        size
    }

    fn open(
        &mut self,
        context: &Arc<ListenerContext>,
        random: &mut Random,
    ) -> Result<Did, CloseCode> {
        let size = self.read(random);
        let Side::Opening(opening, _) = &mut self.side else {
            return Ok(Did::Nothing);
        };
        let mut rest = self.chunk.0.as_slice();
        let version = opening.take(&mut rest)?;
        self.chunk.1 = self.chunk.0.len() - rest.len();
        if let Some(version) = version {
            let closed = Side::Closed(CloseCode::Done);
            if let Side::Opening(opening, speaker) = std::mem::replace(&mut self.side, closed) {
                let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
                let core = opening.open(version, speaker, remote, Arc::clone(context));
                self.side = Side::Open(Box::new(core));
            }
            self.send();
        }
        Ok(Did::Read(size))
    }

    /// Moves what the session has to say to the client.
    fn send(&mut self) {
        if let Side::Open(core) = &mut self.side {
            self.to_client.extend(core.out().drain(..));
        }
    }

    fn turn(&mut self, phase: Phase, random: &mut Random) -> Result<Did, CloseCode> {
        let Side::Open(core) = &mut self.side else {
            return Ok(Did::Nothing);
        };
        let blocked = core.blocked_on().is_some();
        // What was read is taken to its end before the session looks at anything else.
        let between = !blocked && self.chunk.1 == self.chunk.0.len();
        let mut said = between && phase == Phase::Draining && core.drain();
        said |= core.acknowledge();
        if blocked && random.below(10) == 0 {
            core.say_busy(BUSY_RETRY_AFTER_MS);
            said = true;
        }
        let over = if between { core.is_over() } else { None };
        if said || over.is_some() {
            self.send();
            return over.map_or(Ok(Did::Said), Err);
        }
        if blocked {
            return core.offer().map(Did::Offered);
        }
        if between {
            if !core.is_reading() || self.to_server.is_empty() {
                return Ok(Did::Nothing);
            }
            core.note_read();
            self.read(random);
        }
        self.take()
    }

    fn take(&mut self) -> Result<Did, CloseCode> {
        let Side::Open(core) = &mut self.side else {
            return Ok(Did::Nothing);
        };
        let (bytes, taken) = &mut self.chunk;
        let mut rest = &bytes[*taken..];
        let before = rest.len();
        let take = core.take(&mut rest);
        *taken = bytes.len() - rest.len();
        match take? {
            Take::NeedsMore => *taken = bytes.len(),
            Take::Blocked => (),
        }
        Ok(Did::Read(before - (bytes.len() - *taken)))
    }
}
