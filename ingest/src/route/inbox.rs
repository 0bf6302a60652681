//! The bounded queue of one shard: many sessions push, one thread takes, tenants are served in turn.
//!
//! The capacity is divided among lanes, and a tenant pushes into one lane only (its index modulo the number of lanes).
//! So a tenant that floods fills its own lane and waits there, while [`DeficitRoundRobin`] serves every backlogged lane
//! the same number of check-ins. Tenants of one lane share its service; a lane is a FIFO, so the order within a session
//! is kept.
//!
//! A full lane is the first stage of back-pressure: its sessions stop reading their streams until the lane has
//! capacity, and QUIC's flow control stops the clients. Nothing is dropped here. Lock-free; bounded by
//! `shards.inbox_batches`.

mod deficit_round_robin;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded};
use crossbeam::queue::ArrayQueue;
use muster_engine::TenantIndex;
use tokio::sync::Notify;

use super::shard_batch::ShardBatch;
use deficit_round_robin::{DeficitRoundRobin, LANES_MAX};

/// Minimum capacity of a lane: while a shard evaluates one shard batch, others can be queued.
const LANE_CAPACITY_MIN: usize = 4;

/// The shard has stopped and receives no more shard batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shard has stopped")]
pub struct InboxClosed;

/// The queue of some tenants, and the wait list of their sessions.
#[derive(Debug)]
struct Lane {
    batches: ArrayQueue<ShardBatch>,
    freed: Notify,
    waiting: AtomicUsize,
}

/// State shared by senders and receiver.
#[derive(Debug)]
struct Shared {
    lanes: Box<[Lane]>,
    /// Lanes that received a shard batch since the receiver last read this, a bit each.
    ready: AtomicU64,
    /// Holds a token whenever the shard must poll the lanes.
    wake: Sender<()>,
    closed: AtomicBool,
}

/// Creates an inbox for `tenants` tenants that holds at most `batches_max` shard batches, and at least one.
pub fn inbox(batches_max: usize, tenants: usize) -> (Inbox, InboxReceiver) {
    let batches_max = batches_max.max(1);
    let lanes = tenants
        .min(LANES_MAX)
        .min(batches_max / LANE_CAPACITY_MIN)
        .max(1);
    let lane = |_| Lane {
        batches: ArrayQueue::new(batches_max / lanes),
        freed: Notify::new(),
        waiting: AtomicUsize::new(0),
    };
    let (wake, woken) = bounded(1);
    let shared = Arc::new(Shared {
        lanes: (0..lanes).map(lane).collect(),
        ready: AtomicU64::new(0),
        wake,
        closed: AtomicBool::new(false),
    });
    let receiver = InboxReceiver {
        shared: Arc::clone(&shared),
        woken,
        scheduler: DeficitRoundRobin::new(lanes),
    };
    (Inbox(shared), receiver)
}

/// The sending side, shared by all sessions.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Shared>);

impl Inbox {
    fn lane(&self, tenant: TenantIndex) -> usize {
        usize::from(tenant) % self.0.lanes.len()
    }

    /// Pushes a shard batch, or returns it if its tenant's lane is full.
    ///
    /// # Errors
    /// [`InboxClosed`] if the shard has stopped.
    pub fn try_send(&self, batch: ShardBatch) -> Result<Option<ShardBatch>, InboxClosed> {
        let shared = &*self.0;
        let lane = self.lane(batch.tenant);
        let refused = shared.lanes[lane].batches.push(batch).err();
        if refused.is_none() {
            // AcqRel, here and in the shard's swap, orders the two. Either the swap comes later and the shard finds
            // this shard batch, or it came earlier, `ready` was 0 here, and the token below wakes the shard again.
            // A token that is already in the channel serves as well.
            let before = shared.ready.fetch_or(1 << lane, Ordering::AcqRel);
            if before == 0 {
                let _ = shared.wake.try_send(());
            }
        }
        if shared.closed.load(Ordering::Acquire) {
            return Err(InboxClosed);
        }
        Ok(refused)
    }

    /// Waits until the tenant's lane may have capacity. Another session may take it first: try again, wait again.
    pub async fn room(&self, tenant: TenantIndex) {
        /// Counts a waiter until it is dropped, also if the future is cancelled.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let lane = &self.0.lanes[self.lane(tenant)];
        // SeqCst pairs with `InboxReceiver::try_take`: either the shard sees this waiter, or the waiter sees the
        // capacity that the shard freed.
        lane.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&lane.waiting);
        let mut freed = std::pin::pin!(lane.freed.notified());
        freed.as_mut().enable();
        if lane.batches.is_full() {
            freed.await;
        }
    }

    /// Number of queued shard batches.
    pub fn depth(&self) -> usize {
        self.0.lanes.iter().map(|lane| lane.batches.len()).sum()
    }
}

/// The receiving side, owned by the shard's thread.
#[derive(Debug)]
pub struct InboxReceiver {
    shared: Arc<Shared>,
    woken: Receiver<()>,
    scheduler: DeficitRoundRobin,
}

impl InboxReceiver {
    /// Receives a token whenever a shard batch may be queued, for a `select!` with the control channel.
    pub fn wake(&self) -> &Receiver<()> {
        &self.woken
    }

    /// Takes the next shard batch, if one is queued, and notifies a session that waits for capacity in its lane.
    pub fn try_take(&mut self) -> Option<ShardBatch> {
        loop {
            let lane = match self.scheduler.lane() {
                Some(lane) => lane,
                None => {
                    self.scheduler
                        .add_ready(self.shared.ready.swap(0, Ordering::AcqRel));
                    self.scheduler.pass()?
                }
            };
            let Lane {
                batches,
                freed,
                waiting,
            } = &self.shared.lanes[lane];
            match batches.pop() {
                Some(batch) => {
                    self.scheduler.served(batch.payload.weight());
                    if waiting.load(Ordering::SeqCst) > 0 {
                        freed.notify_one();
                    }
                    return Some(batch);
                }
                None => self.scheduler.emptied(),
            }
        }
    }

    /// Ends a batch that may have left shard batches queued: sends a token for them.
    pub fn rearm(&self) {
        if self.scheduler.any_ready() {
            // Full: a token is already in the channel.
            let _ = self.shared.wake.try_send(());
        }
    }
}

impl Drop for InboxReceiver {
    /// Drops the queued shard batches with their completions, so their frames are never acknowledged.
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // AcqRel pairs with `Inbox::try_send`: a sender whose shard batch this drain misses sees `closed`.
        self.shared.ready.swap(0, Ordering::AcqRel);
        for lane in &self.shared.lanes {
            while lane.batches.pop().is_some() {}
            lane.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
