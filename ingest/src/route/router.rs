//! Cuts the frames of one session into shard batches by shard.
//!
//! Hot path: one hash and one 48-byte copy per check-in, into a pooled buffer.

use std::sync::Arc;

use muster_engine::{ShardMap, TenantIndex};
use muster_wire::CheckInRecord;

use super::inbox::Inbox;
use super::pool::BufferPool;
use super::shard_batch::{Payload, ReceivedInventory, ShardBatch};
use super::window::WindowCursor;
use crate::clock::{Clock, Stamp};

/// Where shard batches go; shared by all sessions.
#[derive(Debug)]
pub struct RouteTable {
    /// Which shard owns a device.
    pub map: ShardMap,
    /// By shard.
    pub inboxes: Box<[Inbox]>,
    /// Buffers for shard batches.
    pub pool: BufferPool,
}

/// What has been cut for one shard so far.
#[derive(Debug, Default)]
enum Cut {
    #[default]
    Nothing,
    One(CheckInRecord),
    Many(Vec<CheckInRecord>),
}

/// Cuts frames. Owned by one session.
#[derive(Debug)]
pub struct Router {
    table: Arc<RouteTable>,
    tenant: TenantIndex,
    clock: Clock,
    /// By shard: what the frame being read has for it.
    cuts: Box<[Cut]>,
}

impl Router {
    /// A router for the frames of one session.
    pub fn new(table: Arc<RouteTable>, tenant: TenantIndex, clock: Clock) -> Self {
        let cuts = table.inboxes.iter().map(|_| Cut::Nothing).collect();
        Self {
            table,
            tenant,
            clock,
            cuts,
        }
    }

    /// Takes one check-in of the frame being read.
    // Inlined, so that a record goes from its registers into the buffer. Handed over in memory, it is written by
    // fields and read as a whole a moment later, for which a processor waits until the writes are through.
    #[inline(always)]
    pub fn check_in(&mut self, record: CheckInRecord) {
        let shard = usize::from(self.table.map.shard_of(&record.device_id()).0);
        match &mut self.cuts[shard] {
            Cut::Many(buffer) => buffer.push(record),
            _ => self.begin(shard, record),
        }
    }

    /// Takes the first or second check-in that a frame has for a shard.
    #[inline(never)]
    fn begin(&mut self, shard: usize, record: CheckInRecord) {
        let cut = &mut self.cuts[shard];
        *cut = match std::mem::take(cut) {
            Cut::Nothing => Cut::One(record),
            Cut::One(first) => {
                let mut buffer = self.table.pool.take();
                buffer.extend([first, record]);
                Cut::Many(buffer)
            }
            Cut::Many(mut buffer) => {
                buffer.push(record);
                Cut::Many(buffer)
            }
        };
    }

    /// Number of shards; a frame has at most one shard batch for each.
    pub fn shards(&self) -> usize {
        self.cuts.len()
    }

    /// Takes what the frame that has been read has for a shard.
    pub fn batch(
        &mut self,
        shard: usize,
        window: &WindowCursor,
        read_at: Stamp,
    ) -> Option<ShardBatch> {
        let payload = match std::mem::take(&mut self.cuts[shard]) {
            Cut::Nothing => return None,
            Cut::One(record) => Payload::CheckIn(record),
            Cut::Many(buffer) => Payload::CheckIns(buffer),
        };
        let (tenant, completion, routed_at) =
            (self.tenant, window.completion(), self.clock.stamp());
        Some(ShardBatch {
            tenant,
            payload,
            completion,
            read_at,
            routed_at,
        })
    }

    /// The one shard batch of an inventory frame, with the index of its shard.
    pub fn inventory(
        &self,
        inventory: Box<ReceivedInventory>,
        window: &WindowCursor,
        read_at: Stamp,
    ) -> (usize, ShardBatch) {
        let shard = self.table.map.shard_of(&inventory.inventory.device_id);
        let batch = ShardBatch {
            tenant: self.tenant,
            payload: Payload::Inventory(inventory),
            completion: window.completion(),
            read_at,
            routed_at: self.clock.stamp(),
        };
        (usize::from(shard.0), batch)
    }

    /// The inbox of a shard.
    pub fn inbox(&self, shard: usize) -> &Inbox {
        &self.table.inboxes[shard]
    }
}

impl Drop for Router {
    /// A session that ends in the middle of a frame leaves buffers behind; nothing of it was applied.
    fn drop(&mut self) {
        for cut in &mut self.cuts {
            if let Cut::Many(buffer) = std::mem::take(cut) {
                self.table.pool.give(buffer);
            }
        }
    }
}
