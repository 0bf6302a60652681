//! Frames: the header, the kinds, and who may receive which.
//!
//! Purpose: the eight bytes before every payload. Bounds: see [`crate::limits`];
//! [`FrameHeader::check`] holds them against a header before a byte of its payload is kept. What it
//! does not do: no buffering (that is [`crate::Decoder`]) and no session rules such as the window.

use std::fmt;

use crate::{
    error::DecodeError,
    limits::{
        ACK_TOTALS_BYTES, BUSY_BYTES, CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, CLIENT_HELLO_BYTES,
        GOODBYE_BYTES, HEADER_BYTES, INVENTORY_BYTES_MAX, INVENTORY_ROOT_BYTES, REJECTION_BYTES,
        REJECTIONS_PER_ACK_MAX, SERVER_HELLO_BYTES,
    },
};

/// The kinds of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// The first frame in each direction.
    Hello = 1,
    /// Check-ins, client to server.
    CheckIns = 2,
    /// One inventory record, client to server.
    Inventory = 3,
    /// What is durable, server to client.
    Ack = 4,
    /// A request to pause, server to client.
    Busy = 5,
    /// The last frame of a client; from a server, the end is near.
    Goodbye = 6,
}

impl FrameKind {
    /// Every kind, in ascending order of code.
    pub const ALL: &[Self] = &[
        Self::Hello,
        Self::CheckIns,
        Self::Inventory,
        Self::Ack,
        Self::Busy,
        Self::Goodbye,
    ];

    /// The kind with this code, or `None` if there is none.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Hello),
            2 => Some(Self::CheckIns),
            3 => Some(Self::Inventory),
            4 => Some(Self::Ack),
            5 => Some(Self::Busy),
            6 => Some(Self::Goodbye),
            _ => None,
        }
    }

    /// The code in a header.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name in metrics, logs and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::CheckIns => "checkIns",
            Self::Inventory => "inventory",
            Self::Ack => "ack",
            Self::Busy => "busy",
            Self::Goodbye => "goodbye",
        }
    }
}

impl fmt::Display for FrameKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// Which end of a connection a decoder reads for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A server, which receives what clients send.
    Server,
    /// A client, which receives what servers send.
    Client,
}

impl Role {
    /// Whether this end may receive that kind of frame at all.
    #[must_use]
    pub const fn receives(self, kind: FrameKind) -> bool {
        match kind {
            FrameKind::Hello | FrameKind::Goodbye => true,
            FrameKind::CheckIns | FrameKind::Inventory => matches!(self, Self::Server),
            FrameKind::Ack | FrameKind::Busy => matches!(self, Self::Client),
        }
    }
}

/// The eight bytes before every payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the payload is.
    pub kind: FrameKind,
    /// How many records it has; 0 for kinds without records.
    pub count: u16,
    /// Bytes of the payload.
    pub length: u32,
}

impl FrameHeader {
    /// Reads a header without judging count and length; see [`FrameHeader::check`].
    ///
    /// # Errors
    /// [`DecodeError::UnknownKind`] and [`DecodeError::FlagsNotZero`].
    pub const fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, DecodeError> {
        let [
            kind,
            flags,
            count_0,
            count_1,
            length_0,
            length_1,
            length_2,
            length_3,
        ] = *bytes;
        let Some(kind) = FrameKind::from_code(kind) else {
            return Err(DecodeError::UnknownKind { kind });
        };
        if flags != 0 {
            return Err(DecodeError::FlagsNotZero { kind, flags });
        }
        let count = u16::from_le_bytes([count_0, count_1]);
        let length = u32::from_le_bytes([length_0, length_1, length_2, length_3]);
        Ok(Self {
            kind,
            count,
            length,
        })
    }

    /// The eight bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [count_0, count_1] = self.count.to_le_bytes();
        let [length_0, length_1, length_2, length_3] = self.length.to_le_bytes();
        [
            self.kind.code(),
            0,
            count_0,
            count_1,
            length_0,
            length_1,
            length_2,
            length_3,
        ]
    }

    /// Holds count and length against the limits of the kind, before anything of the payload is
    /// kept.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`], [`DecodeError::Empty`] and [`DecodeError::LengthMismatch`].
    pub fn check(&self, role: Role) -> Result<(), DecodeError> {
        // Per kind: records at least and at most, bytes that do not depend on the count, bytes of a
        // record.
        let (count_min, count_max, fixed, each) = match (self.kind, role) {
            (FrameKind::Hello, Role::Server) => (0, 0, CLIENT_HELLO_BYTES, 0),
            (FrameKind::Hello, Role::Client) => (0, 0, SERVER_HELLO_BYTES, 0),
            (FrameKind::CheckIns, _) => (1, CHECK_INS_PER_FRAME_MAX, 0, CHECK_IN_BYTES),
            (FrameKind::Inventory, _) => return self.check_inventory(),
            (FrameKind::Ack, _) => (0, REJECTIONS_PER_ACK_MAX, ACK_TOTALS_BYTES, REJECTION_BYTES),
            (FrameKind::Busy, _) => (0, 0, BUSY_BYTES, 0),
            (FrameKind::Goodbye, _) => (0, 0, GOODBYE_BYTES, 0),
        };
        let count = usize::from(self.count);
        if count > count_max || self.length as usize > fixed + count_max * each {
            return Err(self.too_large());
        }
        if count < count_min {
            return Err(DecodeError::Empty { kind: self.kind });
        }
        if self.length as usize != fixed + count * each {
            return Err(self.length_mismatch());
        }
        Ok(())
    }

    fn check_inventory(&self) -> Result<(), DecodeError> {
        if self.count > 1 || self.length as usize > INVENTORY_BYTES_MAX {
            return Err(self.too_large());
        }
        if self.count == 0 {
            return Err(DecodeError::Empty { kind: self.kind });
        }
        if (self.length as usize) < INVENTORY_ROOT_BYTES {
            return Err(self.length_mismatch());
        }
        Ok(())
    }

    const fn too_large(&self) -> DecodeError {
        DecodeError::TooLarge {
            kind: self.kind,
            count: self.count,
            length: self.length,
        }
    }

    const fn length_mismatch(&self) -> DecodeError {
        DecodeError::LengthMismatch {
            kind: self.kind,
            count: self.count,
            length: self.length,
        }
    }
}

// For payload readers. A header that passed `check` has the right length, so a payload that
// is too short for its fields cannot come; it is an error all the same, not a panic.

pub(crate) fn required<T>(header: &FrameHeader, field: Option<T>) -> Result<T, DecodeError> {
    field.ok_or(header.length_mismatch())
}

pub(crate) fn check_reserved(kind: FrameKind, reserved: u64) -> Result<(), DecodeError> {
    if reserved == 0 {
        Ok(())
    } else {
        Err(DecodeError::ReservedNotZero { kind })
    }
}
