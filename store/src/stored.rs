//! Decoders of stored bytes, for tests that pass arbitrary input to them.
//!
//! Not part of the public interface: a store is read through [`crate::StoreView`]. No IO, no state.

use std::path::Path;

use muster_engine::{PageNumber, Sequence, ShardId};

use crate::error::OpenError;
use crate::keyspace::Keyspace;
use crate::value::{self, CheckpointRecord, ClockRecord, JournalStamp};
use crate::{format, keys};

/// Appends the checksum to the payload of a page.
pub fn seal_page(shard: ShardId, page: PageNumber, payload: &mut Vec<u8>) {
    value::seal(Keyspace::Pages, &keys::page(shard, page), payload);
}

/// The payload of a page value, if its checksum is right.
pub fn unseal_page(shard: ShardId, page: PageNumber, value: &[u8]) -> Option<&[u8]> {
    value::unseal(Keyspace::Pages, &keys::page(shard, page), value)
}

/// Shard and sequence of the last part of an unsealed journal value, and the encoding of the value again.
pub fn stamp(payload: &[u8]) -> Option<(ShardId, Sequence, Vec<u8>)> {
    let (before, stamp, bytes) = JournalStamp::split_last(payload)?;
    let mut written = before.to_vec();
    stamp.append_to(&mut written, bytes);
    Some((stamp.shard, stamp.sequence, written))
}

/// A checkpoint record, and its encoding again.
pub fn checkpoint(payload: &[u8]) -> Option<(CheckpointRecord, Vec<u8>)> {
    let record = CheckpointRecord::decode(payload)?;
    let encoded = record.encode();
    Some((record, encoded))
}

/// A clock record, and its encoding again.
pub fn clock(payload: &[u8]) -> Option<(ClockRecord, Vec<u8>)> {
    let record = ClockRecord::decode(payload)?;
    Some((record, record.encode()))
}

/// The number of shards in the text of a file FORMAT.
///
/// # Errors
/// The text is not a FORMAT file of this version, or has no number of shards.
pub fn format_shards(text: &str) -> Result<u16, OpenError> {
    format::parse(Path::new("data"), text)
}
