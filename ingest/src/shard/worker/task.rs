//! What a shard does over several events and commits.
//!
//! Owner: the thread of the shard. What each task does next is in the file of its subject: `control.rs` and
//! `checkpoint.rs`.

use crossbeam::channel;
use tokio::sync::oneshot;

use crate::clock::Stamp;
use crate::shard::commit_payload::Fate;
use crate::shard::control::RecountPoint;

/// What a shard is at, beyond one event.
pub(super) enum Task {
    /// Takes events.
    Serve,
    /// Stands still for a recount.
    Paused(Paused),
    /// Ends.
    Drain(Drain),
    /// Nothing any more.
    Ended,
}

/// A shard that stands still for a recount.
pub(super) enum Paused {
    /// Until everything is durable.
    Committing {
        reply: oneshot::Sender<RecountPoint>,
        is_durable: channel::Receiver<Fate>,
    },
    /// Until told to go on.
    Waiting {
        released: channel::Receiver<()>,
        since: Stamp,
    },
}

/// How far a drain is.
pub(super) enum Drain {
    /// Takes what is left in the inbox.
    Inbox,
    /// Writes a checkpoint.
    Checkpoint {
        /// Whether the next commit is its beginning.
        begins: bool,
        /// Whether it covers everything, so that none need follow.
        last: bool,
    },
}
