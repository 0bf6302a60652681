//! What can be wrong with bytes from a peer, and with a frame we are asked to write.
//!
//! Purpose: every fault of a frame as one variant with its numbers, and the one function that maps
//! it to a close code. What it does not hold: faults of a single record; those are a
//! [`crate::RejectReason`] and do not end the session.

use crate::{close::CloseCode, frame_kind::FrameKind};

/// Why bytes are not the frames of this protocol. The session ends; whoever wrote the peer must
/// act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The header's kind is not in the table.
    #[error("frame kind {kind} is unknown")]
    UnknownKind {
        /// The code received.
        kind: u8,
    },
    /// The header's flags byte is not zero.
    #[error("the header flags of a {kind} frame are {flags:#04x}, not zero")]
    FlagsNotZero {
        /// The kind of the frame.
        kind: FrameKind,
        /// The byte received.
        flags: u8,
    },
    /// The first frame is not Hello.
    #[error("a {kind} frame came before hello")]
    HelloExpected {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// A second Hello.
    #[error("a second hello came")]
    SecondHello,
    /// This end never receives that kind.
    #[error("a {kind} frame came from the wrong side")]
    WrongSide {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// Nothing but, from a server, an Ack may follow Goodbye.
    #[error("a {kind} frame came after goodbye")]
    AfterGoodbye {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// Count or length is over the limit of the kind.
    #[error("a {kind} frame of {count} records and {length} bytes is over the limit")]
    TooLarge {
        /// The kind of the frame.
        kind: FrameKind,
        /// Records announced.
        count: u16,
        /// Bytes announced.
        length: u32,
    },
    /// The count is zero where records are required.
    #[error("a {kind} frame has no records")]
    Empty {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// The length is not what the kind and count require.
    #[error("a {kind} frame of {count} records cannot have {length} bytes")]
    LengthMismatch {
        /// The kind of the frame.
        kind: FrameKind,
        /// Records announced.
        count: u16,
        /// Bytes announced.
        length: u32,
    },
    /// Hello does not begin with `MSTR`.
    #[error("hello begins with {magic:#010x}, not with MSTR")]
    BadMagic {
        /// The magic received.
        magic: u32,
    },
    /// A range of versions that is empty or begins at zero; or a server's version that was not
    /// offered.
    #[error("versions {version_min} to {version_max} cannot be spoken")]
    BadVersionRange {
        /// The lower end.
        version_min: u16,
        /// The upper end.
        version_max: u16,
    },
    /// A server's Hello that leaves no room to send: a window or a frame size of zero.
    #[error("hello allows no frame to be sent")]
    BadHello,
    /// A reserved field, or one that this side must leave zero, is not.
    #[error("a {kind} frame has a field that must be zero and is not")]
    ReservedNotZero {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// The stream ended within a frame, or before Hello.
    #[error("the stream ended within a frame or before hello")]
    Truncated,
}

impl DecodeError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::UnknownKind { .. }
            | Self::FlagsNotZero { .. }
            | Self::LengthMismatch { .. }
            | Self::BadMagic { .. }
            | Self::BadVersionRange { .. }
            | Self::BadHello
            | Self::ReservedNotZero { .. } => CloseCode::MalformedFrame,
            Self::HelloExpected { .. }
            | Self::SecondHello
            | Self::WrongSide { .. }
            | Self::AfterGoodbye { .. } => CloseCode::UnexpectedFrame,
            Self::TooLarge { .. } => CloseCode::FrameTooLarge,
            Self::Empty { .. } => CloseCode::EmptyFrame,
            Self::Truncated => CloseCode::TruncatedFrame,
        }
    }
}

/// Why a frame cannot be written. The caller must act; nothing has been appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No record was given.
    #[error("a frame needs at least one record")]
    Empty,
    /// More records or bytes than a frame may have.
    #[error("{given} is over the frame's limit of {limit}")]
    TooLarge {
        /// Records or bytes given.
        given: usize,
        /// Records or bytes allowed.
        limit: usize,
    },
}
