//! Hello: the first frame in each direction, and the choice of a version.
//!
//! Bounds: a client's Hello keeps its shape in every version, so that any server can read it. What
//! it does not do: whether Hello comes first and once is held by [`crate::Decoder`].

use crate::{
    close::CloseCode,
    error::DecodeError,
    fields::Fields,
    frame::{FrameHeader, check_reserved, required},
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

fn check_magic(magic: u32) -> Result<(), DecodeError> {
    if magic == MAGIC {
        Ok(())
    } else {
        Err(DecodeError::BadMagic { magic })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_chosen() {
        assert_eq!(negotiate(1, 1), Ok(1));
        assert_eq!(negotiate(1, 9), Ok(VERSION_MAX));
        assert_eq!(negotiate(0, 1), Ok(1));
    }

    #[test]
    fn ranges_without_a_common_version_are_refused() {
        for (client_min, client_max) in [(VERSION_MAX + 1, u16::MAX), (0, VERSION_MIN - 1)] {
            let error = negotiate(client_min, client_max).unwrap_err();
            assert_eq!(
                error,
                VersionError {
                    client_min,
                    client_max
                }
            );
            assert_eq!(error.close_code(), CloseCode::UnsupportedVersion);
        }
    }
}
