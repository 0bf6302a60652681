//! A journal value as it became durable, decoded without the store's code. Pure; owned by the caller.

use muster_engine::{Sequence, ShardId};
use muster_store::Lsn;

/// What a shard has in a journal value that became durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableValue {
    /// Its log sequence number.
    pub lsn: Lsn,
    /// Its shard.
    pub shard: ShardId,
    /// Its sequence within the shard.
    pub sequence: Sequence,
    /// The bytes as the engine made them.
    pub bytes: Vec<u8>,
}

impl DurableValue {
    /// Strips the stamp of each shard, `bytes u32 | shard u16 | reserved u16 | sequence u64`, and four bytes of checksum.
    pub(super) fn all(lsn: Lsn, value: &[u8]) -> Option<Vec<Self>> {
        const CHECKSUM: usize = 4;
        let (mut value, _) = value.split_last_chunk::<CHECKSUM>()?;
        let mut all = Vec::new();
        while !value.is_empty() {
            let (rest, sequence) = value.split_last_chunk()?;
            let (rest, [shard @ .., _, _]) = rest.split_last_chunk::<4>()?;
            let (rest, length) = rest.split_last_chunk()?;
            let first = rest.len() - u32::from_le_bytes(*length) as usize;
            all.push(Self {
                lsn,
                shard: ShardId(u16::from_le_bytes(*shard)),
                sequence: Sequence(u64::from_le_bytes(*sequence)),
                bytes: rest[first..].to_vec(),
            });
            value = &rest[..first];
        }
        Some(all)
    }
}
