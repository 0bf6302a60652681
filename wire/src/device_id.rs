//! The id of a device: 16 bytes, written as a hyphenated UUID.
//!
//! Bounds: exactly 16 bytes, or 36 characters. What it does not do: generate ids, or check UUID versions; any 16 bytes
//! except all zero identify a device.

use std::{fmt, str::FromStr};

use rkyv::{Archive, Place, Serialize, rancor::Fallible};

/// The id of a device. Ordered by its bytes, most significant byte first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceId([u8; 16]);

/// The text is not a device id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device id has 32 hexadecimal digits in the form 8-4-4-4-12")]
pub struct DeviceIdError;

impl DeviceId {
    /// Not the id of any device. Invalid in a check-in; used in a rejection whose device is not known.
    pub const ZERO: Self = Self([0; 16]);

    /// The id with these bytes, in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, in the order in which they are written.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The 16 bytes, by value.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Whether this is [`DeviceId::ZERO`].
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        u128::from_ne_bytes(self.0) == 0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for DeviceId {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, DeviceIdError> {
        if text.len() != 36 {
            return Err(DeviceIdError);
        }
        let mut bytes = [0u8; 16];
        let mut digits = 0usize;
        for (position, character) in text.bytes().enumerate() {
            if matches!(position, 8 | 13 | 18 | 23) {
                if character != b'-' {
                    return Err(DeviceIdError);
                }
                continue;
            }
            let digit = match character {
                b'0'..=b'9' => character - b'0',
                b'a'..=b'f' => character - b'a' + 10,
                b'A'..=b'F' => character - b'A' + 10,
                _ => return Err(DeviceIdError),
            };
            let byte = bytes.get_mut(digits / 2).ok_or(DeviceIdError)?;
            *byte = *byte << 4 | digit;
            digits += 1;
        }
        Ok(Self(bytes))
    }
}

// Archived as its plain bytes.
impl Archive for DeviceId {
    type Archived = [u8; 16];
    type Resolver = ();

    fn resolve(&self, (): (), out: Place<[u8; 16]>) {
        out.write(self.0);
    }
}

impl<S: Fallible + ?Sized> Serialize<S> for DeviceId {
    fn serialize(&self, _: &mut S) -> Result<(), S::Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00112233-4455-6677-8899-aabbccddeeff";

    #[test]
    fn text_and_bytes_agree() {
        let id: DeviceId = TEXT.parse().unwrap();
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(id.as_bytes()[..3], [0x00, 0x11, 0x22]);
        assert_eq!(TEXT.to_uppercase().parse(), Ok(id));
    }

    #[test]
    fn anything_but_a_hyphenated_uuid_is_rejected() {
        for text in [
            "",
            "00112233445566778899aabbccddeeff",
            "00112233-4455-6677-8899-aabbccddeef",
            "00112233-4455-6677-8899-aabbccddeeff0",
            "00112233-4455-6677-8899_aabbccddeeff",
            "0011223g-4455-6677-8899-aabbccddeeff",
            "001122334-455-6677-8899-aabbccddeeff",
            "{0112233-4455-6677-8899-aabbccddeef}",
        ] {
            assert_eq!(text.parse::<DeviceId>(), Err(DeviceIdError), "{text}");
        }
    }

    #[test]
    fn only_the_zero_id_is_zero() {
        assert!(DeviceId::ZERO.is_zero());
        assert!(!TEXT.parse::<DeviceId>().unwrap().is_zero());
    }
}
