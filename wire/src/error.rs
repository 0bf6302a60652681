//! Errors of decoding and encoding frames.
//!
//! Purpose: one variant for every way in which a frame can be invalid, and its close code. What it does not define:
//! errors of a single record; those are a [`crate::RejectReason`] and do not end the session.

use crate::{close::CloseCode, frame_kind::FrameKind};

/// Why bytes from a peer are not valid frames. The session ends; the developer of the peer must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The header has an unknown kind.
    #[error("frame kind {kind} is unknown")]
    UnknownKind {
        /// The code received.
        kind: u8,
    },
    /// The header's flags byte is not zero.
    #[error("the header flags of a {kind} frame are {flags:#04x}; they must be zero")]
    FlagsNotZero {
        /// The kind of the frame.
        kind: FrameKind,
        /// The byte received.
        flags: u8,
    },
    /// The first frame is not Hello.
    #[error("a {kind} frame was received before hello")]
    HelloExpected {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// A second Hello.
    #[error("a second hello was received")]
    SecondHello,
    /// This side never receives that kind.
    #[error("a {kind} frame is not allowed in this direction")]
    WrongDirection {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// A frame other than a server's Ack after Goodbye.
    #[error("a {kind} frame was received after goodbye")]
    AfterGoodbye {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// The count or length exceeds the limit of the kind.
    #[error("a {kind} frame of {count} records and {length} bytes exceeds the limit")]
    TooLarge {
        /// The kind of the frame.
        kind: FrameKind,
        /// Records announced.
        count: u16,
        /// Bytes announced.
        length: u32,
    },
    /// The count is zero, but the kind requires records.
    #[error("a {kind} frame has no records")]
    Empty {
        /// The kind of the frame.
        kind: FrameKind,
    },
    /// The length does not match the kind and count.
    #[error("a {kind} frame of {count} records cannot have a length of {length} bytes")]
    LengthMismatch {
        /// The kind of the frame.
        kind: FrameKind,
        /// Records announced.
        count: u16,
        /// Bytes announced.
        length: u32,
    },
    /// Hello does not begin with `MSTR`.
    #[error("hello begins with {magic:#010x} instead of MSTR")]
    BadMagic {
        /// The magic received.
        magic: u32,
    },
    /// The version range is empty or begins at zero, or the server chose a version that was not offered.
    #[error("the version range {version_min} to {version_max} is not valid")]
    BadVersionRange {
        /// The lower end.
        version_min: u16,
        /// The upper end.
        version_max: u16,
    },
    /// A server's Hello with a window or a frame limit of zero.
    #[error("hello has a window or a frame limit of zero")]
    BadHello,
    /// A reserved field, or one that this side must leave zero, is not.
    #[error("a field of a {kind} frame that must be zero is not")]
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
            | Self::WrongDirection { .. }
            | Self::AfterGoodbye { .. } => CloseCode::UnexpectedFrame,
            Self::TooLarge { .. } => CloseCode::FrameTooLarge,
            Self::Empty { .. } => CloseCode::EmptyFrame,
            Self::Truncated => CloseCode::TruncatedFrame,
        }
    }
}

/// Why a frame cannot be encoded. The caller must act; nothing was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No record was given.
    #[error("a frame needs at least one record")]
    Empty,
    /// More records or bytes than a frame may have.
    #[error("{given} exceeds the frame's limit of {limit}")]
    TooLarge {
        /// Records or bytes given.
        given: usize,
        /// Records or bytes allowed.
        limit: usize,
    },
}
