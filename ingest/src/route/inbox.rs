//! The bounded input of one shard: many sessions push, one thread takes.
//!
//! A full inbox is the first stage of back-pressure: the session stops reading its stream until there
//! is room, and QUIC's flow control stops the peer. Nothing is dropped here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::Notify;

use super::part::Part;

/// The shard has stopped; nothing is taken any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shard has stopped")]
pub struct InboxClosed;

/// Where sessions wait for room.
#[derive(Debug, Default)]
struct Room {
    freed: Notify,
    waiting: AtomicUsize,
}

/// Makes an inbox for at most `parts_max` parts.
pub fn inbox(parts_max: usize) -> (Inbox, InboxReceiver) {
    let (sender, receiver) = bounded(parts_max.max(1));
    let room = Arc::new(Room::default());
    (
        Inbox {
            sender,
            room: Arc::clone(&room),
        },
        InboxReceiver {
            parts: receiver,
            room,
        },
    )
}

/// The pushing side, shared by all sessions.
#[derive(Clone, Debug)]
pub struct Inbox {
    sender: Sender<Part>,
    room: Arc<Room>,
}

impl Inbox {
    /// Pushes a part, or gives it back if there is no room.
    ///
    /// # Errors
    /// [`InboxClosed`] if the shard has stopped.
    pub fn try_send(&self, part: Part) -> Result<Option<Part>, InboxClosed> {
        match self.sender.try_send(part) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(part)) => Ok(Some(part)),
            Err(TrySendError::Disconnected(_)) => Err(InboxClosed),
        }
    }

    /// Waits until there may be room. Another session may be faster: try again, wait again.
    pub async fn room(&self) {
        /// Counts a waiter for as long as it waits, also when its future is dropped.
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        // SeqCst pairs with `InboxReceiver::freed`: either the shard sees this waiter, or the waiter
        // sees the room the shard made.
        self.room.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.room.waiting);
        let mut freed = std::pin::pin!(self.room.freed.notified());
        freed.as_mut().enable();
        if self.sender.is_full() {
            freed.await;
        }
    }

    /// Parts waiting now.
    pub fn depth(&self) -> usize {
        self.sender.len()
    }
}

/// The taking side, owned by the shard's thread.
#[derive(Debug)]
pub struct InboxReceiver {
    parts: Receiver<Part>,
    room: Arc<Room>,
}

impl InboxReceiver {
    /// The channel, for a `select!` with the control lane.
    pub fn channel(&self) -> &Receiver<Part> {
        &self.parts
    }

    /// The next part, if one is waiting.
    pub fn try_take(&self) -> Option<Part> {
        self.parts.try_recv().ok()
    }

    /// Tells as many waiting sessions as there is room for that `taken` parts were taken.
    pub fn freed(&self, taken: usize) {
        let waiting = self.room.waiting.load(Ordering::SeqCst);
        for _ in 0..taken.min(waiting) {
            self.room.freed.notify_one();
        }
    }
}
