//! Ids and ETags of objects.
//!
//! An id is 16 bytes, written as a UUID like the id of a device. The sender of a command creates new ids, because this
//! crate has no randomness. An ETag is the revision of the last change of its object. It is never reused, even if an
//! object is deleted and another one is created under its id.

use std::fmt;
use std::str::FromStr;

use muster_engine::Revision;
use muster_wire::DeviceId;

/// The connector of Microsoft Defender for Endpoint: the id of its application, the same in every tenant.
pub const DEFENDER: ObjectId = ObjectId::from_bytes([
    0xfc, 0x78, 0x04, 0x65, 0x20, 0x17, 0x40, 0xd4, 0xa0, 0xc5, 0x30, 0x70, 0x22, 0x47, 0x1b, 0x92,
]);

/// The built-in group of all devices of a tenant, with the id that it has in Intune.
pub const ALL_DEVICES: ObjectId = ObjectId::from_bytes([
    0xad, 0xad, 0xad, 0xad, 0x80, 0x8e, 0x44, 0xe2, 0x90, 0x5a, 0x0b, 0x78, 0x73, 0xa8, 0xa5, 0x31,
]);

/// The built-in group of all users, with the id that it has in Intune.
pub const ALL_USERS: ObjectId = ObjectId::from_bytes([
    0xac, 0xac, 0xac, 0xac, 0x9d, 0xf4, 0x4c, 0x7d, 0x9d, 0x50, 0x4e, 0xf0, 0x22, 0x6f, 0x57, 0xa9,
]);

/// The id that stands for none where Graph has no null.
pub(crate) const NO_OBJECT: ObjectId = ObjectId::from_bytes([0; 16]);

/// The id of an object, unique within its tenant and kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(DeviceId);

/// The text is not the id of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 32 hexadecimal digits in the form 8-4-4-4-12")]
pub struct ObjectIdError;

impl ObjectId {
    /// The id with these bytes, in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(DeviceId::from_bytes(bytes))
    }

    /// The 16 bytes, in the order in which they are written.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl FromStr for ObjectId {
    type Err = ObjectIdError;

    fn from_str(text: &str) -> Result<Self, ObjectIdError> {
        text.parse().map(Self).map_err(|_| ObjectIdError)
    }
}

/// The version of an object: the revision of its last change, 0 for a built-in object that was never changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ETag(Revision);

/// The text is not an ETag of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an ETag is a number in double quotes, as sent by the server")]
pub struct ETagError;

impl ETag {
    /// The ETag of an object that this revision changed last.
    #[must_use]
    pub const fn of(revision: Revision) -> Self {
        Self(revision)
    }

    /// The revision of the last change.
    #[must_use]
    pub const fn revision(self) -> Revision {
        self.0
    }
}

/// As in the header `ETag`, in quotes.
impl fmt::Display for ETag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\"{}\"", self.0)
    }
}

impl FromStr for ETag {
    type Err = ETagError;

    /// Accepts a weak ETag too: a proxy may have weakened it.
    fn from_str(text: &str) -> Result<Self, ETagError> {
        let digits = text
            .strip_prefix("W/")
            .unwrap_or(text)
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .ok_or(ETagError)?;
        let number: u32 = digits.parse().map_err(|_| ETagError)?;
        // One text for each number: no sign, no leading zero.
        let tag = Self(Revision(number));
        (number.to_string() == digits)
            .then_some(tag)
            .ok_or(ETagError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_ids_are_those_of_intune() {
        assert_eq!(DEFENDER.to_string(), "fc780465-2017-40d4-a0c5-307022471b92");
        assert_eq!(
            ALL_DEVICES.to_string(),
            "adadadad-808e-44e2-905a-0b7873a8a531"
        );
        assert_eq!(
            ALL_USERS.to_string(),
            "acacacac-9df4-4c7d-9d50-4ef0226f57a9"
        );
        assert_eq!(DEFENDER.to_string().to_uppercase().parse(), Ok(DEFENDER));
        assert_eq!("fc780465".parse::<ObjectId>(), Err(ObjectIdError));
    }

    #[test]
    fn an_etag_reads_back_and_nothing_else_is_one() {
        let tag = ETag::of(Revision(17));
        assert_eq!(tag.to_string(), "\"17\"");
        for text in ["\"17\"", "W/\"17\""] {
            assert_eq!(text.parse(), Ok(tag), "{text}");
        }
        for text in [
            "",
            "17",
            "\"\"",
            "\"17",
            "\"+17\"",
            "\"017\"",
            "\"a\"",
            "*",
            "\"4294967296\"",
        ] {
            assert_eq!(text.parse::<ETag>(), Err(ETagError), "{text}");
        }
    }
}
