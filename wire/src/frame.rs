//! Frames: the header, the kinds, and what each small frame says.
//!
//! Purpose: the shape of every frame but the records themselves, and the negotiation of a version.
//! Bounds: see [`crate::limits`]; [`FrameHeader::check`] holds them against a header before a byte
//! of its payload is kept. What it does not do: no buffering (that is [`crate::Decoder`]) and no
//! session rules such as the window.

use std::fmt;

use crate::{
    close::CloseCode,
    error::DecodeError,
    fields::Fields,
    limits::{
        ACK_TOTALS_BYTES, BUSY_BYTES, CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, CLIENT_HELLO_BYTES,
        GOODBYE_BYTES, HEADER_BYTES, INVENTORY_BYTES_MAX, INVENTORY_ROOT_BYTES, REJECTION_BYTES,
        REJECTIONS_PER_ACK_MAX, SERVER_HELLO_BYTES,
    },
    reject::Rejection,
};

/// The protocol of the QUIC connection, for ALPN.
pub const ALPN: &[u8] = b"muster/1";

/// The first field of both Hellos: the bytes `MSTR`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MSTR");

/// The oldest version this crate speaks.
pub const VERSION_MIN: u16 = 1;

/// The newest version this crate speaks.
pub const VERSION_MAX: u16 = 1;

const _: () = assert!(0 < VERSION_MIN && VERSION_MIN <= VERSION_MAX);

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

/// No version is common to both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the client speaks versions {client_min} to {client_max}, the server {VERSION_MIN} to {VERSION_MAX}"
)]
pub struct VersionError {
    /// The oldest version the client speaks.
    pub client_min: u16,
    /// The newest version the client speaks.
    pub client_max: u16,
}

impl VersionError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        CloseCode::UnsupportedVersion
    }
}

/// The newest version that both a client's range and this crate speak.
///
/// # Errors
/// [`VersionError`] if there is none.
pub fn negotiate(client_min: u16, client_max: u16) -> Result<u16, VersionError> {
    let version = client_max.min(VERSION_MAX);
    if version >= client_min.max(VERSION_MIN) {
        Ok(version)
    } else {
        Err(VersionError {
            client_min,
            client_max,
        })
    }
}

/// The first frame of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHello {
    /// The oldest version the client speaks.
    pub version_min: u16,
    /// The newest version the client speaks.
    pub version_max: u16,
}

impl ClientHello {
    /// The Hello of a client built on this crate.
    pub const CURRENT: Self = Self {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
    };

    /// The version to speak with this client.
    ///
    /// # Errors
    /// [`VersionError`] if there is none.
    pub fn negotiate(&self) -> Result<u16, VersionError> {
        negotiate(self.version_min, self.version_max)
    }
}

/// The first frame of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHello {
    /// The version both sides speak from here on.
    pub version: u16,
    /// Frames (CheckIns and Inventory) the client may have sent and not yet seen acknowledged; at
    /// least 1.
    pub window_frames: u16,
    /// Check-ins in one frame, at most.
    pub check_ins_per_frame_max: u32,
    /// Bytes of one inventory archive, at most.
    pub inventory_bytes_max: u32,
    /// The server's clock, in milliseconds since 1970-01-01T00:00:00Z.
    pub server_time_ms: u64,
    /// After how many seconds the client should check in again; 0 if the server has no wish.
    pub next_check_in_seconds: u32,
}

/// What a server has done with the frames of a stream so far. Every number is a total since the
/// stream opened and only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AckTotals {
    /// CheckIns and Inventory frames, counted from the first, whose accepted records are all
    /// durable.
    pub frames: u64,
    /// Records that changed something.
    pub accepted: u64,
    /// Records whose sequence number (or revision) is the one the server already has.
    pub duplicate: u64,
    /// Records whose sequence number (or revision) is lower than the one the server has.
    pub stale: u64,
    /// Records refused for what they are.
    pub rejected: u64,
    /// The revision of the policy set that judged the last frame; not a total, but the value in
    /// force.
    pub policy_revision: u32,
    /// After how many seconds the client should check in again; 0 if the server has no wish.
    pub next_check_in_seconds: u32,
}

