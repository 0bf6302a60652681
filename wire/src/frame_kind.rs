//! The kinds of frames: their codes and names.
//!
//! Apart from `frame`, because headers and errors both need it. What it does not do: headers and limits; see
//! [`crate::FrameHeader`].

use std::fmt;

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
    /// The last frame of a client; from a server, the announcement that it will close.
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
