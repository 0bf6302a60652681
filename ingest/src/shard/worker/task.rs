//! The states of a worker that last for several events and commits.
//!
//! Owner: the shard thread. The transitions are in `control.rs` and `checkpoint.rs`.

use std::sync::Arc;

use crossbeam::channel;
use muster_engine::{PolicySet, Revision};
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

/// What a thread has to do about policies.
#[derive(Debug, Default)]
pub(super) struct PolicyChanges {
    /// The policy set of the next pass.
    pub(super) waiting: Option<Arc<PolicySet>>,
    /// To send once a policy set of at least this revision is in force.
    pub(super) replies: Vec<(Revision, oneshot::Sender<u32>)>,
    /// Devices that the pass in progress has changed.
    pub(super) changed: u32,
}
