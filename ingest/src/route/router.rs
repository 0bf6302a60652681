//! Splits the frames of one session into shard batches.
//!
//! Owner: the session. Hot path: one hash and one 48-byte copy per check-in, into a pooled buffer; bounded by the
//! check-ins of a frame. It does not send: the session does, and waits if an inbox is full.

use std::sync::Arc;

use muster_engine::TenantIndex;
use muster_wire::CheckInRecord;

use super::inbox::Inbox;
use super::pool::BufferPool;
use super::shard_batch::{Payload, ReceivedInventory, ShardBatch};
use super::thread_map::ThreadMap;
use super::window::WindowCursor;
use crate::clock::{Clock, Stamp};

/// The thread map, inboxes and buffers; shared by all sessions.
#[derive(Debug)]
pub struct RouteTable {
    /// Maps a device to its shard, and to the thread that runs it.
    pub map: ThreadMap,
    /// By thread.
    pub inboxes: Box<[Inbox]>,
    /// Buffers for shard batches.
    pub pool: BufferPool,
}

impl RouteTable {
    /// Divides the inboxes among these tenants.
    pub fn set_tenants(&self, tenants: &[TenantIndex]) {
        for inbox in &self.inboxes {
            inbox.set_tenants(tenants.iter().copied());
        }
    }
}

/// The check-ins that the current frame has for one thread so far.
#[derive(Debug, Default)]
enum Cut {
    #[default]
    Nothing,
    One(CheckInRecord),
    Many(Vec<CheckInRecord>),
}

/// Splits frames by thread. Owned by one session.
#[derive(Debug)]
pub struct Router {
    table: Arc<RouteTable>,
    tenant: TenantIndex,
    clock: Clock,
    /// The check-ins of the frame being read, by thread.
    cuts: Box<[Cut]>,
}

impl Router {
    /// Creates the router of one session.
    pub fn new(table: Arc<RouteTable>, tenant: TenantIndex, clock: Clock) -> Self {
        let cuts = table.inboxes.iter().map(|_| Cut::Nothing).collect();
        Self {
            table,
            tenant,
            clock,
            cuts,
        }
    }

    /// Adds one check-in of the frame being read.
    // Inlined, so that a record goes from registers into the buffer. Passed in memory, it would be stored by fields and
    // loaded as a whole at once, which defeats the processor's store forwarding.
    #[inline(always)]
    pub fn check_in(&mut self, record: CheckInRecord) {
        let thread = self.table.map.thread_of(&record.device_id());
        match &mut self.cuts[thread] {
            Cut::Many(buffer) => buffer.push(record),
            _ => self.begin(thread, record),
        }
    }

    /// Adds the first or second check-in that a frame has for a thread.
    #[inline(never)]
    fn begin(&mut self, thread: usize, record: CheckInRecord) {
        let cut = &mut self.cuts[thread];
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

    /// Number of threads; a frame has at most one shard batch for each.
    pub fn threads(&self) -> usize {
        self.cuts.len()
    }

    /// Takes the shard batch that the frame just read has for a thread.
    pub fn batch(
        &mut self,
        thread: usize,
        window: &WindowCursor,
        read_at: Stamp,
    ) -> Option<ShardBatch> {
        let payload = match std::mem::take(&mut self.cuts[thread]) {
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

    /// The one shard batch of an inventory frame, with the index of its thread.
    pub fn inventory(
        &self,
        inventory: Box<ReceivedInventory>,
        window: &WindowCursor,
        read_at: Stamp,
    ) -> (usize, ShardBatch) {
        let thread = self.table.map.thread_of(&inventory.inventory.device_id);
        let batch = ShardBatch {
            tenant: self.tenant,
            payload: Payload::Inventory(inventory),
            completion: window.completion(),
            read_at,
            routed_at: self.clock.stamp(),
        };
        (thread, batch)
    }

    /// The inbox of a thread.
    pub fn inbox(&self, thread: usize) -> &Inbox {
        &self.table.inboxes[thread]
    }
}

impl Drop for Router {
    /// Returns the buffers of a frame that was not read to its end; none of its check-ins was applied.
    fn drop(&mut self) {
        for cut in &mut self.cuts {
            if let Cut::Many(buffer) = std::mem::take(cut) {
                self.table.pool.give(buffer);
            }
        }
    }
}
