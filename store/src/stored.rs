//! The readers of stored bytes, for tests that hand them arbitrary ones.
//!
//! Not part of the interface: a store is read through [`crate::StoreView`] only. No IO, no state.

use std::path::Path;

use muster_engine::{PageNumber, Sequence, ShardId};

use crate::error::OpenError;
use crate::keyspace::Keyspace;
use crate::value::{self, CheckpointRecord, JournalStamp};
use crate::{format, keys};

/// Closes a page's payload under the key of that page.
pub fn seal_page(shard: ShardId, page: PageNumber, payload: &mut Vec<u8>) {
    value::seal(Keyspace::Pages, &keys::page(shard, page), payload);
}

/// The payload under the key of a page.
pub fn unseal_page(shard: ShardId, page: PageNumber, value: &[u8]) -> Option<&[u8]> {
    value::unseal(Keyspace::Pages, &keys::page(shard, page), value)
}

/// Shard, sequence and engine's bytes of an unsealed journal value, and all of it written again.
pub fn stamp(payload: &[u8]) -> Option<(ShardId, Sequence, Vec<u8>)> {
    let (stamp, bytes) = JournalStamp::split(payload)?;
    let mut written = bytes.to_vec();
    stamp.append_to(&mut written);
    Some((stamp.shard, stamp.sequence, written))
}

/// A checkpoint record, and the same written again.
pub fn checkpoint(payload: &[u8]) -> Option<(CheckpointRecord, Vec<u8>)> {
    let record = CheckpointRecord::decode(payload)?;
    Some((record, record.encode()))
}

/// The number of shards in the text of a file FORMAT.
///
/// # Errors
/// The text is not of this program, is of another format, or names no shards.
pub fn format_shards(text: &str) -> Result<u16, OpenError> {
    format::parse(Path::new("data"), text)
}
