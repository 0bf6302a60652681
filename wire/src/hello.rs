//! Hello, the first frame in each direction, and version negotiation.
//!
//! Bounds: the layout of a client's Hello is the same in every version, so that every server can read it. What it does
//! not do: check that Hello comes first and once; see [`crate::Decoder`].

use crate::{
    close::CloseCode,
    error::DecodeError,
    fields::Fields,
    frame::{FrameHeader, check_reserved, required},
};

/// The ALPN protocol name.
pub const ALPN: &[u8] = b"muster/1";

/// The first field of every Hello: the bytes `MSTR`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MSTR");

/// The oldest version that this crate supports.
pub const VERSION_MIN: u16 = 1;

/// The newest version that this crate supports.
pub const VERSION_MAX: u16 = 1;

const _: () = assert!(0 < VERSION_MIN && VERSION_MIN <= VERSION_MAX);

/// Client and server have no version in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the client supports versions {client_min} to {client_max}, the server {VERSION_MIN} to {VERSION_MAX}"
)]
pub struct VersionError {
    /// The oldest version that the client supports.
    pub client_min: u16,
    /// The newest version that the client supports.
    pub client_max: u16,
}

impl VersionError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        CloseCode::UnsupportedVersion
    }
}

/// The newest version that both a client and this crate support.
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
    /// The oldest version that the client supports.
    pub version_min: u16,
    /// The newest version that the client supports.
    pub version_max: u16,
}

impl ClientHello {
    /// The Hello of a client built on this crate.
    pub const CURRENT: Self = Self {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
    };

    /// The version to use with this client.
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
    /// The version in use from here on.
    pub version: u16,
    /// The window: the maximum number of unacknowledged frames (CheckIns and Inventory). At least 1.
    pub window_frames: u16,
    /// The maximum number of check-ins in a frame.
    pub check_ins_per_frame_max: u32,
    /// The maximum size of an inventory archive, in bytes.
    pub inventory_bytes_max: u32,
    /// The server's clock, in milliseconds since 1970-01-01T00:00:00Z.
    pub server_time_ms: u64,
    /// Seconds until the client should check in again; 0 if the server does not say.
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
