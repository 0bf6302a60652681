//! Decodes frames: an incremental decoder that is fed chunks as they arrive.
//!
//! Purpose: a session feeds it what QUIC delivers and gets items. Check-ins are slices borrowed from the chunk, so a
//! frame is never assembled in memory.
//!
//! Bounds: it keeps at most one header, one record that a chunk boundary splits, and one small payload (at most 8 KiB,
//! an inventory), the latter two only after the header has passed every limit.
//!
//! What it does not do: validate records (see [`crate::CheckInRecord::validate`]) or count frames against a window. It
//! never panics. An error is final: every later call returns the same error. On the hot path.

use std::mem;

use crate::{
    ack::{Ack, Busy, Goodbye},
    check_in::CheckInBytes,
    error::DecodeError,
    frame::{FrameHeader, Role},
    frame_kind::FrameKind,
    hello::{ClientHello, ServerHello},
    limits::{CHECK_IN_BYTES, HEADER_BYTES},
};

/// What a decoder returns. `'a` is the lifetime of the chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// A client's Hello; always the first item that a server receives.
    ClientHello(ClientHello),
    /// A server's Hello; always the first item that a client receives.
    ServerHello(ServerHello),
    /// The start of a CheckIns frame. Exactly `count` records follow, then [`Item::CheckInsEnd`].
    CheckInsBegin {
        /// The number of records in the frame, 1 to 4096.
        count: u16,
    },
    /// The next records of the frame, at least one, borrowed from the chunk; not validated.
    Records(&'a [CheckInBytes]),
    /// The next record of the frame, copied because a chunk boundary split it; not validated.
    Record(CheckInBytes),
    /// The end of a CheckIns frame.
    CheckInsEnd,
    /// A complete inventory archive; not validated.
    Inventory(Vec<u8>),
    /// An Ack.
    Ack(Ack),
    /// A Busy.
    Busy(Busy),
    /// A Goodbye.
    Goodbye(Goodbye),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between frames, or within a header.
    Header,
    /// Within a payload that is buffered until it is complete.
    Payload(FrameHeader),
    /// Within a CheckIns frame, with the number of records that are not complete yet.
    Records { remaining: u16 },
    /// After an error, which is final.
    Failed(DecodeError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before Hello.
    Opening,
    /// After Hello.
    Open,
    /// After Goodbye.
    Closing,
}

/// The state of a stream between two chunks: about 120 bytes, and the payload that is incomplete.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    phase: Phase,
    state: State,
    /// The received part of a header or a record; never both, since a header ends before a record begins.
    partial: CheckInBytes,
    partial_bytes: usize,
    payload: Vec<u8>,
}

