//! The hash chain over the control log: each entry is stored with the SHA-256 of the hash before it and its own bytes.
//!
//! So anyone who knows the last hash, the head, can tell whether an entry up to it was changed, moved, added or removed. A
//! checksum finds damage; the chain finds also what was changed on purpose, unless the hashes of all later entries were
//! computed anew: only a head that is kept elsewhere, a [`PinnedHead`], shows that, and that the end of the log is
//! missing.

use std::fmt;
use std::str::FromStr;

use muster_engine::Revision;
use sha2::{Digest, Sha256};

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// A hash of the chain; that before the first entry is zero. As text, 64 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ChainHash([u8; HASH_BYTES]);

/// The state of the chain after an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    head: ChainHash,
    entries: u64,
    revision: Revision,
}

/// A head that was noted, and the revision of its entry. As text, `REVISION:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedHead {
    /// The revision of the entry.
    pub revision: Revision,
    /// The hash after it.
    pub head: ChainHash,
}

/// The text is not a hash, or not a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pin is REVISION:HASH, with a hash of 64 hexadecimal digits")]
pub struct PinError;

impl ChainHash {
    pub(crate) const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl Chain {
    /// The hash after the last entry.
    #[must_use]
    pub const fn head(&self) -> ChainHash {
        self.head
    }

    /// Number of entries.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The revision of the last entry; 0 without entries.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// The head with its revision.
    #[must_use]
    pub const fn pin(&self) -> PinnedHead {
        let (revision, head) = (self.revision, self.head);
        PinnedHead { revision, head }
    }

    /// The chain with one more entry, whose bytes are these.
    #[must_use]
    pub(crate) fn with(&self, revision: Revision, bytes: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(self.head.0).chain_update(bytes);
        let head = ChainHash(hash.finalize().into());
        Self {
            head,
            entries: self.entries + 1,
            revision,
        }
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl FromStr for ChainHash {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let digits = text.as_bytes();
        if digits.len() != 2 * HASH_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(PinError);
        }
        let mut hash = Self::default();
        for (byte, pair) in hash.0.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| PinError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| PinError)?;
        }
        Ok(hash)
    }
}

impl fmt::Display for PinnedHead {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.revision, self.head)
    }
}

impl FromStr for PinnedHead {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let (revision, head) = text.split_once(':').ok_or(PinError)?;
        let revision = revision.parse().map(Revision).map_err(|_| PinError)?;
        let head = head.parse()?;
        Ok(Self { revision, head })
    }
}
