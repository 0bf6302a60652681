//! The frame of every stored value: a trailing checksum that also covers the value's location.
//!
//! `payload | crc32c u32`, little-endian; in a journal value the bytes of each shard are followed by a stamp. The
//! checksum covers column family, key and all bytes before it, so an intact value under a wrong key is detected too.
//!
//! CRC-32C is what RocksDB, iSCSI and ext4 use; processors compute several bytes per cycle in hardware. Pure functions:
//! no IO, and no knowledge of the payload.

use muster_engine::{Sequence, ShardId, Timestamp};

use crate::keyspace::Keyspace;
use crate::lsn::Lsn;

/// Checksum at the end of every value.
pub(crate) const CRC_BYTES: usize = 4;
/// Stamp after the bytes of a shard in a journal value: `bytes u32 | shard u16 | reserved u16 | sequence u64`.
pub(crate) const STAMP_BYTES: usize = 16;
/// Checkpoint record: `cursor sequence u64 | next log sequence number u64`, then the context of the shard.
const CHECKPOINT_BYTES: usize = 16;
/// Clock record: the time u64, in milliseconds since the Unix epoch.
const CLOCK_BYTES: usize = 8;

fn checksum(keyspace: Keyspace, key: &[u8], body: &[u8]) -> u32 {
    let location = crc32c::crc32c_append(crc32c::crc32c(&[keyspace.tag()]), key);
    crc32c::crc32c_append(location, body)
}

/// Appends the checksum to a payload.
pub(crate) fn seal(keyspace: Keyspace, key: &[u8], payload: &mut Vec<u8>) {
    let crc = checksum(keyspace, key, payload);
    payload.extend_from_slice(&crc.to_le_bytes());
}

/// The payload of a stored value; `None` if the checksum does not match column family, key and payload.
pub(crate) fn unseal<'a>(keyspace: Keyspace, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (payload, crc) = value.split_last_chunk::<CRC_BYTES>()?;
    (checksum(keyspace, key, payload) == u32::from_le_bytes(*crc)).then_some(payload)
}

/// The shard that wrote a part of a journal value, and its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalStamp {
    pub(crate) shard: ShardId,
    pub(crate) sequence: Sequence,
}

impl JournalStamp {
    /// Appends the engine's bytes of a shard, and their stamp, to a journal value; [`seal`] follows.
    pub(crate) fn append_to(self, payload: &mut Vec<u8>, bytes: &[u8]) {
        let mut stamp = [0; STAMP_BYTES];
        stamp[..4].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        stamp[4..6].copy_from_slice(&self.shard.0.to_le_bytes());
        stamp[8..].copy_from_slice(&self.sequence.0.to_le_bytes());
        payload.extend_from_slice(bytes);
        payload.extend_from_slice(&stamp);
    }

    /// Splits the last part from an unsealed journal value: the value before it, its stamp and the engine's bytes.
    pub(crate) fn split_last(payload: &[u8]) -> Option<(&[u8], Self, &[u8])> {
        let (payload, stamp) = payload.split_last_chunk::<STAMP_BYTES>()?;
        let (length, rest) = stamp.split_first_chunk()?;
        let (shard, rest) = rest.split_first_chunk()?;
        let (reserved, sequence) = rest.split_first_chunk::<2>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (before, bytes) = payload.split_at_checked(payload.len().checked_sub(length)?)?;
        let stamp = Self {
            shard: ShardId(u16::from_le_bytes(*shard)),
            sequence: Sequence(u64::from_le_bytes(sequence.try_into().ok()?)),
        };
        (*reserved == [0; 2]).then_some((before, stamp, bytes))
    }
}

/// The record of a completed checkpoint of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// The pages include every event up to and including this sequence of the shard.
    pub cursor_sequence: Sequence,
    /// Log sequence number of the next journal value when the record was written. A journal that ends before it has
    /// lost its tail.
    pub next_lsn: Lsn,
    /// What the shard has besides its pages, as of that sequence. Its bytes belong to the engine.
    pub context: Vec<u8>,
}

