//! A shard batch: what one frame has for one shard.

use muster_engine::TenantIndex;
use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{CheckInRecord, Inventory};

use super::window::Completion;
use crate::clock::Stamp;

/// An inventory with the bytes it was read from.
#[derive(Debug)]
pub struct ReceivedInventory {
    /// What the archive says, validated.
    pub inventory: Inventory,
    /// The archive.
    pub archive: Vec<u8>,
}

/// The records of a shard batch. A frame of one check-in, the device's shape, needs no buffer.
#[derive(Debug)]
pub enum Payload {
    /// One check-in.
    CheckIn(CheckInRecord),
    /// Several check-ins, in a buffer of the pool.
    CheckIns(Vec<CheckInRecord>),
    /// An inventory; rare, so it may cost an allocation.
    Inventory(Box<ReceivedInventory>),
}

impl Payload {
    /// What it costs a shard and the journal, in check-ins: an inventory by its bytes.
    pub fn weight(&self) -> usize {
        match self {
            Self::CheckIn(_) => 1,
            Self::CheckIns(records) => records.len(),
            Self::Inventory(batch) => batch.archive.len().div_ceil(CHECK_IN_BYTES),
        }
    }
}

/// What travels through an inbox.
#[derive(Debug)]
pub struct ShardBatch {
    /// Whose devices; from the certificate.
    pub tenant: TenantIndex,
    /// The records.
    pub payload: Payload,
    /// Where the outcome goes once it is durable.
    pub completion: Completion,
    /// When the bytes were read from the connection.
    pub read_at: Stamp,
    /// When the shard batch was offered to the inbox.
    pub routed_at: Stamp,
}
