//! Frames: the header, its limits, and who may receive which kind.
//!
//! Purpose: the eight bytes before every payload. Bounds: those of [`crate::limits`]; [`FrameHeader::check`] enforces
//! them before a byte of the payload is kept. What it does not do: buffering (see [`crate::Decoder`]) or session rules
//! such as the window.

use crate::{
    error::DecodeError,
    frame_kind::FrameKind,
    limits::{
        ACK_TOTALS_BYTES, BUSY_BYTES, CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, CLIENT_HELLO_BYTES,
        GOODBYE_BYTES, HEADER_BYTES, INVENTORY_BYTES_MAX, INVENTORY_ROOT_BYTES, REJECTION_BYTES,
        REJECTIONS_PER_ACK_MAX, SERVER_HELLO_BYTES,
    },
};

/// The side of a connection that receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The server, which receives what clients send.
    Server,
    /// A client, which receives what the server sends.
    Client,
}

impl Role {
    /// Whether this side ever receives frames of that kind.
    #[must_use]
    pub(crate) const fn receives(self, kind: FrameKind) -> bool {
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
    /// The kind of the payload.
    pub kind: FrameKind,
    /// The number of records in the payload; 0 for kinds without records.
    pub count: u16,
    /// The length of the payload in bytes.
    pub length: u32,
}

impl FrameHeader {
    /// Reads a header without checking count and length; see [`FrameHeader::check`].
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

    /// Checks count and length against the limits of the kind, before any of the payload is kept.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`], [`DecodeError::Empty`] and [`DecodeError::LengthMismatch`].
    pub fn check(&self, role: Role) -> Result<(), DecodeError> {
        // For each kind: minimum and maximum count, fixed bytes, bytes per record.
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

// For payload readers. `check` has verified the length, so a payload is never too short for its fields. If it were,
// that would be an error, not a panic.

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
