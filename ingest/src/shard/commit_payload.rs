//! The payload of a commit: what waits for its durability, the transitions for the view, completions and replies.
//!
//! Owner: the shard thread until the commit is sent, then the writer. Bounded by the shard batches of a batch, and by
//! the devices that time and policies may move in one ([`muster_engine::effects`]).

use std::ops::Range;

use muster_engine::{Outcome, ProfileDefinition, ShardId, Timestamp, Transition};
use muster_store::{Commit, CommitPart, kill_point};
use muster_wire::limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX};

use crate::clock::Stamp;
use crate::route::Completion;
use crate::view::View;

/// The result of the commit that a reply waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Everything before the reply is durable.
    Durable,
    /// The store is poisoned: everything since the last durable commit may be lost with the process.
    Unknown,
}

/// A reply that waits until everything before it is durable.
pub type Reply = Box<dyn FnOnce(Fate) + Send>;

/// The payload of a commit. Its buffers are reused with the commit.
#[derive(Default)]
pub struct CommitPayload {
    /// The thread to which the writer returns the commit.
    pub thread: u16,
    /// Service time of the batch.
    pub time: Timestamp,
    /// The transitions of the batch, for each shard of the thread.
    pub transitions: Vec<(ShardId, Vec<Transition>)>,
    /// The profiles that are new in the batch, in the same order.
    pub profiles: Vec<Vec<ProfileDefinition>>,
    /// The completions of the batch's shard batches, with their outcomes.
    pub completions: Vec<(Completion, Outcome)>,
    /// Replies to the control channel.
    pub replies: Vec<Reply>,
    /// When the batch was evaluated.
    pub applied_at: Stamp,
}

/// Bytes of full batches up to which the journal buffers of a commit keep their capacity: they grow by doubling, and
/// from batch to batch a shard has more or less than its share.
pub const JOURNAL_BATCHES_KEPT: usize = 4;

/// Capacity that the journal buffer of one of `shards` shards keeps.
pub fn journal_bytes_kept(batch_check_ins_max: usize, shards: usize) -> usize {
    let check_ins = batch_check_ins_max + CHECK_INS_PER_FRAME_MAX;
    JOURNAL_BATCHES_KEPT * check_ins * CHECK_IN_BYTES / shards.max(1)
}

/// One of the commits that a thread fills again and again, with a part for each of its shards.
pub fn empty_commit(thread: u16, shards: Range<u16>) -> Commit<CommitPayload> {
    let part = |shard| CommitPart {
        shard: ShardId(shard),
        ..CommitPart::default()
    };
    let transitions = shards.clone().map(|shard| (ShardId(shard), Vec::new()));
    let profiles = shards.clone().map(|_| Vec::new()).collect();
    Commit {
        payload: CommitPayload {
            thread,
            transitions: transitions.collect(),
            profiles,
            ..CommitPayload::default()
        },
        parts: shards.map(part).collect(),
    }
}

impl std::fmt::Debug for CommitPayload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("CommitPayload")
            .field("completions", &self.completions.len())
            .field("replies", &self.replies.len())
            .finish_non_exhaustive()
    }
}

impl CommitPayload {
    /// The batch is durable: shows its transitions in the view, then completes its shard batches and sends its replies,
    /// so that whoever has an ack or a reply sees in the view what it is about.
    pub fn durable(&mut self, at: Stamp, view: &View) {
        for ((shard, transitions), profiles) in self.transitions.iter_mut().zip(&mut self.profiles)
        {
            view.apply(*shard, transitions, profiles, self.time);
            transitions.clear();
            profiles.clear();
        }
        kill_point("ingest.batch.before_complete");
        for (completion, outcome) in self.completions.drain(..) {
            completion.complete(outcome, at);
            kill_point("ingest.batch.between_completions");
        }
        kill_point("ingest.batch.after_complete");
        for reply in self.replies.drain(..) {
            reply(Fate::Durable);
        }
    }

    /// The batch will never be durable: drops the transitions, which the view never shows, and the completions, so no
    /// frame is acknowledged; sessions end by the phase. Reads continue on a poisoned store, so the replies are still
    /// sent.
    pub fn abandon(&mut self) {
        for (_, transitions) in &mut self.transitions {
            transitions.clear();
        }
        self.profiles.iter_mut().for_each(Vec::clear);
        self.completions.clear();
        for reply in self.replies.drain(..) {
            reply(Fate::Unknown);
        }
    }
    /// Frees the buffers of transitions that are larger than those of `kept` of them: few batches move many devices.
    pub fn shrink(&mut self, kept: usize) {
        for (_, transitions) in &mut self.transitions {
            if transitions.capacity() > kept {
                *transitions = Vec::new();
            }
        }
    }
}
