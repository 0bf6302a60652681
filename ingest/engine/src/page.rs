//! The encoding of a page: the records of a fixed run of slots, and the sequence up to which they include events.
//!
//! Layout, little-endian: format u8 = 1, three zero bytes, sequence u64, then [`PAGE_RECORDS`] records of 64 bytes and as
//! many cold records of 20; an empty slot is all zero. The sequence lets a replay skip events that the page already
//! includes, so the pages of one checkpoint can be written at different times, without stopping ingest (docs/adr/0004).
//! Fixed size. Checksums belong to the store.

use crate::bytes::Reader;
use crate::device::{ColdRecord, DEVICE_BYTES, DeviceRecord};
use crate::ids::{PAGE_RECORDS, Sequence};

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 12;

/// Size of a page image.
pub const PAGE_BYTES: usize = HEADER_BYTES + PAGE_RECORDS * DEVICE_BYTES;

/// A decoded page.
#[derive(Debug)]
pub struct Page {
    /// The records include every event of the shard up to this sequence.
    pub sequence: Sequence,
    /// The records, by slot within the page.
    pub records: Box<[DeviceRecord; PAGE_RECORDS]>,
    /// The cold records of the same slots.
    pub cold: Box<[ColdRecord; PAGE_RECORDS]>,
}

/// Encodes a page.
pub fn encode(
    sequence: Sequence,
    records: &[DeviceRecord; PAGE_RECORDS],
    cold: &[ColdRecord; PAGE_RECORDS],
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    bytes.extend([FORMAT, 0, 0, 0]);
    bytes.extend(sequence.0.to_le_bytes());
    for record in records {
        bytes.extend_from_slice(&record.encode());
    }
    for record in cold {
        bytes.extend_from_slice(&record.encode());
    }
    bytes
}

/// Decodes [`encode`]; `None` if the bytes are not a page of a known format.
pub fn decode(bytes: &[u8]) -> Option<Page> {
    let mut reader = Reader::new(bytes);
    if bytes.len() != PAGE_BYTES || reader.array()? != [FORMAT, 0, 0, 0] {
        return None;
    }
    let sequence = Sequence(reader.u64()?);
    let records = (0..PAGE_RECORDS)
        .map(|_| DeviceRecord::decode(&mut reader))
        .collect::<Option<Vec<_>>>()?;
    let cold = (0..PAGE_RECORDS)
        .map(|_| ColdRecord::decode(&mut reader))
        .collect::<Option<Vec<_>>>()?;
    Some(Page {
        sequence,
        records: records.try_into().ok()?,
        cold: cold.try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_round_trip_and_other_bytes_are_refused() {
        let mut records = [DeviceRecord::default(); PAGE_RECORDS];
        records[5].seq = 9;
        let mut cold = [ColdRecord::default(); PAGE_RECORDS];
        cold[127].first_seen = 10;
        let bytes = encode(Sequence(42), &records, &cold);
        assert_eq!(bytes.len(), PAGE_BYTES);
        let page = decode(&bytes).unwrap();
        assert_eq!(page.sequence, Sequence(42));
        assert_eq!((*page.records, *page.cold), (records, cold));
        assert!(decode(&bytes[1..]).is_none());
        let mut newer = bytes;
        newer[0] = FORMAT + 1;
        assert!(decode(&newer).is_none());
    }
}