impl CheckpointRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let capacity = CHECKPOINT_BYTES + self.context.len() + CRC_BYTES;
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(&self.cursor_sequence.0.to_le_bytes());
        bytes.extend_from_slice(&self.next_lsn.0.to_le_bytes());
        bytes.extend_from_slice(&self.context);
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let (cursor, rest) = payload.split_first_chunk()?;
        let (next, context) = rest.split_first_chunk()?;
        Some(Self {
            cursor_sequence: Sequence(u64::from_le_bytes(*cursor)),
            next_lsn: Lsn(u64::from_le_bytes(*next)),
            context: context.to_vec(),
        })
    }
}

/// The service time of a server, as its data directory keeps it. Written beside other values, at most once a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockRecord {
    /// The service time.
    pub time: Timestamp,
}

impl ClockRecord {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CLOCK_BYTES + CRC_BYTES);
        bytes.extend_from_slice(&self.time.as_millis().to_le_bytes());
        bytes
    }

    pub(crate) fn decode(payload: &[u8]) -> Option<Self> {
        let time = u64::from_le_bytes(payload.try_into().ok()?);
        Some(Self {
            time: Timestamp::from_millis(time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_has_the_bytes_of_the_document() {
        // CRC-32C of "6789" continues that of "12345": the well-known check value.
        assert_eq!(
            crc32c::crc32c_append(crc32c::crc32c(b"12345"), b"6789"),
            0xE306_9283
        );
        let mut value = Vec::new();
        let stamp = JournalStamp {
            shard: ShardId(0x0102),
            sequence: Sequence(0x0304),
        };
        stamp.append_to(&mut value, b"abc");
        seal(Keyspace::Journal, &[9], &mut value);
        let stamped = [3, 0, 0, 0, 2, 1, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0];
        assert_eq!(value[..19], [&b"abc"[..], &stamped].concat());
        let mut covered = vec![b'j', 9];
        covered.extend_from_slice(&value[..19]);
        assert_eq!(value[19..], crc32c::crc32c(&covered).to_le_bytes());
    }

    #[test]
    fn any_flipped_bit_other_key_or_other_column_family_is_detected() {
        let key = [1, 2, 3];
        let mut value = b"payload".to_vec();
        seal(Keyspace::Pages, &key, &mut value);
        assert_eq!(unseal(Keyspace::Pages, &key, &value), Some(&b"payload"[..]));
        assert_eq!(unseal(Keyspace::Pages, &[1, 2, 4], &value), None);
        assert_eq!(unseal(Keyspace::Inventory, &key, &value), None);
        assert_eq!(unseal(Keyspace::Pages, &key, &value[..3]), None);
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(Keyspace::Pages, &key, &flipped), None);
        }
    }

    #[test]
    fn stamp_checkpoint_and_clock_read_back() {
        let stamp = JournalStamp {
            shard: ShardId(7),
            sequence: Sequence(u64::MAX),
        };
        let mut value = Vec::new();
        stamp.append_to(&mut value, &[1, 2]);
        let first = value.clone();
        let other = JournalStamp {
            shard: ShardId(8),
            sequence: Sequence(1),
        };
        other.append_to(&mut value, &[3]);
        let last = JournalStamp::split_last(&value);
        assert_eq!(last, Some((&first[..], other, &[3][..])));
        let last = JournalStamp::split_last(&first);
        assert_eq!(last, Some((&[][..], stamp, &[1, 2][..])));
        assert_eq!(JournalStamp::split_last(&first[..5]), None);
        assert_eq!(JournalStamp::split_last(&first[1..]), None, "too few bytes");
        let record = CheckpointRecord {
            cursor_sequence: Sequence(5),
            next_lsn: Lsn(6),
            context: vec![7],
        };
        let read = CheckpointRecord::decode(&record.encode());
        assert_eq!(read, Some(record));
        assert_eq!(CheckpointRecord::decode(&[0; 15]), None);
        let record = ClockRecord {
            time: Timestamp::from_millis(7),
        };
        assert_eq!(ClockRecord::decode(&record.encode()), Some(record));
        assert_eq!(ClockRecord::decode(&[0; 9]), None);
    }
}
