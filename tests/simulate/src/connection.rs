//! A simulated connection: two byte streams, with the server's own session at one end.
//!
//! Bytes arrive in order and in chunks of any size, as from QUIC. A step does what one turn of a session's task does:
//! read, decode, offer again, acknowledge or close. A crash drops the connection with the server.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use muster_ingest::net::{ListenerContext, PendingSession, Principal, SessionCore, Take};
use muster_ingest::phase::Phase;
use muster_testkit::random::Random;
use muster_wire::{CloseCode, Identity};

/// Maximum size of a chunk, unless it is everything in flight.
const CHUNK_BYTES_MAX: u64 = 3000;

/// The advice in a Busy, as the task of a session sends it.
const BUSY_RETRY_AFTER_MS: u32 = 500;

/// The server's end of the connection.
#[derive(Debug)]
enum ServerEnd {
    PendingSession(PendingSession, Principal),
    Open(Box<SessionCore>),
    Closed(CloseCode),
}

/// What a step of the session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStep {
    /// There was nothing to do.
    Idle,
    /// It read this many bytes.
    Read(usize),
    /// It offered a shard batch to a full inbox again; whether the inbox took it.
    Offered(bool),
    /// It sent a frame.
    Sent,
    /// It closed the connection.
    Closed,
}

/// A connection whose handshake is complete.
#[derive(Debug)]
pub struct Connection {
    /// Bytes in flight to the server.
    pub to_server: VecDeque<u8>,
    /// Bytes in flight to the client.
    pub to_client: VecDeque<u8>,
    server_end: ServerEnd,
    /// The chunk that was read last.
    chunk: Vec<u8>,
    /// How many bytes of the chunk are decoded.
    decoded: usize,
}

impl Connection {
    /// Connects a client, unless the server refuses its identity.
    pub fn new(identity: Identity, context: &ListenerContext) -> Result<Self, CloseCode> {
        let principal = Principal::admit(identity, context)?;
        Ok(Self {
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            server_end: ServerEnd::PendingSession(PendingSession::default(), principal),
            chunk: Vec::new(),
            decoded: 0,
        })
    }

    /// The code with which the server has closed the connection.
    pub fn closed(&self) -> Option<CloseCode> {
        match self.server_end {
            ServerEnd::Closed(code) => Some(code),
            _ => None,
        }
    }

    /// Whether a part of the chunk is not decoded yet.
    pub fn is_mid_chunk(&self) -> bool {
        self.decoded < self.chunk.len()
    }

    /// One step of the session.
    pub fn step(&mut self, context: &Arc<ListenerContext>, random: &mut Random) -> SessionStep {
        if context.phase.get() == Phase::Poisoned {
            self.server_end = ServerEnd::Closed(CloseCode::StoreUnavailable);
        }
        let stepped = match &self.server_end {
            ServerEnd::Closed(_) => return SessionStep::Idle,
            ServerEnd::PendingSession(..) => self.open(context, random),
            ServerEnd::Open(_) => self.turn(context.phase.get(), random),
        };
        stepped.unwrap_or_else(|code| {
            self.server_end = ServerEnd::Closed(code);
            SessionStep::Closed
        })
    }

    /// Reads the next chunk; returns its size.
    fn read(&mut self, random: &mut Random) -> usize {
        let in_flight = self.to_server.len();
        let size = match random.below(4) {
            0 => in_flight,
            _ => in_flight.min(1 + random.below(CHUNK_BYTES_MAX) as usize),
        };
        self.chunk = self.to_server.drain(..size).collect();
        self.decoded = 0;
        size
    }

    fn open(
        &mut self,
        context: &Arc<ListenerContext>,
        random: &mut Random,
    ) -> Result<SessionStep, CloseCode> {
        let size = self.read(random);
        let ServerEnd::PendingSession(pending, _) = &mut self.server_end else {
            return Ok(SessionStep::Idle);
        };
        let mut rest = self.chunk.as_slice();
        let version = pending.take(&mut rest)?;
        self.decoded = self.chunk.len() - rest.len();
        if let Some(version) = version {
            let closed = ServerEnd::Closed(CloseCode::Done);
            if let ServerEnd::PendingSession(pending, principal) =
                std::mem::replace(&mut self.server_end, closed)
            {
                let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
                let core = pending.open(version, principal, remote, Arc::clone(context));
                self.server_end = ServerEnd::Open(Box::new(core));
            }
            self.send();
        }
        Ok(SessionStep::Read(size))
    }

    /// Sends the output of the session to the client.
    fn send(&mut self) {
        if let ServerEnd::Open(core) = &mut self.server_end {
            self.to_client.extend(core.out().drain(..));
        }
    }

    fn turn(&mut self, phase: Phase, random: &mut Random) -> Result<SessionStep, CloseCode> {
        let is_mid_chunk = self.is_mid_chunk();
        let ServerEnd::Open(core) = &mut self.server_end else {
            return Ok(SessionStep::Idle);
        };
        let is_blocked = core.blocked_on().is_some();
        // A session decodes its whole chunk before it drains, closes or reads again.
        let is_between_chunks = !is_blocked && !is_mid_chunk;
        let mut has_output = is_between_chunks && phase == Phase::Draining && core.drain();
        has_output |= core.acknowledge();
        if is_blocked && random.below(10) == 0 {
            core.say_busy(BUSY_RETRY_AFTER_MS);
            has_output = true;
        }
        let close = if is_between_chunks {
            core.is_over()
        } else {
            None
        };
        if has_output || close.is_some() {
            self.send();
            return close.map_or(Ok(SessionStep::Sent), Err);
        }
        if is_blocked {
            return core.offer().map(SessionStep::Offered);
        }
        if is_between_chunks {
            if !core.is_reading() || self.to_server.is_empty() {
                return Ok(SessionStep::Idle);
            }
            core.note_read();
            self.read(random);
        }
        self.decode()
    }

    fn decode(&mut self) -> Result<SessionStep, CloseCode> {
        let ServerEnd::Open(core) = &mut self.server_end else {
            return Ok(SessionStep::Idle);
        };
        let before = self.decoded;
        let mut rest = &self.chunk[before..];
        let take = core.take(&mut rest);
        self.decoded = self.chunk.len() - rest.len();
        match take? {
            Take::NeedsMore => self.decoded = self.chunk.len(),
            Take::Blocked => (),
        }
        Ok(SessionStep::Read(self.decoded - before))
    }
}