impl Decoder {
    /// A decoder for the start of a stream, on the side with this role.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            phase: Phase::Opening,
            state: State::Header,
            partial: [0; CHECK_IN_BYTES],
            partial_bytes: 0,
            payload: Vec::new(),
        }
    }

    /// Decodes the next item and removes its bytes from the front of `input`. Call it until it returns `None`: then
    /// `input` is used up, and the next item needs another chunk.
    ///
    /// # Errors
    /// The first error of the stream, from then on in every call.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, DecodeError> {
        let result = match self.state {
            State::Header => self.next_header(input),
            State::Payload(header) => self.next_payload(header, input),
            State::Records { remaining } => Ok(self.next_records(remaining, input)),
            State::Failed(error) => Err(error),
        };
        if let Err(error) = result {
            self.state = State::Failed(error);
            self.payload = Vec::new();
        }
        result
    }

    /// Checks that the stream may end here.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] within a frame or before Hello, or an earlier error.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Header if self.partial_bytes == 0 && self.phase != Phase::Opening => Ok(()),
            _ => Err(DecodeError::Truncated),
        }
    }

    /// Whether a frame has begun and is incomplete, so that a receiver can apply a timeout.
    #[must_use]
    pub fn is_mid_frame(&self) -> bool {
        match self.state {
            State::Header => self.partial_bytes > 0,
            State::Payload(_) | State::Records { .. } => true,
            State::Failed(_) => false,
        }
    }

    fn next_header<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, DecodeError> {
        let Some(bytes) = self.take_partial::<HEADER_BYTES>(input) else {
            return Ok(None);
        };
        let header = FrameHeader::from_bytes(&bytes)?;
        self.check_order(header.kind)?;
        header.check(self.role)?;
        if header.kind == FrameKind::CheckIns {
            self.state = State::Records {
                remaining: header.count,
            };
            return Ok(Some(Item::CheckInsBegin {
                count: header.count,
            }));
        }
        self.state = State::Payload(header);
        self.next_payload(header, input)
    }

    fn check_order(&self, kind: FrameKind) -> Result<(), DecodeError> {
        if !self.role.receives(kind) {
            return Err(DecodeError::WrongDirection { kind });
        }
        match (self.phase, kind) {
            (Phase::Opening, FrameKind::Hello) => Ok(()),
            (Phase::Opening, _) => Err(DecodeError::HelloExpected { kind }),
            (_, FrameKind::Hello) => Err(DecodeError::SecondHello),
            // A draining server sends Goodbye first and then acknowledges what it has received.
            (Phase::Closing, kind) if kind != FrameKind::Ack => {
                Err(DecodeError::AfterGoodbye { kind })
            }
            _ => Ok(()),
        }
    }

    fn next_payload<'a>(
        &mut self,
        header: FrameHeader,
        input: &mut &'a [u8],
    ) -> Result<Option<Item<'a>>, DecodeError> {
        let missing = (header.length as usize).saturating_sub(self.payload.len());
        let (head, rest) = input.split_at(missing.min(input.len()));
        *input = rest;
        // The buffer grows with the bytes received, not with the length in the header.
        self.payload.extend_from_slice(head);
        if head.len() < missing {
            return Ok(None);
        }
        self.state = State::Header;
        let payload = mem::take(&mut self.payload);
        let item = match (header.kind, self.role) {
            (FrameKind::Hello, role) => {
                self.phase = Phase::Open;
                match role {
                    Role::Server => Item::ClientHello(ClientHello::read(&header, &payload)?),
                    Role::Client => Item::ServerHello(ServerHello::read(&header, &payload)?),
                }
            }
            (FrameKind::Inventory, _) => Item::Inventory(payload),
            (FrameKind::Ack, _) => Item::Ack(Ack::read(&header, &payload)?),
            (FrameKind::Busy, _) => Item::Busy(Busy::read(&header, &payload)?),
            (FrameKind::Goodbye, role) => {
                self.phase = Phase::Closing;
                Item::Goodbye(Goodbye::read(&header, &payload, role)?)
            }
            // Unreachable: the records of a CheckIns frame are not buffered.
            (FrameKind::CheckIns, _) => {
                return Err(DecodeError::WrongDirection { kind: header.kind });
            }
        };
        Ok(Some(item))
    }

    fn next_records<'a>(&mut self, remaining: u16, input: &mut &'a [u8]) -> Option<Item<'a>> {
        if remaining == 0 {
            self.state = State::Header;
            return Some(Item::CheckInsEnd);
        }
        if self.partial_bytes == 0 {
            let (records, _) = input.as_chunks::<CHECK_IN_BYTES>();
            let count = records.len().min(usize::from(remaining));
            if let Some((run, rest)) = split_run(input, count) {
                *input = rest;
                // `count` is at most `remaining`, so it fits.
                let taken = u16::try_from(run.len()).unwrap_or(remaining);
                self.state = State::Records {
                    remaining: remaining - taken,
                };
                return Some(Item::Records(run));
            }
        }
        let record = self.take_partial::<CHECK_IN_BYTES>(input)?;
        self.state = State::Records {
            remaining: remaining - 1,
        };
        Some(Item::Record(record))
    }

    /// Removes bytes from the front of `input` until `COUNT` are complete.
    fn take_partial<const COUNT: usize>(&mut self, input: &mut &[u8]) -> Option<[u8; COUNT]> {
        if self.partial_bytes == 0
            && let Some((whole, rest)) = input.split_first_chunk::<COUNT>()
        {
            *input = rest;
            return Some(*whole);
        }
        let missing = self.partial.get_mut(self.partial_bytes..COUNT)?;
        let (head, rest) = input.split_at(missing.len().min(input.len()));
        *input = rest;
        for (slot, byte) in missing.iter_mut().zip(head) {
            *slot = *byte;
        }
        self.partial_bytes += head.len();
        if self.partial_bytes < COUNT {
            return None;
        }
        self.partial_bytes = 0;
        self.partial.first_chunk().copied()
    }
}

/// The first `count` records of `input` and the bytes after them; `None` if `count` is zero.
fn split_run(input: &[u8], count: usize) -> Option<(&[CheckInBytes], &[u8])> {
    let (run, rest) = input.split_at_checked(count * CHECK_IN_BYTES)?;
    let (records, _) = run.as_chunks();
    (!records.is_empty()).then_some((records, rest))
}

#[cfg(test)]
mod tests;