/// What is durable, and which records were refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ack {
    /// The totals of the stream.
    pub totals: AckTotals,
    /// The first [`REJECTIONS_PER_ACK_MAX`] refused records since the last Ack.
    pub rejections: Vec<Rejection>,
}

/// A request to send no new frame for a while. Frames already sent stay in force and are
/// acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// For how many milliseconds.
    pub retry_after_ms: u32,
}

/// The end of a session, announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goodbye {
    /// The close code that will follow; see [`Goodbye::close_code`].
    pub code: u32,
    /// After how many milliseconds the client may reconnect, at the earliest; 0 if the server has
    /// no wish.
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

    /// The code, or `None` if a newer peer sent one that is not in this table.
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        CloseCode::from_code(self.code as u64)
    }
}

// Payload readers. A header that passed `check` has the right length, so a payload that is too
// short for its fields cannot come here; it is an error all the same, not a panic.

fn required<T>(header: &FrameHeader, field: Option<T>) -> Result<T, DecodeError> {
    field.ok_or(header.length_mismatch())
}

fn check_magic(magic: u32) -> Result<(), DecodeError> {
    if magic == MAGIC {
        Ok(())
    } else {
        Err(DecodeError::BadMagic { magic })
    }
}

fn check_reserved(kind: FrameKind, reserved: u64) -> Result<(), DecodeError> {
    if reserved == 0 {
        Ok(())
    } else {
        Err(DecodeError::ReservedNotZero { kind })
    }
}

impl ClientHello {
    pub(crate) fn read(header: &FrameHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields(payload);
        check_magic(required(header, fields.u32())?)?;
        let version_min = required(header, fields.u16())?;
        let version_max = required(header, fields.u16())?;
        check_reserved(header.kind, required(header, fields.u64())?)?;
        if version_min == 0 || version_min > version_max {
            return Err(DecodeError::BadVersionRange {
                version_min,
                version_max,
            });
        }
        Ok(Self {
            version_min,
            version_max,
        })
    }
}

impl ServerHello {
    pub(crate) fn read(header: &FrameHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields(payload);
        check_magic(required(header, fields.u32())?)?;
        let hello = Self {
            version: required(header, fields.u16())?,
            window_frames: required(header, fields.u16())?,
            check_ins_per_frame_max: required(header, fields.u32())?,
            inventory_bytes_max: required(header, fields.u32())?,
            server_time_ms: required(header, fields.u64())?,
            next_check_in_seconds: required(header, fields.u32())?,
        };
        check_reserved(header.kind, u64::from(required(header, fields.u32())?))?;
        if !(VERSION_MIN..=VERSION_MAX).contains(&hello.version) {
            return Err(DecodeError::BadVersionRange {
                version_min: hello.version,
                version_max: hello.version,
            });
        }
        if hello.window_frames == 0 || hello.check_ins_per_frame_max == 0 {
            return Err(DecodeError::BadHello);
        }
        Ok(hello)
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
            policy_revision: required(header, fields.u32())?,
            next_check_in_seconds: required(header, fields.u32())?,
        };
        let mut rejections = Vec::with_capacity(usize::from(header.count));
        for _ in 0..header.count {
            rejections.push(Rejection {
                device_id: required(header, fields.device_id())?,
                seq: required(header, fields.u64())?,
                reason_code: required(header, fields.u8())?,
            });
            let reserved: [u8; 7] = required(header, fields.take())?;
            if reserved != [0; 7] {
                return Err(DecodeError::ReservedNotZero { kind: header.kind });
            }
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
    pub(crate) fn read(header: &FrameHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields(payload);
        Ok(Self {
            code: required(header, fields.u32())?,
            retry_after_ms: required(header, fields.u32())?,
        })
    }
}
