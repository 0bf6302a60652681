//! The states of a worker that last for several events and commits.
//!
//! Owner: the shard thread. The transitions are in `control.rs` and `checkpoint.rs`.

use crossbeam::channel;
use tokio::sync::oneshot;

use crate::clock::Stamp;
use crate::shard::commit_payload::Fate;
use crate::shard::control::RecountPoint;

/// The current task of a worker.
pub(super) enum Task {
    /// Handles events.
    Serve,
    /// Is paused for a recount.
    Paused(Paused),
    /// Drains.
    Drain(Drain),
    /// Has ended.
    Ended,
}

/// A worker that is paused for a recount.
pub(super) enum Paused {
    /// Until everything is durable.
    Committing {
        reply: oneshot::Sender<RecountPoint>,
        is_durable: channel::Receiver<Fate>,
    },
    /// Until the recount releases it.
    Waiting {
        released: channel::Receiver<()>,
        since: Stamp,
    },
}

/// The stage of a drain.
pub(super) enum Drain {
    /// Takes the rest of the inbox.
    Inbox,
    /// Writes a checkpoint.
    Checkpoint {
        /// Whether the next commit begins it.
        begins: bool,
        /// Whether it covers everything, so that no further one is needed.
        last: bool,
    },
}
