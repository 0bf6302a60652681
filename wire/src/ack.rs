//! The answers of a server, Ack and Busy, and Goodbye, the last frame of either side.
//!
//! Bounds: an Ack lists at most [`crate::limits::REJECTIONS_PER_ACK_MAX`] rejections; its totals are exact. What it
//! does not do: count; a session keeps the totals and decides when to send them.

use crate::{
    close::CloseCode,
    error::DecodeError,
    fields::Fields,
    frame::{FrameHeader, Role, check_reserved, required},
    reject::{Rejection, Stored},
};

/// What the server has done with the frames of a stream so far. Every total counts from the start of the stream and
/// never decreases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AckTotals {
    /// The number of CheckIns and Inventory frames, from the first, whose accepted records are all durable.
    pub frames: u64,
    /// Records that changed something.
    pub accepted: u64,
    /// Records whose sequence number (or revision) equals the one that the server has.
    pub duplicate: u64,
    /// Records whose sequence number (or revision) is lower than the one that the server has.
    pub stale: u64,
    /// Rejected records.
    pub rejected: u64,
    /// Seconds until the client should check in again; 0 if the server does not say.
    pub next_check_in_seconds: u32,
}

/// What is durable, and which records were rejected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ack {
    /// The totals of the stream.
    pub totals: AckTotals,
    /// Rejected records of the frames that this Ack is the first to cover, and then stale ones; at most
    /// [`crate::limits::REJECTIONS_PER_ACK_MAX`] of them.
    pub rejections: Vec<Rejection>,
}

/// A request to send no new frames for a while. Frames that were already sent are acknowledged as usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// How long to pause, in milliseconds.
    pub retry_after_ms: u32,
}

/// The announcement that a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goodbye {
    /// The close code that will follow; see [`CloseCode::from_code`]. 0 from a client.
    pub code: u32,
    /// The minimum delay before the client reconnects, in milliseconds; 0 if the server does not say, and from a
    /// client.
    pub retry_after_ms: u32,
}

impl Goodbye {
    /// A Goodbye with a known code.
    #[must_use]
    pub const fn new(code: CloseCode, retry_after_ms: u32) -> Self {
        Self {
            code: code.code(),
            retry_after_ms,
        }
    }
}

impl Ack {
    pub(crate) fn read(header: &FrameHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields(payload);
        let totals = AckTotals {
            frames: required(header, fields.u64())?,
            accepted: required(header, fields.u64())?,
            duplicate: required(header, fields.u64())?,
            stale: required(header, fields.u64())?,
            rejected: required(header, fields.u64())?,
            next_check_in_seconds: required(header, fields.u32())?,
        };
        check_reserved(header.kind, u64::from(required(header, fields.u32())?))?;
        let mut rejections = Vec::with_capacity(usize::from(header.count));
        for _ in 0..header.count {
            let (device_id, seq) = (
                required(header, fields.device_id())?,
                required(header, fields.u64())?,
            );
            let number = required(header, fields.u64())?;
            let reason_code = required(header, fields.u8())?;
            let stored = Stored::decode(header.kind, required(header, fields.u8())?, number)?;
            let reserved: [u8; 6] = required(header, fields.take())?;
            if reserved != [0; 6] {
                return Err(DecodeError::ReservedNotZero { kind: header.kind });
            }
            rejections.push(Rejection {
                device_id,
                seq,
                stored,
                reason_code,
            });
        }
        Ok(Self { totals, rejections })
    }
}

impl Busy {
    pub(crate) fn read(header: &FrameHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields(payload);
        let retry_after_ms = required(header, fields.u32())?;
        check_reserved(header.kind, u64::from(required(header, fields.u32())?))?;
        Ok(Self { retry_after_ms })
    }
}

impl Goodbye {
    /// Reads a Goodbye that `role` received. Both fields of a client's Goodbye must be 0.
    pub(crate) fn read(
        header: &FrameHeader,
        payload: &[u8],
        role: Role,
    ) -> Result<Self, DecodeError> {
        let mut fields = Fields(payload);
        let goodbye = Self {
            code: required(header, fields.u32())?,
            retry_after_ms: required(header, fields.u32())?,
        };
        if role == Role::Server {
            check_reserved(
                header.kind,
                u64::from(goodbye.code | goodbye.retry_after_ms),
            )?;
        }
        Ok(goodbye)
    }
}
