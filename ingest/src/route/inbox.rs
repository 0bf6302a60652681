//! The bounded queue of one shard: many sessions push, one thread takes, tenants are served in turn.
//!
//! The capacity is divided among the lanes that tenants use, and a tenant pushes into one lane only (its index modulo
//! the number of lanes). So a tenant that floods fills its own lane and waits there, while [`DeficitRoundRobin`] serves
//! every backlogged lane the same number of check-ins. Tenants of one lane share its service; a lane is a FIFO, so the
//! order within a session is kept. When tenants come or go ([`Inbox::set_tenants`]), the lane of the others stays, and
//! only its share of the capacity changes. A lane that holds more than its new share accepts nothing until it has
//! drained to it, so for that moment the inbox may hold up to twice its capacity.
//!
//! A full lane is the first stage of back-pressure: its sessions stop reading their streams until the lane has
//! capacity, and QUIC's flow control stops the clients. Nothing is dropped here. Lock-free; bounded by
//! `shards.inbox_batches`.

mod deficit_round_robin;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam::channel::{Receiver, Sender, bounded};
use crossbeam::queue::ArrayQueue;
use muster_engine::TenantIndex;
use tokio::sync::Notify;

use super::shard_batch::ShardBatch;
use deficit_round_robin::DeficitRoundRobin;

pub use deficit_round_robin::LANES_MAX;

/// Minimum capacity of a lane: while a shard evaluates one shard batch, others can be queued.
const LANE_CAPACITY_MIN: usize = 4;

/// The shard has stopped and receives no more shard batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shard has stopped")]
pub struct InboxClosed;

/// The queue of some tenants, and the wait list of their sessions.
#[derive(Debug)]
struct Lane {
    /// Allocated for the first tenant of the lane, with the capacity of the whole inbox: its share of it may grow.
    batches: OnceLock<ArrayQueue<ShardBatch>>,
    freed: Notify,
    waiting: AtomicUsize,
}

/// State shared by senders and receiver.
#[derive(Debug)]
struct Shared {
    lanes: Box<[Lane]>,
    /// Capacity of the inbox, and the share of each lane that is in use.
    batches_max: usize,
    share: AtomicUsize,
    /// Lanes that received a shard batch since the receiver last read this, a bit each.
    ready: AtomicU64,
    /// Holds a token whenever the shard must poll the lanes.
    wake: Sender<()>,
    closed: AtomicBool,
}

/// Creates an inbox that holds at most `batches_max` shard batches, and at least one, for the tenants with the indexes
/// `0..tenants`.
pub fn inbox(batches_max: usize, tenants: usize) -> (Inbox, InboxReceiver) {
    let batches_max = batches_max.max(1);
    let lanes = LANES_MAX.min(batches_max / LANE_CAPACITY_MIN).max(1);
    let lane = |_| Lane {
        batches: OnceLock::new(),
        freed: Notify::new(),
        waiting: AtomicUsize::new(0),
    };
    let (wake, woken) = bounded(1);
    let shared = Arc::new(Shared {
        lanes: (0..lanes).map(lane).collect(),
        batches_max,
        share: AtomicUsize::new(batches_max),
        ready: AtomicU64::new(0),
        wake,
        closed: AtomicBool::new(false),
    });
    let receiver = InboxReceiver {
        shared: Arc::clone(&shared),
        woken,
        scheduler: DeficitRoundRobin::new(lanes),
    };
    let inbox = Inbox(shared);
    inbox.set_tenants((0..tenants).map(|index| TenantIndex(index as u16)));
    (inbox, receiver)
}

impl Shared {
    fn batches<'a>(&self, lane: &'a Lane) -> &'a ArrayQueue<ShardBatch> {
        lane.batches
            .get_or_init(|| ArrayQueue::new(self.batches_max))
    }

    /// Pushes a shard batch, or returns it. Sessions that push at once may exceed the share by one each.
    fn push(&self, lane: &Lane, batch: ShardBatch) -> Option<ShardBatch> {
        let is_shared = self.share.load(Ordering::Relaxed) < self.batches_max;
        if is_shared && self.is_full(lane) {
            return Some(batch);
        }
        self.batches(lane).push(batch).err()
    }

    /// Whether a lane has no capacity left of its share.
    fn is_full(&self, lane: &Lane) -> bool {
        let batches = self.batches(lane);
        let share = self.share.load(Ordering::Relaxed);
        // With one lane in use, the queue itself is the limit, and the receiver's end of it need not be read.
        if share >= self.batches_max {
            batches.is_full()
        } else {
            batches.len() >= share
        }
    }
}

/// The sending side, shared by all sessions.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Shared>);

impl Inbox {
    fn lane(&self, tenant: TenantIndex) -> usize {
        usize::from(tenant) % self.0.lanes.len()
    }

    /// Divides the capacity among the lanes of these tenants.
    pub fn set_tenants(&self, tenants: impl Iterator<Item = TenantIndex>) {
        let lanes: BTreeSet<usize> = tenants.map(|tenant| self.lane(tenant)).collect();
        for lane in &lanes {
            // Allocated here and not by the first session.
            self.0.batches(&self.0.lanes[*lane]);
        }
        let share = self.0.batches_max / lanes.len().max(1);
        self.0.share.store(share, Ordering::Relaxed);
        // Sessions that wait may have capacity now.
        for lane in lanes {
            self.0.lanes[lane].freed.notify_waiters();
        }
    }

    /// Pushes a shard batch, or returns it if its tenant's lane is full.
    ///
    /// # Errors
    /// [`InboxClosed`] if the shard has stopped.
    pub fn try_send(&self, batch: ShardBatch) -> Result<Option<ShardBatch>, InboxClosed> {
        let shared = &*self.0;
        let lane = self.lane(batch.tenant);
        let refused = shared.push(&shared.lanes[lane], batch);
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
        if self.0.is_full(lane) {
            freed.await;
        }
    }

    /// Number of queued shard batches.
    pub fn depth(&self) -> usize {
        let lanes = self.0.lanes.iter();
        let used = lanes.filter_map(|lane| lane.batches.get());
        used.map(ArrayQueue::len).sum()
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
            match batches.get().and_then(ArrayQueue::pop) {
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
            while lane.batches.get().and_then(ArrayQueue::pop).is_some() {}
            lane.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
