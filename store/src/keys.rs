//! Encoding of the keys of all column families.
//!
//! Numbers in keys are big-endian, so that byte order is numeric order and the keys of a shard are contiguous.
//! docs/reference/STORAGE.md has the same table. Pure functions; no values, no IO.

use muster_engine::{PageNumber, Revision, ShardId, TenantIndex};
use muster_wire::DeviceId;

use crate::lsn::Lsn;

/// `log sequence number u64`
pub(crate) const JOURNAL_KEY_BYTES: usize = 8;
/// `shard u16 | page u32`
pub(crate) const PAGE_KEY_BYTES: usize = 6;
/// `tenant u16 | device id 16`
pub(crate) const INVENTORY_KEY_BYTES: usize = 18;
/// `kind u8 | revision u32`
pub(crate) const POLICY_SET_KEY_BYTES: usize = 5;
/// `kind u8 | revision u32`
pub(crate) const CONTROL_ENTRY_KEY_BYTES: usize = 5;
/// `kind u8 | shard u16`
pub(crate) const CHECKPOINT_KEY_BYTES: usize = 3;

/// `meta`: the format version.
pub(crate) const FORMAT: &[u8] = b"format";
/// `meta`: the number of shards.
pub(crate) const SHARDS: &[u8] = b"shards";
/// `meta`: the trim point, the log sequence number below which the journal is obsolete.
pub(crate) const TRIM: &[u8] = b"trim";

/// `meta`: the clock record.
pub(crate) const CLOCK: &[u8] = b"clock";

const CONTROL_ENTRY: u8 = b'e';
const POLICY_SET: u8 = b'p';
const CHECKPOINT: u8 = b'k';

/// Keys from `first` up to but not including `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) first: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl KeyRange {
    /// The range from `first` to `last`, both included: the end is `last` plus a zero byte, its direct successor.
    fn including(first: &[u8], last: &[u8]) -> Self {
        Self {
            first: first.to_vec(),
            end: [last, &[0]].concat(),
        }
    }
}

pub(crate) fn journal(lsn: Lsn) -> [u8; JOURNAL_KEY_BYTES] {
    lsn.0.to_be_bytes()
}

pub(crate) fn journal_lsn(key: &[u8]) -> Option<Lsn> {
    Some(Lsn(u64::from_be_bytes(key.try_into().ok()?)))
}

/// From a log sequence number to the end of the journal.
pub(crate) fn journal_from(lsn: Lsn) -> KeyRange {
    KeyRange::including(&journal(lsn), &journal(Lsn(u64::MAX)))
}

pub(crate) fn page(shard: ShardId, page: PageNumber) -> [u8; PAGE_KEY_BYTES] {
    let mut key = [0; PAGE_KEY_BYTES];
    key[..2].copy_from_slice(&shard.0.to_be_bytes());
    key[2..].copy_from_slice(&page.0.to_be_bytes());
    key
}

pub(crate) fn pages_of(shard: ShardId) -> KeyRange {
    KeyRange::including(
        &page(shard, PageNumber(0)),
        &page(shard, PageNumber(u32::MAX)),
    )
}

pub(crate) fn inventory(tenant: TenantIndex, device: &DeviceId) -> [u8; INVENTORY_KEY_BYTES] {
    let mut key = [0; INVENTORY_KEY_BYTES];
    key[..2].copy_from_slice(&tenant.0.to_be_bytes());
    key[2..].copy_from_slice(device.as_bytes());
    key
}

pub(crate) fn policy_set(revision: Revision) -> [u8; POLICY_SET_KEY_BYTES] {
    let mut key = [POLICY_SET; POLICY_SET_KEY_BYTES];
    key[1..].copy_from_slice(&revision.0.to_be_bytes());
    key
}

pub(crate) fn policy_sets() -> KeyRange {
    KeyRange::including(&policy_set(Revision(0)), &policy_set(Revision(u32::MAX)))
}

pub(crate) fn control_entry(revision: Revision) -> [u8; CONTROL_ENTRY_KEY_BYTES] {
    let mut key = [CONTROL_ENTRY; CONTROL_ENTRY_KEY_BYTES];
    key[1..].copy_from_slice(&revision.0.to_be_bytes());
    key
}

pub(crate) fn control_entries() -> KeyRange {
    let [first, last] = [0, u32::MAX].map(|revision| control_entry(Revision(revision)));
    KeyRange::including(&first, &last)
}

pub(crate) fn checkpoint(shard: ShardId) -> [u8; CHECKPOINT_KEY_BYTES] {
    let [high, low] = shard.0.to_be_bytes();
    [CHECKPOINT, high, low]
}

/// The number in the last four bytes of a key: page or revision.
pub(crate) fn last_u32(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*key.last_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_bytes_of_the_document() {
        let shard = ShardId(0x0102);
        let device = DeviceId::from_bytes([7; 16]);
        assert_eq!(journal(Lsn(0x0102)), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(page(shard, PageNumber(0x0304_0506)), [1, 2, 3, 4, 5, 6]);
        assert_eq!(inventory(TenantIndex(0x0102), &device)[..3], [1, 2, 7]);
        assert_eq!(policy_set(Revision(9)), [b'p', 0, 0, 0, 9]);
        assert_eq!(control_entry(Revision(9)), [b'e', 0, 0, 0, 9]);
        assert_eq!(checkpoint(shard), [b'k', 1, 2]);
    }

    #[test]
    fn keys_read_back() {
        let last = Lsn(u64::MAX);
        assert_eq!(journal_lsn(&journal(last)), Some(last));
        assert_eq!(journal_lsn(&[1, 2]), None);
        assert_eq!(last_u32(&page(ShardId(3), PageNumber(77))), Some(77));
        assert_eq!(last_u32(&policy_set(Revision(78))), Some(78));
    }

    #[test]
    fn ranges_contain_their_shard_and_no_other() {
        for shard in [0, 1, 255, 256, u16::MAX].map(ShardId) {
            let range = pages_of(shard);
            for number in [0, 1, u32::MAX].map(PageNumber) {
                let key = page(shard, number).to_vec();
                assert!(range.first <= key && key < range.end);
            }
            if let Some(next) = shard.0.checked_add(1).map(ShardId) {
                assert!(page(next, PageNumber(0)).to_vec() >= range.end);
            }
        }
        assert!(journal(Lsn(u64::MAX)).to_vec() < journal_from(Lsn(0)).end);
    }

    #[test]
    fn key_order_is_numeric_order() {
        let numbers = [0, 1, 255, 256, 1 << 32, u64::MAX].map(Lsn);
        assert!(numbers.map(journal).is_sorted());
        assert!(page(ShardId(1), PageNumber(u32::MAX)) < page(ShardId(2), PageNumber(0)));
    }
}
