//! A shard batch: the records of one frame for the shards of one thread.
//!
//! Owner: the session until it is sent, then the thread. Bounded by the records of a frame.

use muster_engine::TenantIndex;
use muster_wire::limits::CHECK_IN_BYTES;
use muster_wire::{CheckInRecord, Inventory};

use super::window::Completion;
use crate::clock::Stamp;

/// An inventory with the bytes it was read from.
#[derive(Debug)]
pub struct ReceivedInventory {
    /// The validated inventory.
    pub inventory: Inventory,
    /// Its archived bytes.
    pub archive: Vec<u8>,
}

/// The records of a shard batch. A frame of one check-in, as devices send it, needs no buffer.
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
    /// Its cost to the thread and the journal, in check-ins: an inventory by its bytes.
    pub fn weight(&self) -> usize {
        match self {
            Self::CheckIn(_) => 1,
            Self::CheckIns(records) => records.len(),
            Self::Inventory(batch) => batch.archive.len().div_ceil(CHECK_IN_BYTES),
        }
    }
}

/// The element of an inbox.
#[derive(Debug)]
pub struct ShardBatch {
    /// The tenant of the devices, from the certificate.
    pub tenant: TenantIndex,
    /// The records.
    pub payload: Payload,
    /// Completes the frame's share of this shard batch once it is durable.
    pub completion: Completion,
    /// When the bytes were read from the connection.
    pub read_at: Stamp,
    /// When the shard batch was offered to the inbox.
    pub routed_at: Stamp,
}
