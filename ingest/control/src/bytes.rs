//! The encoding of entries: little-endian, one encoding for each value; anything else is refused.
//!
//! The length of a text or list comes before it and is checked before anything is allocated. Bounded by the limits of
//! the values.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use muster_engine::{Revision, TenantIndex, Timestamp};
use muster_wire::DeviceId;

use crate::id::ObjectId;

/// The version of the encoding, in the first byte of an entry.
pub(crate) const VERSION: u8 = 1;

/// Why bytes are not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Another version of Muster wrote it.
    #[error("the entry has version {0}, and only version {VERSION} can be read")]
    Version(u8),
    /// The bytes end too early.
    #[error("the entry ends early")]
    Truncated,
    /// A value has bytes that no encoding produces.
    #[error("the entry has an invalid {0}")]
    Invalid(&'static str),
    /// Bytes follow the end.
    #[error("the entry has {0} bytes too many")]
    Trailing(usize),
}

/// The bytes that are not read yet.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], EntryError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(EntryError::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, EntryError> {
        let length = usize::from(u16::take(self)?);
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or(EntryError::Truncated)?;
        self.0 = tail;
        std::str::from_utf8(head).map_err(|_| EntryError::Invalid("text"))
    }

    pub(crate) const fn finish(self) -> Result<(), EntryError> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(EntryError::Trailing(more)),
        }
    }
}

/// A value with exactly one encoding.
pub(crate) trait Stored: Sized {
    /// Appends the encoding.
    fn put(&self, into: &mut Vec<u8>);

    /// Reads one value.
    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError>;
}

/// Appends a text of at most 65,535 bytes.
pub(crate) fn put_text(text: &str, into: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("texts are bounded far below that");
    length.put(into);
    into.extend_from_slice(text.as_bytes());
}

macro_rules! stored_numbers {
    ($($number:ty),+) => {
        $(impl Stored for $number {
            fn put(&self, into: &mut Vec<u8>) {
                into.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
                from.array().map(Self::from_le_bytes)
            }
        })+
    };
}

stored_numbers!(u8, u16, u32, u64);

/// Types that are stored as the value inside them.
macro_rules! stored_as {
    ($($name:ty as $inner:ty, $into:expr, $from:expr;)+) => {
        $(impl Stored for $name {
            fn put(&self, into: &mut Vec<u8>) {
                let inner: $inner = $into(self);
                inner.put(into);
            }

            fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
                <$inner>::take(from).map($from)
            }
        })+
    };
}

stored_as! {
    Revision as u32, |revision: &Revision| revision.0, Revision;
    TenantIndex as u16, |tenant: &TenantIndex| tenant.0, TenantIndex;
    Timestamp as u64, |at: &Timestamp| at.as_millis(), Timestamp::from_millis;
    DeviceId as [u8; 16], |id: &DeviceId| id.to_bytes(), DeviceId::from_bytes;
    ObjectId as [u8; 16], |id: &ObjectId| *id.as_bytes(), ObjectId::from_bytes;
}

impl Stored for [u8; 16] {
    fn put(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        from.array()
    }
}

/// Of no version, 4 or 6.
impl Stored for Option<IpAddr> {
    fn put(&self, into: &mut Vec<u8>) {
        match self {
            None => into.push(0),
            Some(IpAddr::V4(address)) => {
                into.push(4);
                into.extend_from_slice(&address.octets());
            }
            Some(IpAddr::V6(address)) => {
                into.push(6);
                into.extend_from_slice(&address.octets());
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(match u8::take(from)? {
            0 => None,
            4 => Some(Ipv4Addr::from(from.array::<4>()?).into()),
            6 => Some(Ipv6Addr::from(from.array::<16>()?).into()),
            _ => return Err(EntryError::Invalid("address")),
        })
    }
}

impl Stored for bool {
    fn put(&self, into: &mut Vec<u8>) {
        u8::from(*self).put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(EntryError::Invalid("flag")),
        }
    }
}
