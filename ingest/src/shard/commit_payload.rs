//! What travels with a commit to the writer and back: who waits for it.

use muster_engine::Outcome;
use muster_store::kill_point;

use crate::clock::Stamp;
use crate::route::Completion;

/// What became of the commit that an answer waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Everything before the answer is durable.
    Durable,
    /// The store is poisoned: what came before the answer may be lost with the process.
    Unknown,
}

/// An answer that waits for everything before it to be durable.
pub type Reply = Box<dyn FnOnce(Fate) + Send>;

/// The payload of a commit. Its buffers go round with it; bounded by the shard batches of a batch.
#[derive(Default)]
pub struct CommitPayload {
    /// The shard batches of the batch and how they fared.
    pub completions: Vec<(Completion, Outcome)>,
    /// Answers to the control channel.
    pub replies: Vec<Reply>,
    /// When the batch was evaluated.
    pub applied_at: Stamp,
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
    /// Everything in the batch is durable: frames complete, questions are answered.
    pub fn durable(&mut self, at: Stamp) {
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

    /// The batch will never be durable: no frame completes, and sessions learn of it by the phase.
    /// Reads go on, so questions are answered all the same.
    pub fn abandon(&mut self) {
        self.completions.clear();
        for reply in self.replies.drain(..) {
            reply(Fate::Unknown);
        }
    }
}
