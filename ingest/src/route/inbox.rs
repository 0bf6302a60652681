//! The bounded input of one shard: many sessions push, one thread takes, tenants take turns.
//!
//! Places are divided among lanes, and a tenant pushes into one lane only (its index modulo their
//! number). So a tenant that floods fills its own lane and waits there, while [`DeficitRoundRobin`] gives every lane
//! with shard batches the same number of check-ins. Tenants of one lane share what it gets; order within a lane,
//! and so within a session, is kept.
//!
//! A full lane is the first stage of back-pressure: its sessions stop reading their streams until there
//! is room, and QUIC's flow control stops the peers. Nothing is dropped here. Lock-free; bounded by
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

/// Places that a lane has at least: while a shard evaluates one shard batch, others can come in.
const LANE_PLACES_MIN: usize = 4;

/// The shard has stopped; nothing is taken any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shard has stopped")]
pub struct InboxClosed;

/// The shard batches of some tenants, and where their sessions wait for room.
#[derive(Debug)]
struct Lane {
    batches: ArrayQueue<ShardBatch>,
    freed: Notify,
    waiting: AtomicUsize,
}

/// What both sides see.
#[derive(Debug)]
struct Shared {
    lanes: Box<[Lane]>,
    /// Lanes that got a shard batch since the shard looked, a bit each.
    ready: AtomicU64,
    /// Holds a token whenever the shard must look.
    wake: Sender<()>,
    closed: AtomicBool,
}

/// Makes an inbox of `parts_max` places at most, at least one, for so many tenants.
pub fn inbox(batches_max: usize, tenants: usize) -> (Inbox, InboxReceiver) {
    let batches_max = batches_max.max(1);
    let lanes = tenants
        .min(LANES_MAX)
        .min(batches_max / LANE_PLACES_MIN)
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

/// The pushing side, shared by all sessions.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Shared>);

impl Inbox {
    fn lane(&self, tenant: TenantIndex) -> usize {
        usize::from(tenant) % self.0.lanes.len()
    }

    /// Pushes a shard batch, or gives it back if its tenant's lane has no room.
    ///
    /// # Errors
    /// [`InboxClosed`] if the shard has stopped.
    pub fn try_send(&self, batch: ShardBatch) -> Result<Option<ShardBatch>, InboxClosed> {
        let shared = &*self.0;
        let lane = self.lane(batch.tenant);
        let refused = shared.lanes[lane].batches.push(batch).err();
        if refused.is_none() {
            // AcqRel, here and where the shard swaps: of the two, one sees what the other did before.
            // Either the shard finds this shard batch, or the bit was clear here and there is a token after
            // the shard took the last one. A token that is there already is as good.
            let before = shared.ready.fetch_or(1 << lane, Ordering::AcqRel);
            if before == 0 {
                let _ = shared.wake.try_send(());
            }
        }
        match shared.closed.load(Ordering::Acquire) {
            true => Err(InboxClosed),
            false => Ok(refused),
        }
    }

    /// Waits until there may be room for a shard batch of the tenant. Another session may be faster: try
    /// again, wait again.
    pub async fn room(&self, tenant: TenantIndex) {
        /// Counts a waiter for as long as it waits, also when its future is dropped.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let lane = &self.0.lanes[self.lane(tenant)];
        // SeqCst pairs with `InboxReceiver::try_take`: either the shard sees this waiter, or the waiter
        // sees the room the shard made.
        lane.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&lane.waiting);
        let mut freed = std::pin::pin!(lane.freed.notified());
        freed.as_mut().enable();
        if lane.batches.is_full() {
            freed.await;
        }
    }

    /// Shard batches waiting now.
    pub fn depth(&self) -> usize {
        self.0.lanes.iter().map(|lane| lane.batches.len()).sum()
    }
}

/// The taking side, owned by the shard's thread.
#[derive(Debug)]
pub struct InboxReceiver {
    shared: Arc<Shared>,
    woken: Receiver<()>,
    scheduler: DeficitRoundRobin,
}

impl InboxReceiver {
    /// Gets a token whenever there may be a shard batch, for a `select!` with the control channel.
    pub fn wake(&self) -> &Receiver<()> {
        &self.woken
    }

    /// The next shard batch, if one is waiting, and tells a session that waits in its lane of the room.
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

    /// Ends a turn that may have left shard batches behind: there is a token for them.
    pub fn rearm(&self) {
        if self.scheduler.any_ready() {
            // Full: there is one.
            let _ = self.shared.wake.try_send(());
        }
    }
}

impl Drop for InboxReceiver {
    /// Shard batches that nobody takes any more go now, with their claims on frames.
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // AcqRel pairs with `Inbox::try_send`: a shard batch that this does not see is told of the end.
        self.shared.ready.swap(0, Ordering::AcqRel);
        for lane in &self.shared.lanes {
            while lane.batches.pop().is_some() {}
            lane.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;
