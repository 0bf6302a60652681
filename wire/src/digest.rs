//! A short, stable fingerprint of a record, to compare records without keeping them.
//!
//! Purpose: a test records the digests of what was acknowledged and compares them with a listing of the data directory;
//! equal digests mean equal content. FNV-1a with 64 bits, so that every version and language computes the same. What it
//! does not do: resist deliberate collisions, or detect damage on disk; the store has checksums.

use std::fmt;

use crate::{check_in::CheckInRecord, limits::CHECK_IN_BYTES};

/// The bytes of `sent_at_ms` in a check-in.
const SENT_AT: std::ops::Range<usize> = 24..32;

/// A fingerprint, displayed as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u64);

impl Digest {
    /// The digest of any bytes, such as an inventory archive.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        Self(bytes.iter().fold(OFFSET_BASIS, fold))
    }

    /// Parses the output of `Display`.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let is_digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digits.then(|| u64::from_str_radix(text, 16).ok().map(Self))?
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

impl CheckInRecord {
    /// The digest of the record without `sent_at_ms`, which is not stored.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes: [u8; CHECK_IN_BYTES] = *self.as_bytes();
        bytes[SENT_AT].fill(0);
        Digest::of(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(change: impl FnOnce(&mut [u8; CHECK_IN_BYTES])) -> CheckInRecord {
        let mut bytes = [0; CHECK_IN_BYTES];
        bytes[0] = 1; // a device
        bytes[16] = 1; // a seq
        bytes[46] = 1; // a management agent
        change(&mut bytes);
        CheckInRecord::validate(&bytes).expect("a valid record")
    }

    #[test]
    fn digests_are_fnv_1a() {
        assert_eq!(Digest::of(b"").to_string(), "cbf29ce484222325");
        assert_eq!(Digest::of(b"foobar").to_string(), "85944171f73967e8");
    }

    #[test]
    fn a_digest_is_parsed_and_other_text_is_rejected() {
        let digest = Digest(0x0123_4567_89ab_cdef);
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        for text in ["", "123", "+123456789abcdef", "0123456789abcdefg"] {
            assert_eq!(Digest::from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn every_field_except_sent_at_ms_changes_the_digest() {
        let plain = record(|_| ()).digest();
        assert_eq!(record(|bytes| bytes[24..32].fill(9)).digest(), plain);
        for at in (0..CHECK_IN_BYTES - 1).filter(|at| !SENT_AT.contains(at)) {
            // 2 is a known code of every coded field but onboarding, whose other code is 1.
            let value = if at == 44 { 1 } else { 2 };
            let changed = record(|bytes| bytes[at] = value);
            assert_ne!(changed.digest(), plain, "byte {at}");
        }
    }
}
